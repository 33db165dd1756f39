"""Plain numbers in, text out: values in their units, intervals and norms."""

from dataclasses import dataclass

from brittle.text import NONE, duration, of, percent, points, significant


@dataclass(frozen=True, slots=True)
class NormName:
    """How a norm is written."""

    short: str
    long: str
    axis: str


NORM_NAMES = {
    "l2": NormName("L2", "L2, the overall size", "L2 norm (pixel values run from 0 to 1)"),
    "linf": NormName(
        "L\u221e", "L\u221e, the largest change of a value", "L\u221e norm (pixel values run from 0 to 1)"
    ),
    "l1": NormName("L1", "L1, the sum of all changes", "L1 norm (pixel values run from 0 to 1)"),
    "l0": NormName("L0", "L0, the number of changed pixels", "L0 norm (changed pixels)"),
}


def norm_text(norm: str) -> str:
    """``"linf"`` -> ``"L∞"``; a norm without a name of its own as it is."""
    return NORM_NAMES[norm].short if norm in NORM_NAMES else norm


def value_text(value: float | None, unit: str, norm: str = "l2") -> str:
    """A value in its unit; an en dash where there is none."""
    if value is None:
        return NONE
    if unit == "fraction":
        return percent(value)
    if unit == "points":
        return points(value)
    if unit == "times":
        return f"{significant(value)} times"
    if unit == "seconds":
        return duration(value)
    if unit == "images" or (unit == "distance" and norm == "l0" and value == int(value)):
        return f"{value:,.0f}"
    if unit in ("steps", "passes"):
        return f"{value:,.1f}"
    return significant(value)


def interval_text(value: float | None, low: float | None, high: float | None, unit: str, norm: str = "l2") -> str:
    """``"78.4 to 83.3 %"``; empty without an interval, and where it is no wider than the value's own rounding."""
    if low is None or high is None:
        return ""
    below, above = (value_text(bound, unit, norm) for bound in (low, high))
    if below == above == value_text(value, unit, norm):
        return ""
    if unit == "fraction" and below[0].isdigit() and above[0].isdigit():
        below = below.removesuffix(" %")
    return f"{below} to {above}"


def rate_text(value: float | None, low: float | None, high: float | None, count: int, whole: int) -> str:
    """A rate with what it counts and its interval: ``"80.0 % (24 of 30; 95 % interval 62.7 to 90.5 %)"``."""
    interval = interval_text(value, low, high, "fraction") or "as wide as the rounding"
    return f"{value_text(value, 'fraction')} ({of(count, whole)}; 95 % interval {interval})"


def distance_text(value: float | None, norm: str) -> str:
    """``"L2 distance 0.0731"``, ``"3 pixels"``."""
    if norm == "l0":
        return f"{value_text(value, 'distance', norm)} pixel" + ("" if value == 1 else "s")
    return f"{norm_text(norm)} distance {value_text(value, 'distance', norm)}"
