"""The matrices of a transfer in words: for the page, the terminal and files."""

from collections.abc import Sequence
from typing import Any

from brittle.measure import Measured, Told, TransferCell, TransferMatrix
from brittle.measure.told import Cell
from brittle.pages.words import norm_text, value_text
from brittle.report.worded import count_text, interval_text
from brittle.text import counted, of, percent, size


def title_of(matrix: TransferMatrix) -> str:
    """``"pgd(eps=8/255), untargeted, scaled to L∞ 8/255"``."""
    return f"{matrix.attack}, {matrix.goal}, {size_text(matrix)}"


def size_text(matrix: TransferMatrix) -> str:
    """How large the changes are."""
    return "as it is" if matrix.size is None else f"scaled to {norm_text(matrix.norm)} {size(matrix.size)}"


def matrix_told(matrix: TransferMatrix) -> Told:
    """For the terminal: a row for each source, noise in brackets."""
    rows = [(source, *(_brief(matrix.cell(source, target)) for target in matrix.models)) for source in _sources(matrix)]
    said = f"Transfer of {title_of(matrix)}: of the images that both get right, fooled (and by noise of the same size)"
    return Told((said, *_unable(matrix)), heads=("made for", *matrix.models), rows=tuple(rows))


def cell_rows(matrix: TransferMatrix) -> tuple[tuple[str, ...], list[tuple[Cell, ...]]]:
    """For files: heads, and a row for each source and target with all that is known of it."""
    names = ("fooled", "noise", "of_fooling", "kept", "elsewhere", "wrong", "short")
    rows = [(f"{one.source} on {one.target}", *(getattr(one, name) for name in names)) for one in matrix.cells]
    return ("made for, given to", *names), rows


def transfer_section(matrices: Sequence[TransferMatrix]) -> dict[str, Any] | None:
    """What the page shows: the matrices of each attack and goal, one for each size; None without any."""
    if not matrices:
        return None
    several = len({matrix.goal for matrix in matrices}) > 1
    kinds: dict[str, list[dict[str, Any]]] = {}
    for matrix in matrices:
        name = f"{matrix.attack}, {matrix.goal}" if several else matrix.attack
        kinds.setdefault(name, []).append(_shown(matrix))
    return {"kinds": [{"name": name, "matrices": each} for name, each in kinds.items()]}


def _shown(matrix: TransferMatrix) -> dict[str, Any]:
    rows = [
        {
            "name": source,
            "set": matrix.trained_on.get(source, ""),
            "cells": [_cell(matrix, source, target) for target in matrix.models],
        }
        for source in _sources(matrix)
    ]
    return {
        "title": size_text(matrix),
        "heads": [(name, matrix.trained_on.get(name, "")) for name in matrix.models],
        "rows": rows,
        "unable": _unable(matrix),
        "groups": [
            (one.source, one.target, percent(one.fooled), percent(one.noise), counted(one.cells, "pair"))
            for one in matrix.groups
        ],
    }


def _cell(matrix: TransferMatrix, source: str, target: str) -> dict[str, Any] | None:
    cell = matrix.cell(source, target)
    if cell is None or cell.fooled.value is None:
        return None
    facts = [
        f"{interval_text(cell.fooled, 'fraction')}; {count_text(cell.fooled)}".removeprefix("; "),
        f"noise {interval_text(cell.noise, 'fraction')}; {count_text(cell.noise)}".replace("noise ;", "noise"),
        f"of those that fool {'it' if source == target else 'their model'}: {_rate(cell.of_fooling)}",
        f"class kept: {of(cell.kept, cell.fooled.of or 0)}",
    ]
    facts += [f"another class than wanted: {cell.elsewhere:,}"] if cell.elsewhere else []
    facts += [f"left out, wrong as it is: {cell.wrong:,}"] if cell.wrong else []
    facts += [f"left out, short of the size: {cell.short:,}"] if cell.short else []
    return {
        "share": cell.fooled.value,
        "text": value_text(cell.fooled.value, "fraction"),
        "noise": value_text(cell.noise.value, "fraction"),
        "own": source == target,
        "facts": facts,
    }


def _rate(rate: Measured) -> str:
    return f"{value_text(rate.value, 'fraction')}, {count_text(rate)}" if rate.of else "none"


def _brief(cell: TransferCell | None) -> str:
    if cell is None:
        return ""
    return f"{value_text(cell.fooled.value, 'fraction')}\n({value_text(cell.noise.value, 'fraction')})"


def _sources(matrix: TransferMatrix) -> list[str]:
    return [name for name in matrix.models if name not in matrix.unable]


def _unable(matrix: TransferMatrix) -> list[str]:
    if not matrix.unable:
        return []
    names, several = ", ".join(matrix.unable), len(matrix.unable) > 1
    return [f"Not made for {names}, which {'give' if several else 'gives'} less than the attack asks for."]
