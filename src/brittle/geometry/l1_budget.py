"""What attacks with an L1 budget need: the box binds nearly everywhere, so it takes part in every step."""

import torch
from torch import Tensor

from brittle.devices import answers_at_once, doubled
from brittle.geometry.box import Room
from brittle.geometry.norms import each

_MOST_STEPS = 100  # halvings alone take 60


def spend(gradient: Tensor, eps: float | Tensor, room: Room) -> Tensor:
    """The maximiser of ``<gradient, d>`` over the L1 ball of ``eps`` (a number or ``[B]``) in a room.

    Every unit of size is worth the ``|gradient|`` of its coordinate, so the largest go first, each to its wall, until
    eps is spent (arXiv:2103.01208, proposition 3.1).
    """
    flat = gradient.flatten(1)
    wall = torch.where(flat > 0, room.high.flatten(1), room.low.flatten(1)) * (flat != 0)
    order = flat.abs().argsort(dim=1, descending=True, stable=True)
    walls = wall.gather(1, order)
    size = doubled(walls.abs())
    before = size.cumsum(1) - size
    used = (_column(eps, size) - before).clamp_min(0).minimum(size).to(flat)
    return torch.zeros_like(flat).scatter_(1, order, used.copysign(walls)).view_as(gradient)


def project(delta: Tensor, eps: float | Tensor, room: Room) -> Tensor:
    """The nearest point (Euclidean) of the L1 ball of ``eps`` (a number or ``[B]``) in a room, exactly.

    By the KKT conditions every coordinate shrinks by one level and stops at its wall, ``min((|d| - level)+, wall)``
    (arXiv:2103.01208, proposition 2.2).
    """
    flat = delta.flatten(1)
    size = doubled(flat.abs())
    wall = doubled(torch.where(flat > 0, room.high.flatten(1), -room.low.flatten(1)))
    find = _level_by_steps if answers_at_once(flat.device) else _level_by_sorting
    level = find(size, wall, _column(eps, size))
    return ((size - level).clamp_min(0).minimum(wall).to(flat).copysign(flat)).view_as(delta)


def _level_by_sorting(size: Tensor, wall: Tensor, radius: Tensor) -> Tensor:
    """Where the size of what is left is the radius, ``[B, 1]``; 0 where the ball does not bind.

    That size falls on a straight line between the levels where a coordinate leaves its wall or comes to 0; among those
    sorted, the level is found by their cumulative sums (algorithm 1 there). Nobody waits for it.
    """
    kinks, order = torch.cat([size, size - wall], 1).sort(dim=1, descending=True)
    growing = torch.where(order < size.shape[1], 1.0, -1.0).to(size)
    count, total = growing.cumsum(1), (growing * kinks).cumsum(1)
    last = ((total - count * kinks) < radius).sum(1, keepdim=True).clamp_min(1) - 1
    level = (total.gather(1, last) - radius) / count.gather(1, last).clamp_min(1)
    after = torch.nn.functional.pad(kinks, (0, 1)).gather(1, last + 1)
    level = level.maximum(after).minimum(kinks.gather(1, last))  # rounding, where nothing changes between two kinks
    return level.clamp_min(0)


def _level_by_steps(size: Tensor, wall: Tensor, radius: Tensor) -> Tensor:
    """The same without sorting, in less than half of its time on a CPU: Newton's steps, some ten of them.

    They end on the line that has the answer. The lines are no convex function, so a step may leave the bracket of where
    too much is left and where too little is; it is a halving then.
    """
    level = low = torch.zeros_like(radius)
    high = size.amax(1, keepdim=True)
    for _ in range(_MOST_STEPS):
        left = size - level
        over = left.clamp_min(0).minimum(wall).sum(1, keepdim=True) - radius
        low, high = torch.where(over > 0, level, low), torch.where(over > 0, high, level)
        stepped, middle = level + over / ((left > 0) & (left < wall)).sum(1, keepdim=True), (low + high) / 2
        moves = (over != 0) & (stepped != level) & (low < middle) & (middle < high)
        if not moves.any():
            break
        level = torch.where(moves, torch.where((low < stepped) & (stepped < high), stepped, middle), level)
    return level


def sparse_step(gradient: Tensor, count: Tensor) -> Tensor:
    """The sign of the ``count`` (int ``[B]``) largest entries of each row, at size 1 in L1; zero rows stay zero."""
    flat = gradient.flatten(1)
    order = flat.abs().argsort(dim=1, descending=True, stable=True)
    first = torch.arange(flat.shape[1], device=flat.device) < count.unsqueeze(1)
    signs = torch.zeros_like(flat).scatter_(1, order, first.to(flat.dtype)) * flat.sign()
    return (signs / signs.abs().sum(1, keepdim=True).clamp_min(1)).view_as(gradient)


def _column(eps: float | Tensor, like: Tensor) -> Tensor:
    """A radius for each row, ``[B, 1]``."""
    return each(eps, like).unsqueeze(1)
