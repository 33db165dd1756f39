"""Accuracy against perturbation size: exact step functions from per-example distances."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from brittle.measure.outcomes import judged
from brittle.records import rows_where

Floats: TypeAlias = npt.NDArray[np.float64]


def curve(records: pd.DataFrame, attacks: str | Sequence[str], norm: str) -> tuple[Floats, Floats]:
    """How accuracy falls as larger perturbations are allowed.

    attacks: a label, or several whose best result counts for each example (the budgets of a sweep, say).
    norm: "l2", "linf", "l1" or "l0". Returns ``(distances, accuracy)``, both ``[n]``, distances increasing from 0:
    ``accuracy[i]`` is the share of ALL examples that are classified correctly and have no confirmed adversarial example
    of these attacks, nor an image without an answer, at a distance of at most ``distances[i]``, and it holds until
    ``distances[i + 1]``. Empty without records. For a budget attack, which does not look for small perturbations, it is
    an upper bound below its budget.
    """
    labels = [attacks] if isinstance(attacks, str) else list(attacks)
    rows = judged(rows_where(records, records["attack"].isin(labels)))
    if rows.empty:
        return np.empty(0), np.empty(0)
    correct = rows.groupby("position")["correct"].first()
    broken = np.sort(rows[rows["correct"] & rows["lost"]].groupby("position")[norm].min().to_numpy(dtype=float))
    distances = np.unique(np.concatenate([[0.0], broken[np.isfinite(broken)]]))
    still = int(correct.sum()) - np.searchsorted(broken, distances, side="right")
    return distances, still / len(correct)


def thin(distances: Floats, accuracy: Floats, limit: int = 200) -> tuple[Floats, Floats]:
    """At most ``limit`` of a curve's steps, true ones, chosen so that heights are off by at most fall / (limit - 1).

    On a chart 380 pixels high that is less than the width of the line.
    """
    if len(distances) <= limit:
        return distances, accuracy
    levels = np.linspace(accuracy[0], accuracy[-1], limit)
    kept = np.unique(np.searchsorted(-accuracy, -levels, side="left"))
    return distances[kept], accuracy[kept]


def accuracy_at(distances: Floats, accuracy: Floats, size: float) -> float | None:
    """The height of a curve at one perturbation size; None for an empty curve.

    Sizes are taken with a relative tolerance of 1e-5: adding eps to float32 pixels gives distances that exceed eps by
    rounding, and accuracy at eps must include them.
    """
    step = int(np.searchsorted(distances, size * (1 + 1e-5), side="right")) - 1
    return float(accuracy[step]) if step >= 0 else None
