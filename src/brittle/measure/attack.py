"""All measures of one attack."""

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd

from brittle.measure.intervals import median_ranks, student, wilson
from brittle.measure.models import AttackSummary, Measured
from brittle.measure.outcomes import distance_norm, grey_levels_rms, judged
from brittle.records import AttackSpec, View, rows_where

BLACK = 1e-6
"""An image whose L2 norm is below this is entirely black; the darkest other 8-bit image has 1/255."""


def measure_attack(view: View, spec: AttackSpec, records: pd.DataFrame) -> AttackSummary:
    """The measures of one attack, from the records of all."""
    rows = judged(rows_where(records, records["attack"] == spec.label))
    norm = distance_norm(spec.norm)
    return AttackSummary(
        label=spec.label,
        name=spec.name,
        kind=spec.kind,
        norm=spec.norm,
        distance_norm=norm,
        paper=spec.paper,
        measures={**_rates(view, rows), **_distances(rows, norm, view.image_shape), **_cost(rows)},
    )


def rate(count: int, of: int) -> Measured:
    """A rate with its Wilson 95 % interval; nothing but the counts where the denominator is 0."""
    low, high = wilson(count, of) or (None, None)
    return Measured(value=count / of if of else None, low=low, high=high, count=count, of=of)


def number(value: float, of: int | None = None) -> Measured:
    """A number, None where it is not finite."""
    return Measured(value=float(value) if math.isfinite(value) else None, of=of)


def _rates(view: View, rows: pd.DataFrame) -> dict[str, Measured]:
    correct = rows["correct"]
    right, present = int(correct.sum()), len(rows)
    share = present / view.examples if view.examples else None
    accuracy = rate(right, present)
    return {
        "examples": number(present),
        "completeness": Measured(value=share, count=present, of=view.examples),
        "correct": number(right),
        "clean_accuracy": accuracy if view.labelled else Measured(value=None, count=right, of=present),
        "fooling_rate": rate(_count(correct & rows["changed"]), right),
        "attack_success_rate": rate(_count(rows["success"]), _count(rows["attacked"])),
        "robust_accuracy": rate(_count(correct & ~rows["lost"]), present),
        "fooling_rate_8bit": rate(_count(correct & rows["attacked"] & rows["fooled_8bit"]), right),
        "unconfirmed": number(_count(rows["claimed"] & ~rows["fooled"])),
        "confidence": _mean(rows.loc[correct & rows["success"], "adversarial_confidence"]),
    }


def _distances(rows: pd.DataFrame, norm: str, shape: tuple[int, int, int]) -> dict[str, Measured]:
    fooled = rows[rows["correct"] & rows["success"]]
    distances = np.sort(fooled[norm].to_numpy(dtype=float))
    n = len(distances)
    low, high = _quartiles(distances)
    relative = fooled["relative_l2"]
    black = relative * BLACK > fooled["l2"]  # relative to an image of (nearly) no size
    return {
        "mean_distance": _mean(fooled[norm]),
        "median_distance": median(distances),
        "quartile_low": number(low, n),
        "quartile_high": number(high, n),
        "max_distance": number(distances[-1] if n else math.nan, n),
        "relative_distance": _mean(relative[~black & np.isfinite(relative)]),
        "typical_change": median(grey_levels_rms(fooled["l2"], shape)),
        "largest_change": median(fooled["linf"] * 255),
        "changed_pixels": median(fooled["l0"] / (shape[1] * shape[2])),
    }


def _cost(rows: pd.DataFrame) -> dict[str, Measured]:
    attacked = rows[rows["attacked"]]
    means = {key: _mean(attacked[key]) for key in ("steps", "forwards", "backwards", "seconds")}
    low, high = _quartiles(attacked["seconds"].to_numpy(dtype=float))
    return {
        **means,
        "seconds_low": number(low, len(attacked)),
        "seconds_high": number(high, len(attacked)),
        "total_seconds": number(rows["seconds"].sum(), len(rows)),
    }


def median(values: Iterable[float]) -> Measured:
    """The median with its distribution-free 95 % interval, which needs at least 6 values.

    Of two in the middle it is the lower one, so that it is the number of an image that can be shown.
    """
    ordered = np.sort(np.asarray(values, dtype=float))
    n = len(ordered)
    middle = number(ordered[(n - 1) // 2] if n else math.nan, n)
    ranks = median_ranks(n)
    if ranks is None or middle.value is None:
        return middle
    low, high = (float(ordered[rank - 1]) for rank in ranks)
    return middle.model_copy(update={"low": low, "high": high if math.isfinite(high) else None})


def mean(values: Iterable[float]) -> Measured:
    """The mean with Student's 95 % interval, which needs at least 6 values; without one where a value is not finite."""
    given = np.asarray(values, dtype=float)
    n = len(given)
    if not n or not np.isfinite(given).all():
        return number(math.nan, n)
    centre = float(given.mean())
    if n < 6:
        return number(centre, n)
    half = student(n - 1) * float(given.std(ddof=1)) / math.sqrt(n)
    return Measured(value=centre, low=centre - half, high=centre + half, of=n)


def _quartiles(values: "npt.NDArray[np.float64]") -> tuple[float, float]:
    with np.errstate(invalid="ignore"):  # an infinite distance ends as None, not as a warning
        low, high = np.quantile(values, [0.25, 0.75]) if len(values) else (math.nan, math.nan)
    return float(low), float(high)


def _mean(values: "pd.Series[float]") -> Measured:
    return number(values.mean() if len(values) else math.nan, len(values))


def _count(mask: "pd.Series[bool]") -> int:
    return int(mask.sum())
