"""Measured numbers in words."""

from brittle.measure import Measured
from brittle.pages import words
from brittle.text import of


def interval_text(measured: Measured, unit: str, norm: str = "l2") -> str:
    """The 95 % interval; empty where there is none, or none that is wider than rounding."""
    return words.interval_text(measured.value, measured.low, measured.high, unit, norm)


def count_text(measured: Measured) -> str:
    """``"97 of 120"``; empty for what is not a rate."""
    return "" if measured.count is None or measured.of is None else of(measured.count, measured.of)
