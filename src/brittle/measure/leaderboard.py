"""Models beside each other: who is more robust, and where the images do not tell."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from brittle.flags import is_doubt
from brittle.measure.attack import median, number, rate
from brittle.measure.curves import Floats, accuracy_at, curve
from brittle.measure.models import Budget, Leaderboard, Measured, Standing, Summary
from brittle.measure.outcomes import NORMS, judged, reached
from brittle.records import Manifest, View

MOST = 3
"""Budgets of a norm, at most: of a longer sweep the first, the middle and the last."""


def leaderboard(
    manifest: Manifest, records: pd.DataFrame, summaries: Sequence[Summary], budgets: Sequence[Budget] | None = None
) -> Leaderboard:
    """The models of an audit, ranked by robust accuracy, a standing for each model and goal.

    Robust accuracy at a budget is that of the worst case, image by image, as AutoAttack reports it (Croce and Hein
    2020): an image is lost as soon as any attack of the run has found a confirmed change within the budget, be it a
    budget attack at this budget or a smaller one, a minimal attack, or one that works in another norm. The distance of
    an image is the smallest change that any attack has found; its median is over all images that were classified
    correctly, and those that withstand count as infinitely far, so that a network is not called weak or strong by the
    few images that fall. All models of a goal are compared on the same images: those that every attack has reached on
    every model that has begun. A model that fewer attacks have met than others, as one without gradients, has no rank:
    what has not been tried does not make it robust.

    Two models are told apart at a budget where the 95 % intervals of their robust accuracies do not overlap; a rank is
    therefore a range, from one more than the models surely above to all but those surely below. ``place`` covers the
    ranks at all budgets. The order is that of the mean robust accuracy over the budgets, then of clean accuracy.

    summaries: those of ``summaries(manifest, records)``. budgets: default ``budgets_of``.
    """
    views = list(manifest.views())
    common = {goal: _common([view for view in views if view.goal == goal], records) for goal in {v.goal for v in views}}
    rows = [common[view.goal][view.model] for view in views]
    at = list(budgets_of(manifest, rows) if budgets is None else budgets)
    minimal = {spec.norm for spec in manifest.attacks if spec.kind == "minimal"}
    norms = [norm for norm in NORMS if norm in minimal]
    met = {goal: {label for mine in common[goal].values() for label in mine["attack"]} for goal in common}
    standings = [
        _standing(view, mine, at, norms, summary, met[view.goal])
        for view, mine, summary in zip(views, rows, summaries, strict=True)
    ]
    goals = list(dict.fromkeys(view.goal for view in views))
    ranked = [one for goal in goals for one in _ranked([one for one in standings if one.goal == goal])]
    return Leaderboard(budgets=at, norms=norms, standings=ranked)


def budgets_of(manifest: Manifest, rows: Sequence[pd.DataFrame]) -> list[Budget]:
    """The budgets of the run's attacks, smallest first, at most ``MOST`` in each norm. Then for each norm with minimal
    attacks alone what fools half of the images that any model gets right, to one digit: there models differ.

    rows: judged records of each model and goal.
    """
    asked: list[Budget] = []
    chosen: list[Budget] = []
    for norm in NORMS:
        mine = [spec for spec in manifest.attacks if spec.norm == norm]
        sizes = sorted({spec.eps for spec in mine if spec.eps is not None})
        if len(sizes) > MOST:
            sizes = [sizes[0], sizes[(len(sizes) - 1) // 2], sizes[-1]]
        asked += [Budget(norm=norm, eps=eps) for eps in sizes]
        if not sizes and any(spec.kind == "minimal" for spec in mine):
            half = median(np.concatenate([_distances(one, norm) for one in rows] or [np.empty(0)])).value
            chosen += [Budget(norm=norm, eps=float(f"{half:.1g}"))] if half else []
    return asked + chosen


def _common(views: Sequence[View], records: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The judged records of each model, of images that all models which have begun have been attacked on by all."""
    rows = {view.model: reached(judged(view.of(records))) for view in views}
    begun = [set(one["position"]) for one in rows.values() if len(one)]
    shared = set.intersection(*begun) if begun else set()
    return {model: one[one["position"].isin(shared)] for model, one in rows.items()}


def _standing(
    view: View,
    rows: pd.DataFrame,
    budgets: Sequence[Budget],
    norms: Sequence[str],
    summary: Summary,
    met: set[str],
) -> Standing:
    """met: the attacks that any model of its goal has met."""
    missed = met - set(rows["attack"]) if len(rows) else set()
    right = rows.groupby("position")["correct"].first()
    accuracy = rate(int(right.sum()), len(right))
    passes = (rows["forwards"] + rows["backwards"])[rows["attacked"]].groupby(rows["position"]).sum()
    return Standing(
        model=view.model,
        goal=view.goal,
        place=None,
        clean_accuracy=accuracy if view.labelled else Measured(value=None, count=accuracy.count, of=accuracy.of),
        robust_accuracy=[_robust(rows, budget, len(right)) for budget in budgets],
        ranks=[],
        median_distance={norm: median(_distances(rows, norm)) for norm in norms},
        passes=number(passes.mean(), len(passes)),
        doubts=list(dict.fromkeys(flag.code for flag in summary.flags if is_doubt(flag.code))),
        complete=summary.complete,
        without=[spec.label for spec in view.manifest.attacks if spec.label in missed],
    )


def _robust(rows: pd.DataFrame, budget: Budget, images: int) -> Measured:
    still = accuracy_at(*curve(rows, list(rows["attack"].unique()), budget.norm), budget.eps)
    return rate(round((still or 0.0) * images), images)


def _distances(rows: pd.DataFrame, norm: str) -> Floats:
    """Of each image that was right, the smallest confirmed change; infinite where there is none."""
    right = rows[rows["correct"]]
    nearest = right[norm].where(right["changed"], np.inf).groupby(right["position"]).min()
    distances: Floats = nearest.to_numpy(dtype=float)
    return distances


def _ranked(standings: Sequence[Standing]) -> list[Standing]:
    """The models of one goal with their ranks, in order."""
    at_each = list(zip(*(one.robust_accuracy for one in standings if not one.without), strict=True))
    ranked = []
    for standing in standings:
        own = standing.robust_accuracy
        ranks = [None if standing.without else _range(one, them) for one, them in zip(own, at_each, strict=False)]
        known = [rank for rank in ranks if rank is not None]
        ends = (min(best for best, _ in known), max(worst for _, worst in known)) if known else None
        ranked.append(standing.model_copy(update={"ranks": ranks, "place": ends}))
    return sorted(ranked, key=_order)


def _range(one: Measured, others: Sequence[Measured]) -> tuple[int, int] | None:
    """The best and the worst rank of one among all, itself included; None where it has no value."""
    if one.low is None or one.high is None:
        return None
    known = [(other.low, other.high) for other in others if other.low is not None and other.high is not None]
    above = sum(low > one.high for low, _ in known)
    below = sum(high < one.low for _, high in known)
    return 1 + above, len(known) - below


def _order(standing: Standing) -> tuple[bool, float, float]:
    values = [one.value for one in standing.robust_accuracy if one.value is not None]
    mean = sum(values) / len(values) if values else 0.0
    return standing.place is None, -mean, -(standing.clean_accuracy.value or 0.0)
