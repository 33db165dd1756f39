"""Numbers as people read them. Shapes text only; every number comes from measure."""

import math
from dataclasses import dataclass

from brittle.measure import Measured, percent


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


def significant(value: float, digits: int = 3) -> str:
    """Three significant digits without exponents where that is readable: 0.0731, 12.3, 1,024, 2.1e-05."""
    if value == 0:
        return "0"
    if abs(value) < 1e-4:
        return f"{value:.{digits - 1}e}"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{value:,.{max(places, 0)}f}" if abs(value) < 1000 else f"{value:,.0f}"


def duration(seconds: float) -> str:
    """``0.0071`` -> ``"7.10 ms"``."""
    if seconds >= 120:
        return f"{significant(seconds / 60)} min"
    return f"{significant(seconds)} s" if seconds >= 1 else f"{significant(seconds * 1000)} ms"


def value_text(value: float | None, unit: str, norm: str = "l2") -> str:
    """A value in its unit; an en dash where there is none."""
    if value is None:
        return "\u2013"
    if unit == "fraction":
        return percent(value)
    if unit == "seconds":
        return duration(value)
    if unit == "images" or (unit == "distance" and norm == "l0" and value == int(value)):
        return f"{value:,.0f}"
    if unit in ("steps", "passes"):
        return f"{value:,.1f}"
    return significant(value)


def interval_text(measured: Measured, unit: str, norm: str = "l2") -> str:
    """``"78.4 to 83.3 %"``; empty without an interval, and where it is no wider than the value's own rounding."""
    if measured.low is None or measured.high is None:
        return ""
    low, high = (value_text(bound, unit, norm) for bound in (measured.low, measured.high))
    if low == high == value_text(measured.value, unit, norm):
        return ""
    if unit == "fraction" and low[0].isdigit() and high[0].isdigit():
        low = low.removesuffix(" %")
    return f"{low} to {high}"


def count_text(measured: Measured) -> str:
    """``"97 of 120"``; empty for what is not a rate."""
    if measured.count is None or measured.of is None:
        return ""
    return f"{measured.count:,} of {measured.of:,}"
