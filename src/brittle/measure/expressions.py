"""What claims say about quantities: names, their differences and ratios, and comparisons image by image."""

import math
import re
from collections.abc import Mapping

from brittle.measure.models import Measured
from brittle.measure.quantities import Quantities, always_below, paired_difference

_OPERATOR = re.compile(r" (<=|-|/) ")


def names_in(text: str) -> list[str]:
    """The names of quantities in an expression; operators stand between spaces, numbers are no names."""
    return [part for part in _OPERATOR.split(text)[::2] if _number(part) is None]


def measured(text: str, given: Quantities) -> Measured:
    """The value of an expression, with an interval where its parts have one; KeyError with the first unknown name.

    ``A <= B``: the share of images on which A is not above B. ``A - B``: the difference, of one step and model image by
    image over those that both are known of. ``A / B`` and numbers: ``1 - A / B`` is by how much A is less than B.
    """
    for symbol in (" <= ", " - ", " / "):
        left, found, right = text.partition(symbol) if symbol == " <= " else text.rpartition(symbol)
        if not found:
            continue
        both = left in given.each and right in given.each and left.split("/")[:2] == right.split("/")[:2]
        if symbol == " <= ":
            missing = next((side for side in (left, right) if side not in given.each), None)
            if missing is not None:
                raise KeyError(missing)
            return always_below(given.each[left], given.each[right])
        if symbol == " - " and both:
            return paired_difference(given.each[left], given.each[right])
        sides = measured(left, given), measured(right, given)
        return difference(*sides) if symbol == " - " else ratio(*sides)
    constant = _number(text)
    if constant is not None:
        return Measured(value=constant, low=constant, high=constant)
    return given.known[text]


def printed(text: str, published: Mapping[str, float]) -> float | None:
    """The value that an expression has by the figures of a source; None where it prints too few."""
    if " <= " in text:
        return None
    exact = {name: Measured(value=value, low=value, high=value) for name, value in published.items()}
    try:
        return measured(text, Quantities(exact)).value
    except KeyError:
        return None


def difference(one: Measured, other: Measured) -> Measured:
    """One less the other, whose interval follows from theirs where they are independent (Zou and Donner 2008)."""
    if one.value is None or other.value is None:
        return Measured(value=None)
    value = one.value - other.value
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return Measured(value=value)
    return Measured(
        value=value,
        low=value - math.hypot(one.value - one.low, other.high - other.value),
        high=value + math.hypot(one.high - one.value, other.value - other.low),
    )


def ratio(one: Measured, other: Measured) -> Measured:
    """One by the other, the same way, through their logarithms; no interval where an end is not above 0."""
    if one.value is None or not other.value:
        return Measured(value=None)
    value = one.value / other.value
    ends = [(end.value, end.low, end.high) for end in (one, other)]
    if any(end is None or end <= 0 for side in ends for end in side):
        return Measured(value=value)
    logs = [[math.log(end or 1.0) for end in side] for side in ends]
    found = difference(*(Measured(value=middle, low=low, high=high) for middle, low, high in logs))
    assert found.low is not None
    assert found.high is not None
    return Measured(value=value, low=math.exp(found.low), high=math.exp(found.high))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
