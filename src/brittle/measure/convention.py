"""Measures as some sources have taken them, where that is not what their text defines; beside those, never instead."""

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from brittle.measure.attack import mean, median, rate
from brittle.measure.models import Measured

Pixels = npt.NDArray[np.float64]

NAMES = (
    "confidence_all",
    "mean_l2_all",
    "mean_linf_all",
    "label_change_rate",
    "relative_centred",
    "relative_centred_linf",
    "changed_entries",
    "mean_rms",
)
"""Of the measures: see ``by_convention``."""

CENTRED = ("centred_l2", "centred_linf", "entries")
"""Columns that records do not have and stored images give: see ``from_images``."""


def by_convention(rows: pd.DataFrame, shape: tuple[int, int, int]) -> dict[str, Measured]:
    """Of one attack, from its judged records.

    confidence_all, mean_l2_all, mean_linf_all: over all correctly classified images, fooled or not.
    mean_rms: over the fooled ones, the L2 norm by the root of how many values an image has, Szegedy et al.'s
    distortion.
    label_change_rate: of all images, the wrongly classified ones as well, those whose prediction changes.
    relative_centred, relative_centred_linf, changed_entries: where the records have the columns of ``from_images``.
    """
    right = rows[rows["correct"]]
    moved = rows["clean_prediction"] != rows["adversarial_prediction"]
    found = {
        "confidence_all": mean(right["adversarial_confidence"]),
        "mean_l2_all": mean(right["l2"]),
        "mean_linf_all": mean(right["linf"]),
        "mean_rms": mean(right.loc[right["success"], "l2"] / math.sqrt(math.prod(shape))),
        "label_change_rate": rate(int(moved.sum()), len(rows)),
    }
    if set(CENTRED) <= set(rows.columns):
        fooled = right[right["success"]]
        found |= {
            "relative_centred": mean((right["l2"] / right["centred_l2"]).dropna()),
            "relative_centred_linf": mean((right["linf"] / right["centred_linf"]).dropna()),
            "changed_entries": median(fooled["entries"].dropna() / float(np.prod(shape))),
        }
    return found


def from_images(originals: Pixels, perturbed: Pixels, centre: Pixels) -> dict[str, Pixels]:
    """What the norms of an image are once a mean colour has been taken off, and how many of its values change.

    originals, perturbed: ``[n, C, H, W]`` in [0, 1]; centre: ``[C]``. Columns ``[n]``: centred_l2, centred_linf,
    entries (values of single channels that differ, as against pixels).
    """
    n = len(originals)
    away = (originals - centre.reshape(1, -1, 1, 1)).reshape(n, -1)
    return {
        "centred_l2": np.sqrt((away**2).sum(1)),
        "centred_linf": np.abs(away).max(1, initial=0.0),
        "entries": (originals != perturbed).reshape(n, -1).sum(1).astype(float),
    }
