"""Cutting what an attack holds to the rows that it still works on."""

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from brittle.catalog import is_attack

State = TypeVar("State")


def rows_where(which: Tensor) -> Tensor:
    """The rows where bool ``which`` holds, as indices: asked for once, where each use of the mask would ask again."""
    return which.nonzero().squeeze(1)


def kept(which: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
    """The rows of each tensor where bool ``which`` holds; the tensors themselves where it is all of them."""
    rows = rows_where(which)
    return parts if len(rows) == len(which) else tuple(part[rows] for part in parts)


def rows_of(state: State, rows: Tensor) -> State:
    """A dataclass or tuple with some rows of all that it holds, as indices or bool.

    What can be indexed by rows, such as tensors, goals and spaces, is; lists and tuples are gone into; numbers, texts
    and None stay as they are.
    """
    cut: Any = _cut(state, rows_where(rows) if rows.dtype == torch.bool else rows)
    found: State = cut
    return found


def _cut(state: Any, rows: Tensor) -> Any:
    if isinstance(state, tuple):
        parts = [_cut(part, rows) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)
    if isinstance(state, list):
        return [_cut(part, rows) for part in state]
    if hasattr(state, "__getitem__") and not isinstance(state, str):
        return state[rows]
    if is_dataclass(state) and not is_attack(state):
        return replace(state, **{one.name: _cut(getattr(state, one.name), rows) for one in fields(state)})  # type: ignore[type-var]
    return state
