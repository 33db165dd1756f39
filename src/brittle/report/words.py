"""Numbers as people read them. Shapes text only; every number comes from measure."""

from dataclasses import dataclass

from brittle.measure import Measured
from brittle.numbers import duration, percent, significant


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
