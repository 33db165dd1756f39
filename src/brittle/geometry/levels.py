"""Images as files of 8 bits hold them, each value one of 256 levels; and the levels that are best changed."""

import torch
from torch import Tensor

from brittle.geometry.box import clip, contains
from brittle.geometry.norms import LINF, Lp, Norm, per_row
from brittle.types import Images

LEVELS = 256
STEP = 1 / (LEVELS - 1)
_SLACK = 2.0**-23  # twice what the difference of two float32 pixels can be off by
_TINY = 1e-9


def to_8bit(images: Images) -> Images:
    """The images after saving with 8 bits a channel, rounded to nearest, and loading again."""
    return clip(images).mul(LEVELS - 1).round().div(LEVELS - 1)


def is_8bit(images: Images) -> Tensor:
    """bool ``[B]``: saving with 8 bits a channel changes nothing."""
    return contains(images) & (images == to_8bit(images)).flatten(1).all(1)


def best_levels(norm: Norm, images: Images, at: Images, w: Images, need: Tensor, most: Tensor) -> tuple[Images, Tensor]:
    """``at`` with each value a level on, a level back, or as it is, so that ``<w, change>`` is ``need`` at least cost.

    The cost is what ``norm(result - images)`` grows by; which levels are worth theirs is a knapsack, filled greedily by
    gain per cost. need: ``[B]``; negative, that much may be given up for a smaller distance. most: ``[B]``, the largest
    distance allowed, or infinity; where it is too small for the need, it is kept. L0
    changes only pixels that are changed already, and L-infinity whatever stays within ``most``; there nothing is taken
    back.

    at: on the levels. w: ``[B, C, H, W]``, what a value gains. Returns images on the levels, and the gain ``[B]``.
    """
    delta, way = at.double() - images.double(), w.double().sign() * STEP
    gain = w.double().abs().flatten(1) * STEP
    limit = per_row(most.double() + _SLACK, delta)
    may_go, may_return = _valid(at, way) & (way != 0), _valid(at, -way) & (way != 0)
    if norm == LINF:
        may_go &= (delta + way).abs() <= limit
        may_return = torch.zeros_like(may_go)
    elif not isinstance(norm, Lp):
        may_go &= (delta != 0).any(1, keepdim=True)
        may_return = torch.zeros_like(may_go)
    here, there, behind, cap = (_cost(norm, one).flatten(1) for one in (delta, delta + way, delta - way, limit))
    growth, saving = there - here, here - behind
    go, back = may_go.flatten(1), may_return.flatten(1) & (saving > _TINY)

    # As if all had been moved back: then the best are let stay, or moved on, one after the other.
    worth = torch.cat([gain / growth.clamp_min(_TINY), gain / saving.clamp_min(_TINY)], 1)
    worth = worth.masked_fill(~torch.cat([go, back], 1), -1)
    order = worth.argsort(dim=1, descending=True, stable=True)
    real = worth.gather(1, order) >= 0
    gained = (torch.cat([gain, gain], 1).gather(1, order) * real).cumsum(1) - (gain * back).sum(1, keepdim=True)
    spent = (torch.cat([growth, saving], 1).gather(1, order) * real).cumsum(1)
    spent = spent + (here - saving * back).sum(1, keepdim=True)
    before = torch.cat([-(gain * back).sum(1, keepdim=True), gained[:, :-1]], 1)
    taken = real & (before < need.unsqueeze(1)) & (spent <= cap)
    moved, stays = torch.zeros_like(taken).scatter(1, order, taken).chunk(2, 1)

    levels = moved.double() - (back & ~stays).double()
    return to_8bit(at + (levels.view_as(way) * way).to(at.dtype)), (levels * gain).sum(1).to(w.dtype)


def _valid(at: Images, way: Tensor) -> Tensor:
    moved = at + way
    return (moved >= -_SLACK) & (moved <= 1 + _SLACK)


def _cost(norm: Norm, delta: Tensor) -> Tensor:
    """What a value adds to the norm's power, in levels; nothing where the norm does not add up."""
    if norm == LINF or not isinstance(norm, Lp):
        return torch.zeros_like(delta)
    cost: Tensor = (delta.abs() / STEP) ** norm.p
    return cost
