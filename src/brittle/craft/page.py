"""Pages of many crafted photographs: one HTML file each, which works without a network and trusts no name in it."""

import hashlib
from collections.abc import Callable, Hashable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import fmean, median
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from brittle.craft import numbers
from brittle.craft.crafted import Crafted
from brittle.craft.pictures import aimed
from brittle.craft.thumbnails import Trio, identity, trios

HERE = Path(__file__).parent
LIMIT = 4_900_000
"""Bytes that a page may have; pictures shrink to keep it."""
HERO_SIDE, HERO_BUDGET = 360, 500_000
SIDE = 208  # of a thumbnail, which is shown at about half of that: sharp on fine screens

Row = tuple[str, str, str, Crafted]
"""Space, penalty, optimiser, and what they made."""

Column = tuple[str, int]
"""The name of a column, and how many of that name stand before it."""

_SPREAD: dict[str, tuple[str, Callable[[Crafted], float], Callable[[float], str]]] = {
    "confidence": ("after reading the saved PNG again", lambda one: one.confidence, numbers.percent),
    "colour, mean": ("CIEDE2000; about 1 can be seen", lambda one: one.visibility.colour_mean, numbers.colour),
    "colour, 99th percentile": ("CIEDE2000", lambda one: one.visibility.colour_p99, numbers.colour),
    "SSIM": ("1 is equal", lambda one: one.visibility.ssim, numbers.similarity),
    "passes": ("forward, through the network", lambda one: one.passes, "{:,.0f}".format),
    "time": ("of the attack, for each picture", lambda one: one.seconds, numbers.duration),
}


def matrix_page(crafted: Sequence[Crafted]) -> str:
    """A page of photographs by wishes: each result with its noise, confidence and visibility. At most 5 MB."""
    photographs = [identity(one) for one in crafted]
    columns = _columns([(photograph, one.wish) for photograph, one in zip(photographs, crafted, strict=True)])
    context = {
        "headline": _headline(crafted),
        "figures": _figures(crafted),
        "spread": _spread(crafted),
        "facts": _facts(crafted),
        "of_photographs": len(set(photographs)),
        "of_results": len(crafted),
    }
    hero = _median_of(crafted)
    heroes = trios({0: hero}, HERO_SIDE, HERO_BUDGET) if hero is not None else {}
    context["hero"] = None if hero is None else _shown(hero, heroes.get(0))

    def grid(pictures: dict[int, Trio]) -> dict[str, Any]:
        return {"grid": _grid(photographs, columns, crafted, pictures, _photograph_head, _wish_head)}

    return _within_limit("matrix.html.j2", context, crafted, grid)


def comparison_page(rows: Sequence[Row]) -> str:
    """A page of spaces by penalties by optimisers, for each photograph and wish a table. At most 5 MB.

    rows: (space, penalty, optimiser, result); each may come for several photographs.
    """
    crafted = [row[3] for row in rows]
    subjects = [(identity(one), one.wish, one.target) for one in crafted]
    settings = _settings(rows, len(set(subjects)))
    context = {
        "headline": _comparison_headline(settings, crafted),
        "settings": settings,
        "facts": _facts(crafted),
        "of_subjects": len(set(subjects)),
    }

    def groups(pictures: dict[int, Trio]) -> dict[str, Any]:
        found = []
        for subject in dict.fromkeys(subjects):
            chosen = [index for index, other in enumerate(subjects) if other == subject]
            own = [(rows[index][0], rows[index][1]) for index in chosen]
            columns = _columns([(way, rows[index][2]) for way, index in zip(own, chosen, strict=True)])
            ones = [crafted[index] for index in chosen]
            seen = {place: pictures[index] for place, index in enumerate(chosen) if index in pictures}
            head = _shown(ones[0], None) | {"asked": "anything else" if subject[2] is None else aimed(ones[0])}
            found.append(head | {"grid": _grid(own, columns, ones, seen, _way_head, _optimiser_head)})
        return {"groups": found}

    return _within_limit("comparison.html.j2", context, crafted, groups)


def _within_limit(
    template: str,
    context: dict[str, Any],
    crafted: Sequence[Crafted],
    filled: Callable[[dict[int, Trio]], dict[str, Any]],
) -> str:
    """The page with pictures as large as it has room for."""
    bare = _render(template, context | filled({}) | {"originals": {}})
    room = LIMIT - len(bare.encode("utf-8")) - 400 * len(crafted)  # what stands around each picture
    pictures = trios(dict(enumerate(crafted)), SIDE, room)
    originals = {_style_of(crafted[index]): trio.original for index, trio in pictures.items()}
    return _render(template, context | filled(pictures) | {"originals": originals})


def _style_of(one: Crafted) -> str:
    """The style class that holds an original: it is embedded once and shown in many places."""
    return "o" + hashlib.sha256(identity(one).encode("utf-8")).hexdigest()[:12]


def _columns(places: Sequence[tuple[Hashable, str]]) -> list[Column]:
    """The column of each result: its name, and how many of that name its row had before."""
    seen: dict[tuple[Hashable, str], int] = {}
    columns = []
    for place in places:
        seen[place] = seen.get(place, -1) + 1
        columns.append((place[1], seen[place]))
    return columns


Head = dict[str, Any]


def _grid(
    rows: Sequence[Hashable],
    columns: Sequence[Column],
    crafted: Sequence[Crafted],
    pictures: dict[int, Trio],
    row_head: Callable[[Crafted, Hashable], Head],
    column_head: Callable[[Sequence[Crafted], Column], Head],
) -> dict[str, Any]:
    """Heads and cells of a table, in the order in which they came; an empty cell is None."""
    names = list(dict.fromkeys(name for name, _ in columns))
    order = sorted(dict.fromkeys(columns), key=lambda column: (names.index(column[0]), column[1]))
    place = {where: index for index, where in enumerate(zip(rows, columns, strict=True))}
    heads = []
    for column in order:
        inside = [crafted[index] for (_, other), index in place.items() if other == column]
        heads.append(column_head(inside, column))
    lines = []
    for row in dict.fromkeys(rows):
        found = [place.get((row, column)) for column in order]
        first = next(index for index in found if index is not None)
        cells = [
            None if index is None else _shown(crafted[index], pictures.get(index)) | {"named": head["each"]}
            for index, head in zip(found, heads, strict=True)
        ]
        original = _style_of(crafted[first]) if pictures else ""
        lines.append(row_head(crafted[first], row) | {"original": original, "cells": cells})
    return {"heads": heads, "rows": lines}


def _photograph_head(one: Crafted, _: Hashable) -> Head:
    name, likely = one.before[0]
    return {"name": name, "under": f"{numbers.percent(likely)} sure", "also": one.photo, "pictured": True}


def _way_head(_: Crafted, way: Hashable) -> Head:
    assert isinstance(way, tuple)
    return {"name": way[0], "under": way[1], "also": "", "pictured": False}


def _wish_head(inside: Sequence[Crafted], column: Column) -> Head:
    """A wish; under it the class that it means, or ``each``: cells say it, where photographs differ."""
    meant = {one.target_name for one in inside}
    same = meant.pop() if len(meant) == 1 else None
    return {"name": _numbered(column), "under": same or "", "each": same is None}


def _optimiser_head(_: Sequence[Crafted], column: Column) -> Head:
    return {"name": _numbered(column), "under": "", "each": False}


def _numbered(column: Column) -> str:
    return column[0] + (f" {column[1] + 1}" if column[1] else "")


def _shown(one: Crafted, trio: Trio | None) -> dict[str, Any]:
    """What is said of a result."""
    (before, sure_before), (after, sure_after) = one.before[0], one.after[0]
    met = after == one.target_name if one.target is not None else after != before
    seen = one.visibility
    return {
        "photo": one.photo,
        "wish": one.wish,
        "trio": trio,
        "verdict": "reached" if one.reached else "short" if met else "missed",
        "confidence": numbers.percent(one.confidence),
        "before": before,
        "sure_before": numbers.percent(sure_before),
        "after": after,
        "sure_after": numbers.percent(sure_after),
        "aim": aimed(one),
        "mean": numbers.colour(seen.colour_mean),
        "p99": numbers.colour(seen.colour_p99),
        "bar": min(seen.colour_mean, 1.0),
        "ssim": numbers.similarity(seen.ssim),
        "linf": f"{seen.linf:.0f}",
        "passes": f"{one.passes:,}",
        "seconds": numbers.duration(one.seconds),
    }


def _at(crafted: Sequence[Crafted]) -> str:
    asked = {one.wanted for one in crafted}
    return f"at {numbers.wanted(asked.pop())} confidence or more" if len(asked) == 1 else "at the confidence asked for"


def _headline(crafted: Sequence[Crafted]) -> list[str]:
    if not crafted:
        return ["No photograph has been crafted yet."]
    reached, of = sum(one.reached for one in crafted), len(crafted)
    share = "The one picture is" if of == 1 else f"{'All ' if reached == of else f'{reached:,} of '}{of:,} pictures are"
    if of == 1 and not reached:
        share = "The one picture is not"
    middle = median(one.visibility.colour_mean for one in crafted)
    return [
        f"{share} taken for what was wished, {_at(crafted)}.",
        f"The median change is {numbers.colour(middle)} CIEDE2000; about 1 can just be seen.",
    ]


def _figures(crafted: Sequence[Crafted]) -> list[dict[str, Any]]:
    """Three big numbers: how often, how visible, at what cost. ``bar`` in [0, 1]."""
    if not crafted:
        return []
    reached, of = sum(one.reached for one in crafted), len(crafted)
    mean, p99 = (median(getattr(one.visibility, name) for one in crafted) for name in ("colour_mean", "colour_p99"))
    often = f"taken for what was wished {_at(crafted)}, as the saved 8-bit PNG is read again."
    visible = (
        "is the median change of colour; the bar ends where a change can just be seen. One pixel in a hundred changes"
        f" by more than {numbers.colour(p99)}."
    )
    cost = f"is the median time for a picture, with {median(one.passes for one in crafted):,.0f} forward passes."
    seconds = numbers.duration(median(one.seconds for one in crafted))
    return [
        {"title": "How often", "big": f"{reached:,} of {of:,}", "unit": "", "bar": reached / of, "text": often},
        {
            "title": "How visible",
            "big": numbers.colour(mean),
            "unit": "CIEDE2000",
            "bar": min(mean, 1),
            "text": visible,
        },
        {"title": "How long", "big": seconds, "unit": "", "bar": None, "text": cost},
    ]


def _spread(crafted: Sequence[Crafted]) -> list[dict[str, str]]:
    """Least, median and most of every number."""
    lines = []
    for name, (under, value, text) in _SPREAD.items():
        values = [value(one) for one in crafted]
        if values:
            least, middle, most = (text(of(values)) for of in (min, median, max))
            lines.append({"name": name, "under": under, "least": least, "median": middle, "most": most})
    return lines


def _median_of(crafted: Sequence[Crafted]) -> Crafted | None:
    """The result of median visibility among those that reached what was wished, or else among all."""
    ranked = sorted([one for one in crafted if one.reached] or crafted, key=lambda one: one.visibility.colour_mean)
    return ranked[(len(ranked) - 1) // 2] if ranked else None


def _settings(rows: Sequence[Row], of: int) -> list[dict[str, Any]]:
    """One line per space, penalty and optimiser over all photographs: the most reached first, then the least visible."""
    found: dict[tuple[str, str, str], list[Crafted]] = {}
    for space, penalty, optimiser, one in rows:
        found.setdefault((space, penalty, optimiser), []).append(one)
    lines = []
    for setting, ones in found.items():
        reached = sum(one.reached for one in ones)
        names = ("colour_mean", "colour_p99", "ssim")
        mean, p99, ssim = (fmean(getattr(one.visibility, name) for one in ones) for name in names)
        lines.append(
            {
                "setting": setting,
                "reached": reached,
                "of": len(ones),
                "all": reached == len(ones) == of,
                "confidence": numbers.percent(min(one.confidence for one in ones)),
                "visible": mean,
                "mean": numbers.colour(mean),
                "bar": min(mean, 1.0),
                "p99": numbers.colour(p99),
                "ssim": numbers.similarity(ssim),
                "passes": f"{fmean(one.passes for one in ones):,.0f}",
                "seconds": numbers.duration(fmean(one.seconds for one in ones)),
            }
        )
    return sorted(lines, key=lambda line: (-line["reached"] / line["of"], line["visible"]))


def _comparison_headline(settings: Sequence[dict[str, Any]], crafted: Sequence[Crafted]) -> list[str]:
    if not settings:
        return ["Nothing has been compared yet."]
    good = sum(line["all"] for line in settings)
    every = f"{good:,} of {len(settings):,} ways of crafting reach every wish {_at(crafted)}."
    if not good:
        return [f"None of {len(settings):,} ways of crafting reaches every wish {_at(crafted)}."]
    space, penalty, optimiser = settings[0]["setting"]
    best = (
        f"The least visible is {optimiser} with the penalty {penalty} in the space {space}: {settings[0]['mean']}"
        " CIEDE2000, where about 1 can just be seen."
    )
    return [every, best]


def _facts(crafted: Sequence[Crafted]) -> list[tuple[str, str]]:
    attacks = list(dict.fromkeys(one.attack for one in crafted))
    return [("Attack" if len(attacks) == 1 else "Attacks", "; ".join(attacks))]


def _render(template: str, context: dict[str, Any]) -> str:
    """Autoescape holds for everything; only this package's own style is marked as safe."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["nbsp"] = lambda text: str(text).replace(" %", "\u00a0%")
    try:
        made_by = f"brittle {version('brittle')}"
    except PackageNotFoundError:
        made_by = "brittle"
    style = Markup((HERE / "page.css").read_text(encoding="utf-8"))
    return environment.get_template(template).render(**context, made_by=made_by, style=style)
