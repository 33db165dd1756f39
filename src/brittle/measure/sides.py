"""What all attackers did to one model, behind defences or not, image by image."""

from collections.abc import Callable, Mapping, Sequence
from typing import final

import pandas as pd

from brittle.measure.attack import rate
from brittle.measure.models import Budget, Measured
from brittle.measure.outcomes import NORMS
from brittle.records import AttackSpec, Manifest, ModelRecord

_MADE = ["source", "attack", "position"]
_TOLERANCE = 1e-5  # of a budget: adding eps to float32 pixels can exceed it by rounding


@final
class Sides:
    """What all attackers did to one model, by the positions of images. One without defences has no bare one beside it,
    and nothing was made for it without knowing.

    rows: the judged records of each model and goal, of images that all its attacks have reached. may_refuse: where the
    same without defences cannot.
    """

    def __init__(
        self,
        manifest: Manifest,
        model: ModelRecord,
        goal: str,
        rows: Mapping[tuple[str, str], pd.DataFrame],
        transfers: pd.DataFrame,
        budgets: Sequence[Budget],
    ) -> None:
        self.model, self.goal, self.budgets = model, goal, budgets
        self.attacks = manifest.attacks
        bare = next(one for one in manifest.models if one.name == model.defends) if model.defends else model
        self.may_refuse = model.reject is not None and bare.reject is None
        self.own, self.bare = rows[model.name, goal], rows[bare.name, goal]
        given = _given(model, goal, rows, transfers)
        self.unaware = given[(given["source"] == bare.name) & (bare is not model)]
        self.others = given[~given["source"].isin([bare.name, model.name])]
        both = set(self.bare["position"]) & set(self.own["position"])
        common = _given_all(both, given[given["source"] != model.name])
        self.images = self.own[self.own["position"].isin(common)].groupby("position")["correct"].first()
        self.clean_bare = self.bare[self.bare["position"].isin(common)].groupby("position")["correct"].first()

    def lost(
        self, rows: pd.DataFrame, budget: Budget, *, only: Sequence[str] | None = None
    ) -> "pd.Series[bool] | None":
        """By position, whether an image is wrong before or after any of these changes within the budget."""
        mine = rows if only is None else rows[rows["attack"].isin(only)]
        if mine.empty:
            return None
        lost: pd.Series[bool] = fallen(mine, budget, self.images.index) | ~self.images.astype(bool)
        return lost

    def still(self, lost: "pd.Series[bool] | None") -> Measured:
        """The share of images that are not lost; no value where nobody has tried."""
        return Measured(value=None) if lost is None else rate(int((~lost).sum()), len(self.images))

    def tries(self, budget: Budget) -> "dict[str, pd.Series[bool] | None]":
        """By who made it, what is lost within a budget: to the unaware, the aware by gradients, those that ask for
        none (blind), what was made for other models (transferred), and to any of them (figure).
        """
        by_gradients = self.labels(lambda spec: spec.access == "gradient")
        others = self.labels(lambda spec: spec.access != "gradient")
        lost = {
            "unaware": self.lost(self.unaware, budget),
            "aware": self.lost(self.own, budget, only=by_gradients),
            "blind": self.lost(self.own, budget, only=others),
            "transferred": self.lost(self.others, budget),
        }
        tried = [one for one in lost.values() if one is not None]
        return {**lost, "figure": pd.concat(tried, axis=1).any(axis=1) if tried else None}

    def left(self) -> Measured:
        """The share of images that nothing at all has lost."""
        every = pd.concat([rows[["position", "lost"]] for rows in (self.own, self.unaware, self.others)])
        lost = every.groupby("position")["lost"].any().reindex(self.images.index, fill_value=False).astype(bool)
        return rate(int((~lost & self.images.astype(bool)).sum()), len(self.images))

    def labels(self, wanted: Callable[[AttackSpec], bool]) -> list[str]:
        return [spec.label for spec in self.attacks if wanted(spec)]


def fallen(rows: pd.DataFrame, budget: Budget, positions: "pd.Index[int]") -> "pd.Series[bool]":
    """By position, whether any of these changes, within the budget, makes a right image wrong or unanswered."""
    broken = rows["lost"] & (rows[budget.norm] <= budget.eps * (1 + _TOLERANCE))
    fallen: pd.Series[bool] = broken.groupby(rows["position"]).any().reindex(positions, fill_value=False).astype(bool)
    return fallen


def _given(
    model: ModelRecord, goal: str, rows: Mapping[tuple[str, str], pd.DataFrame], transfers: pd.DataFrame
) -> pd.DataFrame:
    """What was made for other models and given to this one as it is, with its size in all norms."""
    mine = transfers[(transfers["target"] == model.name) & (transfers["goal"] == goal) & transfers["size"].isna()]
    made = [one.assign(source=name)[[*_MADE, *NORMS]] for (name, towards), one in rows.items() if towards == goal]
    joined = mine.merge(pd.concat(made), on=_MADE)
    wrong = (joined["prediction"] != joined["label"]) & (joined["clean_prediction"] == joined["label"])
    untargeted = joined["wanted"].isna()
    changed = wrong & (joined["fooled"] | (~untargeted & (joined["prediction"] != model.reject)))
    out: pd.DataFrame = joined.assign(changed=changed, lost=changed)
    return out


def _given_all(positions: "set[int]", given: pd.DataFrame) -> "set[int]":
    """Of some positions those of images that have been given all that has begun to be: in an unfinished run, fewer."""
    begun = given.groupby(["source", "attack"]).ngroups
    each = given.groupby("position").size()
    return positions & set(each.index[each == begun]) if begun else positions
