"""Tables of results for a page: heads, and what is said in each cell."""

import hashlib
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeAlias

from brittle.crafting.crafted import Crafted
from brittle.crafting.sheet import aimed
from brittle.pages.pictures import Pair, Trio, identity
from brittle.text import colour, duration, percent, similarity, sure

Head: TypeAlias = dict[str, Any]
Column: TypeAlias = tuple[str, int]
"""The name of a column, and how many of that name stand before it."""


def pair_of(one: Crafted) -> Pair:
    """What is shown of a result; photographs of one name and the same pixels are one."""
    return Pair(one.original, one.perturbed, one.photo)


def style_of(one: Crafted) -> str:
    """The style class that holds an original: it is embedded once and shown in many places."""
    return "o" + hashlib.sha256(identity(pair_of(one)).encode("utf-8", "surrogatepass")).hexdigest()[:12]


def columns_of(places: Sequence[tuple[Hashable, str]]) -> list[Column]:
    """The column of each result: its name, and how many of that name its row had before."""
    seen: dict[tuple[Hashable, str], int] = {}
    columns = []
    for place in places:
        seen[place] = seen.get(place, -1) + 1
        columns.append((place[1], seen[place]))
    return columns


def grid_of(
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
            None if index is None else shown(crafted[index], pictures.get(index)) | {"named": head["each"]}
            for index, head in zip(found, heads, strict=True)
        ]
        original = style_of(crafted[first]) if pictures else ""
        lines.append(row_head(crafted[first], row) | {"original": original, "cells": cells})
    return {"heads": heads, "rows": lines}


def photograph_head(one: Crafted, _: Hashable) -> Head:
    """A row of the matrix: what the network says of the photograph, and the photograph."""
    name, likely = one.before[0]
    return {"name": name, "under": f"{percent(likely)} sure", "also": one.photo, "pictured": True}


def way_head(_: Crafted, way: Hashable) -> Head:
    """A row of the comparison: space and penalty."""
    assert isinstance(way, tuple)
    return {"name": way[0], "under": way[1], "also": "", "pictured": False}


def wish_head(inside: Sequence[Crafted], column: Column) -> Head:
    """A wish; under it the class that it means, or ``each``: cells say it, where photographs differ."""
    meant = {one.target_name for one in inside}
    same = meant.pop() if len(meant) == 1 else None
    return {"name": _numbered(column), "under": same or "", "each": same is None}


def optimiser_head(_: Sequence[Crafted], column: Column) -> Head:
    """A column of the comparison."""
    return {"name": _numbered(column), "under": "", "each": False}


def _numbered(column: Column) -> str:
    return column[0] + (f" {column[1] + 1}" if column[1] else "")


def shown(one: Crafted, trio: Trio | None) -> dict[str, Any]:
    """What is said of a result."""
    (before, sure_before), (after, sure_after) = one.before[0], one.after[0]
    met = after == one.target_name if one.target is not None else after != before
    seen = one.visibility
    return {
        "photo": one.photo,
        "wish": one.wish,
        "trio": trio,
        "verdict": "reached" if one.reached else "short" if met else "missed",
        "confidence": sure(one.confidence, one.wanted),
        "before": before,
        "sure_before": percent(sure_before),
        "after": after,
        "sure_after": percent(sure_after),
        "aim": aimed(one),
        "mean": colour(seen.colour_mean),
        "p99": colour(seen.colour_p99),
        "bar": min(seen.colour_mean, 1.0),
        "ssim": similarity(seen.ssim),
        "linf": f"{seen.linf:.0f}",
        "passes": f"{one.passes:,}",
        "seconds": duration(one.seconds),
    }
