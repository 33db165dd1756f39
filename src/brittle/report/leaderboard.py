"""A leaderboard in words: for the page, the terminal and files."""

from collections.abc import Iterator, Mapping
from typing import Any

from brittle.measure import Budget, Leaderboard, Sized, Standing, Told
from brittle.measure.told import Cell
from brittle.pages.words import norm_text
from brittle.report.sections import told_cell
from brittle.text import NONE, counted, size

_LOST = (
    "An image is lost at a budget as soon as any attack of this run has found a confirmed change within it, whatever"
    " the attack was made for. A median distance is that of the smallest change that any attack found, over all images"
    " that were right; those that withstood count as infinitely far. Budgets are those of the run's attacks; in a norm"
    " with minimal attacks alone, what fools half of the images that any model gets right."
)
_RANKED = (
    "Two models are told apart where the 95 % intervals of their robust accuracies do not overlap, so a rank may be a"
    " range: from one more than the models that are surely better to all but those that are surely worse. The rank of"
    " a model covers those at all budgets; the order is that of the mean robust accuracy."
)


def leaderboard_told(board: Leaderboard) -> Told:
    """For the terminal and for files: a row for each model, called by its goal too where there are several."""
    goals = _goals(board)
    heads = ["model, goal" if goals else "model", *_heads(board), "Doubts"]
    rows = [
        (f"{one.model}, {one.goal}" if goals else one.model, *_cells(one, board), ", ".join(one.doubts) or "none")
        for one in board.standings
    ]
    return Told((_title(board), *_rule(board)), heads=tuple(heads), rows=tuple(rows))


def leaderboard_section(board: Leaderboard, prefixes: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    """What the page shows. prefixes: of the anchors of a model and goal. Robust accuracies have their ranks below."""
    rows = []
    for number, one in enumerate(board.standings):
        cells = [told_cell(cell) for cell in _cells(one, board)]
        if _ranked(board):
            cells[0]["sort"] = number
            for cell, rank in zip(cells[2:], one.ranks, strict=False):  # behind the rank and clean accuracy
                cell["count"] = f"rank {rank_text(rank)}"
        facts = {"prefix": prefixes[one.model, one.goal], "model": one.model, "goal": one.goal}
        rows.append(facts | {"complete": one.complete, "cells": cells, "doubts": one.doubts})
    heads = [*_heads(board), "Doubts"]
    return {"title": _title(board), "rule": _rule(board), "goals": _goals(board), "heads": heads, "rows": rows}


def rank_text(rank: tuple[int, int] | None) -> str:
    """``(1, 3)`` -> ``"1–3"``, ``(2, 2)`` -> ``"2"``."""
    if rank is None:
        return NONE
    best, worst = rank
    return f"{best}" if best == worst else f"{best}\u2013{worst}"


def budget_text(budget: Budget) -> str:
    """``"L∞ 8/255"``, ``"3 pixels"``."""
    return counted(budget.eps, "pixel") if budget.norm == "l0" else f"{norm_text(budget.norm)} {size(budget.eps)}"


def _cells(one: Standing, board: Leaderboard) -> Iterator[Cell]:
    if _ranked(board):
        yield rank_text(one.place)
    yield one.clean_accuracy
    yield from one.robust_accuracy
    for norm in board.norms:
        distance = one.median_distance[norm]
        yield "most withstand" if distance.of and distance.value is None else Sized(distance, "distance", norm)
    yield Sized(one.passes, "passes")


def _heads(board: Leaderboard) -> list[str]:
    return [
        *(["Rank"] if _ranked(board) else []),
        "Clean accuracy",
        *(f"Robust accuracy, {budget_text(budget)}" for budget in board.budgets),
        *(f"Median distance, {norm_text(norm)}" for norm in board.norms),
        "Passes an image",
    ]


def _rule(board: Leaderboard) -> tuple[str, ...]:
    return (_LOST, _RANKED, *_unranked(board)) if _ranked(board) else (_LOST,)


def _unranked(board: Leaderboard) -> Iterator[str]:
    """Where some models have met fewer attacks than others."""
    for one in board.standings:
        if one.without:
            yield (
                f"{one.model} has no rank, as it was not attacked by {', '.join(one.without)}: its numbers are those of"
                " fewer attackers."
            )


def _title(board: Leaderboard) -> str:
    counts = {one.clean_accuracy.of for one in board.standings if one.clean_accuracy.of}
    each = f" to each of {counted(counts.pop(), 'image')}" if len(counts) == 1 else " to each image"
    return f"The worst that any attack of this run does{each}, with 95 % intervals."


def _goals(board: Leaderboard) -> bool:
    return len({one.goal for one in board.standings}) > 1


def _ranked(board: Leaderboard) -> bool:
    return len({one.model for one in board.standings}) > 1
