"""A change of an image brought to a wanted size, as measured inside the box."""

import math

import torch
from torch import Tensor

from brittle.devices import doubled
from brittle.errors import Unsupported
from brittle.geometry.box import HIGH, LOW, clip
from brittle.geometry.norms import L0, LINF, Norm, each
from brittle.types import Images

_NEAR, _ULP = 1e-6, 2.0**-24  # what rounding to float32 takes: of a size, and of a pixel


def scaled_to(images: Images, delta: Tensor, size: float | Tensor, norm: Norm) -> tuple[Images, Tensor]:
    """``clip(images + t * delta)`` with the t >= 0, row by row, for which its distance from the images is ``size``.

    That is the size of what is left after the box has clipped it: the pixels that touch the box stay there, and the
    others take what is missing. size: a number or ``[B]``. norm: lP with P >= 1. Also returns bool ``[B]``, whether
    the size is reached; it is not where delta is zero, or where every pixel that it moves is at the edge of the box
    before, and then the largest change in this direction is returned.

    In closed form: as t grows, pixels reach the edge in the order of room / |delta|; between two of them the P-th power
    of the distance is ``a + b * t**P``.
    """
    if norm == L0:
        raise Unsupported("a number of pixels cannot be scaled; expected l1, l2, linf or lP")
    x, d = doubled(images).flatten(1), doubled(delta).flatten(1)
    unit = d / d.abs().amax(1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
    step, room = unit.abs(), torch.where(unit > 0, HIGH - x, x - LOW)
    room = torch.where(step > 0, room, 0)
    wanted = each(size, x)
    until = torch.where(step > 0, room / step, 0)  # t at which a pixel is at the edge
    t = _for_largest(step, room, wanted) if norm == LINF else _for_power(step, room, until, wanted, _power(norm))
    t = torch.where(wanted > 0, torch.where(t.isfinite(), t, until.amax(1)), 0)
    moved = torch.where((t.unsqueeze(1) < until), x + t.unsqueeze(1) * unit, x + room * unit.sign())
    scaled = clip(moved.view(images.shape).to(images))
    lost = _NEAR * wanted + _ULP * (1 if norm == LINF else norm.measure(torch.ones_like(x)))
    reached = (norm.measure(doubled(scaled) - doubled(images)) >= wanted - lost) & (step.amax(1) > 0)
    return scaled, reached.to(images.device)


def _power(norm: Norm) -> float:
    return float(getattr(norm, "p", math.nan))


def _for_largest(step: Tensor, room: Tensor, wanted: Tensor) -> Tensor:
    """The first t at which some pixel has moved by ``wanted``; infinity where none has room for it."""
    fastest = torch.where(room >= wanted.unsqueeze(1), step, 0).amax(1)
    return wanted / fastest


def _for_power(step: Tensor, room: Tensor, until: Tensor, wanted: Tensor, p: float) -> Tensor:
    """t with ``sum min(t * step, room)**p = wanted**p``; infinity where the rooms together are too small."""
    order = until.argsort(1)
    edges = until.gather(1, order)
    rooms, steps = room.gather(1, order) ** p, step.gather(1, order) ** p
    stuck = rooms.cumsum(1) - rooms  # of the pixels at the edge before this one
    free = steps.flip(1).cumsum(1).flip(1)  # of this one and those behind
    goal = (wanted**p).unsqueeze(1)
    first = torch.searchsorted(stuck + edges**p * free, goal)
    found = first.squeeze(1) < step.shape[1]
    at = first.clamp_max(step.shape[1] - 1)
    t = ((goal - stuck.gather(1, at)).clamp_min(0) / free.gather(1, at)) ** (1 / p)
    return torch.where(found, t.squeeze(1), torch.inf)
