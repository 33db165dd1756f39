"""From tables and claims as a recipe says them to claims about quantities by name."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, final

from brittle.catalog.grammar import split
from brittle.measure.claims import FACTORS, Claim
from brittle.measure.expressions import names_in
from brittle.measure.transfer import ON
from brittle.recipes.facts import REGISTRY
from brittle.recipes.format import Asked, Recipe, Said, Same, Table
from brittle.recipes.templates import at_scale, combined, constants, filled, names_of, written

_VALUE = re.compile(r"=([^,)]+)")


@final
class Posed(NamedTuple):
    """A claim, the networks that it is about, how alike to the source's these must be, and its noise by name."""

    claim: Claim
    arms: tuple[str, ...]
    same: Same
    noise: str | None = None


def posed(recipe: Recipe, asked: Asked) -> list[Posed]:
    """All claims of a recipe, cell by cell of its tables, and once for each network at hand where one says so."""
    return [
        *(one for table in recipe.tables for one in _of_table(table)),
        *(one for said in recipe.claims for one in _of_said(said, asked)),
    ]


def published(recipe: Recipe) -> dict[str, float]:
    """Every figure that the tables print, by the name of its quantity, as it is defined and as it was taken."""
    return {
        name: figure
        for table in recipe.tables
        for one in _of_table(table)
        for name in (*one.claim.taken, *one.claim.quantities)
        for figure in one.claim.published
        if figure is not None
    }


def _of_table(table: Table) -> Iterator[Posed]:
    for row in table.rows:
        cells = dict(zip(table.heads, row, strict=True))
        keys = {head: cells[head] for head in table.heads if head in names_of(table.quantity)}
        for head, column in table.columns.items():
            if cells[head] == "":
                continue
            measure = column.measure or head
            name = filled(table.quantity, {**cells, "measure": measure})
            taken = filled(table.taken or table.quantity, {**cells, "measure": column.taken or measure})
            factor = FACTORS[column.unit]
            named = [written(value) if key == "arm" else f"{key} {written(value)}" for key, value in keys.items()]
            says = f"{', '.join(named)}: {head.replace('_', ' ')}"
            claim = Claim(
                id=" ".join([table.id, *map(written, keys.values()), head]),
                arm=str(keys["arm"]) if "arm" in keys else None,
                kind="value",
                says=says,
                quantities=(name,),
                taken=() if taken == name else (taken,),
                published=(factor * float(cells[head]),),
                factor=factor,
                unit=column.unit,
                tolerance=factor * column.tolerance,
                place=table.place,
                read=table.read,
            )
            noise = filled(table.noise, cells) if table.noise and measure == "fooling_rate" else None
            yield Posed(claim, _arms(claim), "network", noise)


def _of_said(said: Said, asked: Asked) -> Iterator[Posed]:
    texts, taken = _sequence(said, asked), list(said.taken)
    fixed = constants(said.over, asked.scale)
    free = any("arm" in names_of(text) for text in texts)
    about = [arm for arm in said.arms or asked.arms if arm in asked.arms]
    for arm in about if free else [None]:
        values = fixed if arm is None else {**fixed, "arm": arm}
        factor = FACTORS[said.unit]
        claim = Claim(
            id=said.id if arm is None else f"{said.id} {arm}",
            arm=arm,
            kind=said.kind,
            says=filled(said.says, values),
            quantities=tuple(filled(text, values) for text in texts),
            taken=tuple(filled(text, values) for text in taken),
            published=tuple(factor * one for one in said.published),
            factor=factor,
            unit=said.unit,
            tolerance=factor * said.tolerance,
            relation=said.relation,
            above=None if said.above is None else factor * said.above,
            below=None if said.below is None else factor * said.below,
            place=said.place,
            read=said.read,
        )
        arms = _arms(claim)
        needed: Same = "network" if said.kind in ("value", "curve") else "other" if free else "family"
        yield Posed(claim, arms, said.same or needed)


def _sequence(said: Said, asked: Asked) -> list[str]:
    if said.quantity is None:
        return list(said.quantities)
    if not said.over:
        return [said.quantity]
    chosen: Any = at_scale(said.over, asked.scale)
    return [filled(said.quantity, values) for values in combined(chosen)] if set(chosen) == set(said.over) else []


def target_of(part: str) -> str | None:
    """The network that a part of a name says something is graded on: ``on two at l2=2``."""
    return part.removeprefix(ON).partition(" at ")[0] if part.startswith(ON) else None


def _arms(claim: Claim) -> tuple[str, ...]:
    """The second part of each name, what it is graded on, and what the step was run over, which may be networks."""
    names: Sequence[str] = [name for text in claim.quantities for name in names_in(text)]
    parts = [split(name, "/") for name in names if not name.startswith(f"{REGISTRY}/")]
    about = [one for step, arm, *rest in parts for one in (arm, *map(target_of, rest), *_VALUE.findall(step))]
    return tuple(dict.fromkeys(one for one in about if one is not None))
