"""Pages of many crafted photographs: one HTML file each, which works without a network and trusts no name in it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from brittle.crafting.crafted import Crafted
from brittle.crafting.grid import (
    columns_of,
    grid_of,
    optimiser_head,
    pair_of,
    photograph_head,
    shown,
    style_of,
    way_head,
    wish_head,
)
from brittle.crafting.sheet import aimed
from brittle.crafting.summary import (
    Row,
    comparison_headline,
    facts,
    figures,
    headline,
    median_of,
    settings_of,
    spread,
)
from brittle.pages.html import page, within_limit
from brittle.pages.pictures import Trio, identity, trios

HERE = Path(__file__).parent
HERO_SIDE, HERO_BUDGET = 360, 500_000
SIDE = 208  # of a thumbnail, which is shown at about half of that: sharp on fine screens


def matrix_page(crafted: Sequence[Crafted]) -> str:
    """A page of photographs by wishes: each result with its noise, confidence and visibility. At most 5 MB."""
    photographs = [identity(pair_of(one)) for one in crafted]
    columns = columns_of([(photograph, one.wish) for photograph, one in zip(photographs, crafted, strict=True)])
    context = {
        "headline": headline(crafted),
        "figures": figures(crafted),
        "spread": spread(crafted),
        "facts": facts(crafted),
        "of_photographs": len(set(photographs)),
        "of_results": len(crafted),
    }
    hero = median_of(crafted)
    heroes = trios({0: pair_of(hero)}, HERO_SIDE, HERO_BUDGET) if hero is not None else {}
    context["hero"] = None if hero is None else shown(hero, heroes.get(0))

    def grid(pictures: dict[int, Trio]) -> dict[str, Any]:
        return {"grid": grid_of(photographs, columns, crafted, pictures, photograph_head, wish_head)}

    return _within_limit("matrix.html.j2", context, crafted, grid)


def comparison_page(rows: Sequence[Row]) -> str:
    """A page of spaces by penalties by optimisers, for each photograph and wish a table. At most 5 MB.

    rows: (space, penalty, optimiser, result); each may come for several photographs.
    """
    crafted = [row[3] for row in rows]
    subjects = [(identity(pair_of(one)), one.wish, one.target) for one in crafted]
    settings = settings_of(rows, len(set(subjects)))
    context = {
        "headline": comparison_headline(settings, crafted),
        "settings": settings,
        "facts": facts(crafted),
        "of_subjects": len(set(subjects)),
    }

    def groups(pictures: dict[int, Trio]) -> dict[str, Any]:
        found = []
        for subject in dict.fromkeys(subjects):
            chosen = [index for index, other in enumerate(subjects) if other == subject]
            own = [(rows[index][0], rows[index][1]) for index in chosen]
            columns = columns_of([(way, rows[index][2]) for way, index in zip(own, chosen, strict=True)])
            ones = [crafted[index] for index in chosen]
            seen = {place: pictures[index] for place, index in enumerate(chosen) if index in pictures}
            head = shown(ones[0], None) | {"asked": "anything else" if subject[2] is None else aimed(ones[0])}
            found.append(head | {"grid": grid_of(own, columns, ones, seen, way_head, optimiser_head)})
        return {"groups": found}

    return _within_limit("comparison.html.j2", context, crafted, groups)


def _within_limit(
    template: str,
    context: dict[str, Any],
    crafted: Sequence[Crafted],
    filled: Callable[[dict[int, Trio]], dict[str, Any]],
) -> str:
    """The page with pictures as large as it has room for."""

    def render(pictures: dict[int, Trio]) -> str:
        originals = {style_of(crafted[index]): trio.original for index, trio in pictures.items()}
        return page(HERE, template, context | filled(pictures) | {"originals": originals}, styles=["page.css"])

    return within_limit(render, {index: pair_of(one) for index, one in enumerate(crafted)}, SIDE)
