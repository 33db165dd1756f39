"""Defences judged: by attackers who do not know of them, who do, and who ask for no gradients; the worst counts."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import pandas as pd

from brittle.measure.attack import rate
from brittle.measure.intervals import LUCK, sign_test
from brittle.measure.leaderboard import budgets_of
from brittle.measure.models import Budget, Measured, Plain, Summary
from brittle.measure.outcomes import NORMS, judged, reached
from brittle.measure.sides import Sides, fallen
from brittle.records import AttackSpec, Manifest


class JudgedDefence(Plain):
    """A defended model at a budget, for a goal. All are shares of all images; those of an attacker are robust accuracy.

    None where nobody has tried it so.
    """

    model: str
    bare: str  # the same without its defences
    goal: str
    budget: Budget
    clean: Measured
    clean_bare: Measured
    robust_bare: Measured  # of the bare model, under the same attacks
    unaware: Measured  # made for the bare model
    aware: Measured  # made for this one, by gradients
    blind: Measured  # made for this one, without gradients
    transferred: Measured  # made for any other model of the run
    figure: Measured  # the worst of all of them, image by image
    certified: Measured  # proved: answered rightly, and no change within the budget alters that class
    inside: int  # images that a change within their certified radius alters, which none should
    tries_inside: int  # changes within it that were tried
    overstated: float | None  # by how much the unaware figure lies above
    missed: int  # images that the aware leave and any other takes, where these are more than the other way, beyond luck
    passes: int  # of the bare model, for one answer


class JudgedDetector(Plain):
    """A model that may refuse an answer, at a budget, for a goal: how many clean images it refuses, and attacked ones.

    Attacked are the images that both answer rightly before, and that some change within the budget makes the bare model
    take for another class. The other rates are shares of them, so that one can be held against another: the true
    positive rate of changes that were made without knowing, and what is left of it. None where nothing was made.
    """

    model: str
    bare: str
    goal: str
    budget: Budget
    refused: Measured  # of clean images: the false positive rate
    unaware: Measured  # of attacked images, those where no change that was made for the bare model gets through
    aware: Measured  # those where none that was made by gradients for this one does
    worst: Measured  # those where none of all that was tried does


class JudgedAlone(Plain):
    """A defended model under a single attack: robust accuracy within a budget."""

    model: str
    attack: str
    goal: str
    budget: Budget
    unaware: Measured
    aware: Measured


class JudgedDefences(NamedTuple):
    """All defended models: at each budget, as detectors where they may refuse and the same without cannot, and under
    each attack by itself."""

    defences: list[JudgedDefence]
    detectors: list[JudgedDetector]
    alone: list[JudgedAlone]


def judge_defences(
    every: Iterable[Sides], certificates: pd.DataFrame, budgets: Sequence[Budget] | None = None
) -> JudgedDefences:
    """Each defended model of an audit; see ``every_sides``.

    An image is lost as soon as a confirmed change within the budget makes it wrong, whatever the change was made for;
    those that were wrong before are lost, too. Rates are over the images that all have reached: all attacks, and what
    was made for each other model and has been given to this one. certificates: see
    ``CERTIFIED``. budgets: default those of the leaderboard.
    """
    found = JudgedDefences([], [], [])
    for sides in every:
        at = sides.budgets if budgets is None else budgets
        found.defences.extend(_judged(sides, budget, certificates) for budget in at)
        found.detectors.extend(_detected(sides, budget) for budget in (at if sides.may_refuse else ()))
        found.alone.extend(_alone(sides))
    return found


def under_all(
    summaries: Sequence[Summary], manifest: Manifest, records: pd.DataFrame, transfers: pd.DataFrame
) -> list[Summary]:
    """The same, with the robust accuracy of defended models under all that was tried on them: as a defence's figure,
    also under what was made for other models, of any size. transfers: see ``TRANSFERRED``.
    """
    every = every_sides(manifest, records, transfers)
    left = {(sides.model.name, sides.goal): sides.left() for sides in every}
    return [
        one.model_copy(update={"overall": one.overall | {"robust_accuracy": left[one.model, one.goal]}})
        if (one.model, one.goal) in left
        else one
        for one in summaries
    ]


def every_sides(
    manifest: Manifest, records: pd.DataFrame, transfers: pd.DataFrame, *, bare: bool = False
) -> Iterator[Sides]:
    """Of each defended model and goal, where it has images that the bare model has, too; bare: of those without
    defences, before them. transfers: ``TRANSFERRED``.
    """
    wanted = [model for model in manifest.models if bare and not model.defends]
    wanted += [model for model in manifest.models if model.defends]
    if not wanted:
        return
    rows = {(view.model, view.goal): reached(judged(view.of(records))) for view in manifest.views()}
    budgets = budgets_of(manifest, list(rows.values()))
    for model in wanted:
        for goal in manifest.goals:
            sides = Sides(manifest, model, goal, rows, transfers, budgets)
            if not sides.images.empty:
                yield sides


def _alone(sides: Sides) -> Iterator[JudgedAlone]:
    """Under each attack what it makes for the bare model, and for this one.

    The budget of a minimal attack is that of the leaderboard in its norm, the largest.
    """
    for spec in sides.attacks:
        budget = _budget_for(spec, sides.budgets)
        if budget is not None:
            unaware, aware = (
                sides.still(sides.lost(rows, budget, only=[spec.label])) for rows in (sides.unaware, sides.own)
            )
            where = {"model": sides.model.name, "goal": sides.goal}
            yield JudgedAlone(**where, attack=spec.label, budget=budget, unaware=unaware, aware=aware)


def _budget_for(spec: AttackSpec, budgets: Sequence[Budget]) -> Budget | None:
    if spec.eps is not None:
        return Budget(norm=spec.norm, eps=spec.eps) if spec.norm in NORMS else None
    return max((one for one in budgets if one.norm == spec.norm), key=lambda one: one.eps, default=None)


def _judged(sides: Sides, budget: Budget, certificates: pd.DataFrame) -> JudgedDefence:
    tries = sides.tries(budget)
    still = {name: sides.still(lost) for name, lost in tries.items()}
    figure, seen = still["figure"].value, still["unaware"].value
    proved, tried = certified(sides, certificates, budget), tries_inside(sides, certificates)
    images = len(sides.images)
    return JudgedDefence(
        model=sides.model.name,
        bare=sides.model.defends or "",
        goal=sides.goal,
        budget=budget,
        clean=rate(int(sides.images.sum()), images),
        clean_bare=rate(int(sides.clean_bare.sum()), images),
        robust_bare=rate(int((sides.clean_bare & ~fallen(sides.bare, budget, sides.images.index)).sum()), images),
        **still,
        certified=Measured(value=None) if proved is None else rate(int(proved.sum()), len(proved)),
        inside=int(tried.loc[tried["changed"], "position"].nunique()),
        tries_inside=len(tried),
        overstated=None if seen is None or figure is None else seen - figure,
        missed=_missed(tries),
        passes=sides.model.passes,
    )


def _missed(tries: "dict[str, pd.Series[bool] | None]") -> int:
    others = [tries[side] for side in ("unaware", "blind", "transferred") if tries[side] is not None]
    aware = tries["aware"]
    if aware is None or not others:
        return 0
    taken = pd.concat(others, axis=1).any(axis=1)
    more, fewer = int((taken & ~aware).sum()), int((aware & ~taken).sum())
    return more if more > fewer and sign_test(more, fewer) < LUCK else 0


def _detected(sides: Sides, budget: Budget) -> JudgedDetector:
    right = sides.clean_bare.astype(bool) & sides.images.astype(bool)
    attacked = fallen(sides.bare, budget, sides.images.index) & right
    clean = sides.own.drop_duplicates("position").set_index("position").reindex(sides.images.index)
    refused = clean["clean_prediction"] == sides.model.reject
    tries = sides.tries(budget)

    def caught(through: "pd.Series[bool] | None") -> Measured:
        if through is None or not attacked.any():
            return Measured(value=None)
        return rate(int((attacked & ~through).sum()), int(attacked.sum()))

    return JudgedDetector(
        model=sides.model.name,
        bare=sides.model.defends or "",
        goal=sides.goal,
        budget=budget,
        refused=rate(int(refused.sum()), len(refused)),
        unaware=caught(tries["unaware"]),
        aware=caught(tries["aware"]),
        worst=caught(tries["figure"]),
    )


def certified(sides: Sides, certificates: pd.DataFrame, budget: Budget) -> "pd.Series[bool] | None":
    """By position, whether a radius as large as the budget is proved of the right class; None of what proves nothing.

    Radii are in L2. An image whose own vote is too close for an answer is not left, whatever another vote proves.
    """
    proved = _proved(sides, certificates)
    if budget.norm != "l2" or proved["radius"].isna().all():
        return None
    right = (proved["prediction"] == proved["label"]) & (proved["radius"] >= budget.eps)
    held: pd.Series[bool] = right & sides.images.astype(bool)
    return held


def tries_inside(sides: Sides, certificates: pd.DataFrame) -> pd.DataFrame:
    """Changes of images that are less far than the radius with which the right class is certified, whoever they were
    made for: position, changed."""
    proved = _proved(sides, certificates)
    radius = proved["radius"].where(proved["prediction"] == proved["label"], 0.0)
    every = [rows[["position", "changed", "l2"]] for rows in (sides.own, sides.unaware, sides.others)]
    changes = pd.concat(every)
    within = (changes["l2"] > 0) & (changes["l2"] < changes["position"].map(radius).fillna(0.0))
    inside: pd.DataFrame = changes.loc[within, ["position", "changed"]]
    return inside


def _proved(sides: Sides, certificates: pd.DataFrame) -> pd.DataFrame:
    mine = certificates[certificates["model"] == sides.model.name]
    proved: pd.DataFrame = mine.set_index("position").reindex(sides.images.index)
    return proved
