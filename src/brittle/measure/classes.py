"""What becomes of each class: how accurate it is before and under an attack, and what it is then taken for."""

import pandas as pd

from brittle.measure.attack import rate
from brittle.measure.models import ClassSummary, Measured
from brittle.measure.outcomes import judged
from brittle.records import View, rows_where


def classes(view: View, records: pd.DataFrame, attack: str | None) -> list[ClassSummary]:
    """The classes that images have or are taken for, in the order of their indices, under one attack.

    attack: its label; None: before any attack, so that nothing is moved. Each image counts once.
    """
    rows = judged(records)
    rows = rows.drop_duplicates("position") if attack is None else rows_where(rows, rows["attack"] == attack)
    robust = rows["correct"] if attack is None else rows["correct"] & ~rows["lost"]
    counts = rows.assign(robust=robust).groupby("label")[["correct", "robust"]].sum()
    images = rows["label"].value_counts()
    moved = rows[rows["correct"] & ~robust & rows["changed"]]
    pairs = moved.groupby("label")["adversarial_prediction"].value_counts()
    taken: dict[int, dict[int, int]] = {}
    for (label, answer), count in pairs.items():
        taken.setdefault(int(label), {})[int(answer)] = int(count)
    attracted = moved["adversarial_prediction"].value_counts()
    found = []
    for label in sorted({*images.index, *attracted.index}):
        of = int(images.get(label, 0))
        right, still = (int(counts[key].get(label, 0)) for key in ("correct", "robust"))
        found.append(
            ClassSummary(
                index=int(label),
                name=view.class_name(label),
                clean_accuracy=rate(right, of) if view.labelled else Measured(value=None, count=right, of=of),
                robust_accuracy=rate(still, of),
                taken_for=dict(sorted(taken.get(int(label), {}).items(), key=lambda pair: (-pair[1], pair[0]))),
                attracts=int(attracted.get(label, 0)),
            )
        )
    return found
