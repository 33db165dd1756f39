"""Which examples to show: from the easiest to the hardest that an attack fooled, and some that withstood it."""

from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict

from brittle.measure.outcomes import distance_norm, grey_levels_rms, judged
from brittle.records import AttackSpec, View, rows_where

Role = Literal["smallest", "median", "largest", ""]


class Case(BaseModel):
    """One example under one attack, with what a caption needs."""

    model_config = ConfigDict(frozen=True)

    role: Role  # among the perturbations that fooled
    rank: int | None  # by size among those that fooled, from 1; None where the goal is not met
    of: int  # images that the attack fooled
    attack: str
    slug: str
    example: str
    position: int
    label: int
    target: int | None
    clean_prediction: int
    clean_confidence: float
    adversarial_prediction: int
    adversarial_confidence: float
    norm: str
    distance: float
    typical_change: float  # root mean square, grey levels of 255
    largest_change: float  # grey levels of 255
    survives_8bit: bool

    @property
    def fooled(self) -> bool:
        """Whether the attack has met its goal."""
        return self.rank is not None


def cases(view: View, spec: AttackSpec, records: pd.DataFrame, *, fooled: int = 3, withstood: int = 0) -> list[Case]:
    """So many of the images that an attack fooled, evenly by the size of the perturbation, and some that it did not.

    Only correctly classified examples. The smallest, the (lower) median and the largest are among the first, ``fooled``
    being odd; fewer where fewer were fooled. Ties go to the earlier position.
    """
    done = _by_size(spec, records)
    count = len(done)
    ranks = list(range(count)) if count <= fooled else _spread(fooled, count)
    if count > fooled:
        ranks[fooled // 2] = (count - 1) // 2  # of two in the middle the lower one
    rows = judged(rows_where(records, records["attack"] == spec.label))
    left = rows[rows["correct"] & rows["attacked"] & ~rows["success"]].sort_values("position", kind="stable")
    return [
        *(_case(view, spec, done.iloc[rank], rank, count) for rank in ranks),
        *(_case(view, spec, left.iloc[place], None, count) for place in _spread(withstood, len(left))),
    ]


def hero_of(view: View, spec: AttackSpec, records: pd.DataFrame) -> Case | None:
    """The case to show first: a typical one, in the middle half by size, that still fools when saved in 8 bits.

    Of those, one of the class that the data name first, as near to the median as there is. Where no typical one
    survives, the nearest to the median that does; where none does, the median itself; None where none was fooled.
    """
    done = _by_size(spec, records)
    if done.empty:
        return None
    middle = (len(done) - 1) // 2
    saved = [rank for rank, kept in enumerate(done["fooled_8bit"]) if kept] or [middle]
    typical = [rank for rank in saved if len(done) <= 4 * rank + 2 <= 3 * len(done)]
    labels = done["label"].tolist()
    rank = min(typical or saved, key=lambda rank: (labels[rank] if typical else 0, abs(rank - middle)))
    return _case(view, spec, done.iloc[rank], rank, len(done))


def _spread(count: int, of: int) -> list[int]:
    """At most ``count`` of ``of`` places, evenly, with both ends."""
    return sorted({round(step * (of - 1) / max(count - 1, 1)) for step in range(count)}) if of else []


def _by_size(spec: AttackSpec, records: pd.DataFrame) -> pd.DataFrame:
    rows = judged(rows_where(records, records["attack"] == spec.label))
    norm = distance_norm(spec.norm)
    ordered: pd.DataFrame = rows[rows["correct"] & rows["success"]].sort_values([norm, "position"], kind="stable")
    return ordered


def _role(rank: int | None, count: int) -> Role:
    roles: dict[int | None, Role] = {count - 1: "largest", 0: "smallest", (count - 1) // 2: "median"}
    return roles.get(rank, "")  # with one or two left, the median wins


def _case(view: View, spec: AttackSpec, row: "pd.Series[Any]", rank: int | None, count: int) -> Case:
    norm = distance_norm(spec.norm)
    return Case(
        role=_role(rank, count),
        rank=None if rank is None else rank + 1,
        of=count,
        attack=spec.label,
        slug=view.slug(spec),
        example=str(row["example"]),
        position=int(row["position"]),
        label=int(row["label"]),
        target=None if pd.isna(row["target"]) else int(row["target"]),
        clean_prediction=int(row["clean_prediction"]),
        clean_confidence=float(row["clean_confidence"]),
        adversarial_prediction=int(row["adversarial_prediction"]),
        adversarial_confidence=float(row["adversarial_confidence"]),
        norm=norm,
        distance=float(row[norm]),
        typical_change=float(grey_levels_rms(pd.Series([row["l2"]]), view.image_shape).iloc[0]),
        largest_change=float(row["linf"]) * 255,
        survives_8bit=bool(row["fooled_8bit"]),
    )
