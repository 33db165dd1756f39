"""The quantities of defences by name, as claims speak of them, each with its interval."""

import pandas as pd

from brittle.measure.attack import rate
from brittle.measure.defences import (
    JudgedDefence,
    JudgedDetector,
    certified,
    every_sides,
    judge_defences,
)
from brittle.measure.models import Budget, Measured, exactly
from brittle.measure.quantities import Each, Quantities, called
from brittle.records import Manifest
from brittle.text import size

_WITHIN = "within"

SIDES = (
    *("unaware", "aware", "blind", "transferred", "figure", "bare", "certified"),
    *("refused", "caught_unaware", "caught_aware", "caught"),
)
"""Measures within a budget."""

ALONE = ("unaware", "aware")
"""Measures of a single attack."""

INSIDE = ("inside", "tries_inside")
"""Images that are changed within the radius that was certified for them, and how many changes within it were tried."""


def defence_quantities(
    manifest: Manifest, records: pd.DataFrame, transfers: pd.DataFrame, certificates: pd.DataFrame
) -> Quantities:
    """``MODEL/within(NORM=EPS)/SIDE``, robust accuracy: unaware, aware, blind, transferred, figure, by image too, as
    those of ``JudgedDefence``; bare, certified; of a detector refused, caught_unaware, caught_aware, caught.

    ``MODEL/ATTACK/unaware`` and ``aware`` under that attack alone; ``MODEL/inside``, ``MODEL/tries_inside``. Of several
    goals ``MODEL/GOAL/...``. Of a model without defences aware, blind, transferred and figure. transfers, certificates:
    as of ``judge_defences``.
    """
    known: dict[str, Measured] = {}
    each: dict[str, Each] = {}

    def path(model: str, goal: str, *more: str) -> str:
        return "/".join([model, *([goal] if len(manifest.goals) > 1 else []), *more])

    def within(one: JudgedDefence | JudgedDetector, name: str) -> str:
        return path(one.model, one.goal, _named(one.budget), name)

    every = list(every_sides(manifest, records, transfers, bare=True))
    for sides in every:
        for budget in sides.budgets:
            left = {side: None if lost is None else ~lost for side, lost in sides.tries(budget).items()}
            for side, held in (left | {"certified": certified(sides, certificates, budget)}).items():
                if held is not None:
                    name = path(sides.model.name, sides.goal, _named(budget), side)
                    known[name], each[name] = rate(int(held.sum()), len(held)), held.astype(float)
    judged = judge_defences([one for one in every if one.model.defends], certificates)
    for one in judged.defences:
        known[within(one, "bare")] = one.robust_bare
        known |= {path(one.model, one.goal, name): exactly(float(getattr(one, name))) for name in INSIDE}
    for seen in judged.detectors:
        known |= {within(seen, "refused"): seen.refused, within(seen, "caught_unaware"): seen.unaware}
        known |= {within(seen, "caught_aware"): seen.aware, within(seen, "caught"): seen.worst}
    names = {spec.label: called(spec) for spec in manifest.attacks}
    for alone in judged.alone:
        at = path(alone.model, alone.goal, names[alone.attack])
        known |= {f"{at}/{side}": getattr(alone, side) for side in ALONE}
    return Quantities({name: one for name, one in known.items() if one.value is not None}, each)


def is_within(part: str) -> bool:
    """Whether a part of a quantity's name is a budget."""
    return part.startswith(f"{_WITHIN}(")


def _named(budget: Budget) -> str:
    return f"{_WITHIN}({budget.norm}={size(budget.eps)})"
