"""What becomes of each class, as a table; and where it fits, each class by what it is taken for."""

from typing import Any

from brittle.measure import ClassSummary, Summary
from brittle.report.sections import measured_cell
from brittle.text import percent

ROWS = 30
"""Classes that the table has at most, and ..."""
SQUARE = 20
"""... that the square of classes by classes has."""
NAMED = 3
"""Of what a class is taken for."""


def by_class(summary: Summary) -> dict[str, Any] | None:
    """The table, and for a few classes a square; None for a single class, of which all other numbers are.

    Of many classes those that the most images leave for another, or come to; the others are counted.
    """
    every = summary.classes
    if len(every) < 2:
        return None
    moved = sorted(every, key=lambda one: (-sum(one.taken_for.values()) - one.attracts, one.index))[:ROWS]
    chosen = sorted(moved, key=lambda one: one.index) if len(every) <= ROWS else moved
    names = {one.index: one.name for one in every}
    return {
        "attack": None if summary.strongest is None else summary.attack(summary.strongest).label,
        "of": len(every),
        "rows": [_row(one, names) for one in chosen],
        "square": _square(every) if summary.strongest is not None and len(every) <= SQUARE else None,
    }


def _row(one: ClassSummary, names: dict[int, str]) -> dict[str, Any]:
    most = list(one.taken_for.items())[:NAMED]
    return {
        "name": one.name,
        "clean": measured_cell(one.clean_accuracy, "fraction", "l2"),
        "robust": measured_cell(one.robust_accuracy, "fraction", "l2"),
        "taken": [(names[index], count) for index, count in most],
        "attracts": one.attracts,
    }


def _square(every: list[ClassSummary]) -> dict[str, Any]:
    """Of the images of each class that were right: how many still are, and what the others are taken for."""
    rows = []
    for one in every:
        right = one.clean_accuracy.count
        counts = one.taken_for | {one.index: one.robust_accuracy.count or 0}
        if right:  # or there is nothing to say
            cells = [_share(counts.get(other.index, 0), right, own=other is one) for other in every]
            rows.append({"name": one.name, "cells": cells})
    return {"heads": [one.name for one in every], "rows": rows}


def _share(count: int, right: int, *, own: bool) -> dict[str, Any]:
    return {"count": count, "own": own, "share": count / right, "says": percent(count / right)}
