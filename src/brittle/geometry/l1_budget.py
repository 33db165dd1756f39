"""What attacks with an L1 budget need: the box binds nearly everywhere, so it takes part in every step."""

import torch
from torch import Tensor

from brittle.devices import doubled
from brittle.geometry.box import Room
from brittle.geometry.norms import each


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

    By the KKT conditions every coordinate shrinks by one level and stops at its wall, ``min((|d| - level)+, wall)``.
    The size of that is linear in the level between the levels where a coordinate leaves its wall or comes to 0; among
    those sorted, the level is found by their cumulative sums (arXiv:2103.01208, proposition 2.2 and algorithm 1).
    """
    flat = delta.flatten(1)
    size = doubled(flat.abs())
    wall = doubled(torch.where(flat > 0, room.high.flatten(1), -room.low.flatten(1)))
    kinks, order = torch.cat([size, size - wall], 1).sort(dim=1, descending=True)
    growing = torch.where(order < size.shape[1], 1.0, -1.0).to(size)
    count, total = growing.cumsum(1), (growing * kinks).cumsum(1)
    radius = _column(eps, size)
    last = ((total - count * kinks) < radius).sum(1, keepdim=True).clamp_min(1) - 1
    level = (total.gather(1, last) - radius) / count.gather(1, last).clamp_min(1)
    after = torch.nn.functional.pad(kinks, (0, 1)).gather(1, last + 1)
    level = level.maximum(after).minimum(kinks.gather(1, last))  # rounding, where nothing changes between two kinks
    level = level.clamp_min(0)  # the ball does not bind
    return ((size - level).clamp_min(0).minimum(wall).to(flat).copysign(flat)).view_as(delta)


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
