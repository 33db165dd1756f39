"""Which examples to show: the easiest, the middle and the hardest that an attack fooled."""

from typing import Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict

from brittle.measure.outcomes import distance_norm, grey_levels_rms, judged
from brittle.records import AttackSpec, View


class Case(BaseModel):
    """One fooled example, with what a caption needs."""

    model_config = ConfigDict(frozen=True)

    role: Literal["smallest", "median", "largest"]
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


def cases(manifest: View, spec: AttackSpec, records: pd.DataFrame) -> list[Case]:
    """The smallest, the (lower) median and the largest successful perturbation of an attack, in its norm.

    Only correctly classified examples; fewer than three where fewer were fooled. Ties go to the earlier position.
    """
    rows = judged(records[records["attack"] == spec.label])
    norm = distance_norm(spec.norm)
    fooled = rows[rows["correct"] & rows["success"]].sort_values([norm, "position"], kind="stable")
    n = len(fooled)
    roles: dict[int, Literal["smallest", "median", "largest"]] = {}
    if n:
        roles = {n - 1: "largest", 0: "smallest", (n - 1) // 2: "median"}  # with one or two left, the median wins
    typical = grey_levels_rms(fooled["l2"], manifest.image_shape)
    out = []
    for index in sorted(roles):
        row = fooled.iloc[index]
        out.append(
            Case(
                role=roles[index],
                attack=spec.label,
                slug=manifest.slug(spec),
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
                typical_change=float(typical.iloc[index]),
                largest_change=float(row["linf"]) * 255,
                survives_8bit=bool(row["fooled_8bit"]),
            )
        )
    return out
