"""Images as files of 8 bits hold them, each value one of 256 levels; and the levels that are best changed."""

import torch
from torch import Tensor

from brittle.devices import doubled
from brittle.geometry.box import clip, contains
from brittle.geometry.norms import L0, LINF, Lp, Norm, inner, per_row
from brittle.types import Images

LEVELS = 256
STEP = 1 / (LEVELS - 1)
_SLACK = 2.0**-23  # twice what the difference of two float32 pixels can be off by
_TINY = 1e-9
_DOUBLINGS, _BISECTIONS = 6, 16


def to_8bit(images: Images) -> Images:
    """The images after saving with 8 bits a channel, rounded to nearest, and loading again."""
    return clip(images).mul(LEVELS - 1).round().div(LEVELS - 1)


def is_8bit(images: Images) -> Tensor:
    """bool ``[B]``: saving with 8 bits a channel changes nothing."""
    return contains(images) & (images == to_8bit(images)).flatten(1).all(1)


def within(norm: Norm, x: Images, y: Images, most: Tensor) -> Tensor:
    """bool ``[B]``: the distance of y from x is at most what is allowed, ``[B]``."""
    return norm.measure(y - x) <= most * (1 + 1e-6) + _SLACK / 2


def rounded_within(norm: Norm, x: Images, change: Images, most: Tensor) -> Images:
    """``x + change`` on the levels; less of the change where that would be larger than allowed."""
    if norm == LINF:
        limit = per_row(most, x)
        y = to_8bit(x + change.clamp(-limit, limit))
        return to_8bit(y - (y - x).sign() * STEP * ((y - x).abs() > limit + _SLACK))
    y = to_8bit(x + change)
    large = ~within(norm, x, y, most)
    if not bool(large.any()):
        return y
    low, high = torch.zeros_like(most), torch.ones_like(most)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        fits = within(norm, x, to_8bit(x + change * per_row(middle, x)), most)
        low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
    return torch.where(per_row(large, x), to_8bit(x + change * per_row(low, x)), y)


def times_to_gain(norm: Norm, x: Images, change: Images, normal: Images) -> Tensor:
    """float ``[B]``: how many times the change, rounded, gains what it did itself along a normal; 64 at the most."""
    one = torch.ones_like(change[:, 0, 0, 0])
    if norm == L0:
        return one
    enough, low, high = inner(normal, change), 0 * one, one
    for step in range(_DOUBLINGS + _BISECTIONS):
        reach = high if step < _DOUBLINGS else (low + high) / 2
        short = inner(normal, to_8bit(x + change * per_row(reach, x)) - x) < enough
        if step < _DOUBLINGS:
            low, high = torch.where(short, high, low), torch.where(short, 2 * high, high)
        else:
            low, high = torch.where(short, reach, low), torch.where(short, high, reach)
    return high


def normal_of(norm: Norm, change: Images) -> Images:
    """The normal of a plane whose nearest point the change would be; in L0 and L-infinity as in L2."""
    if not isinstance(norm, Lp) or norm == LINF:
        return change
    largest = per_row(LINF.measure(change), change).clamp_min(1e-30)
    return change.sign() * (change.abs() / largest) ** (norm.p - 1)


def best_levels(norm: Norm, images: Images, at: Images, w: Images, need: Tensor, most: Tensor) -> Images:
    """``at`` with each value a level on, a level back, or as it is, so that ``<w, change>`` is ``need`` at least cost.

    The cost is what ``norm(result - images)`` grows by; which levels are worth theirs is a knapsack, filled greedily by
    gain per cost. need: ``[B]``; negative, that much may be given up for a smaller distance. most: ``[B]``, the largest
    distance allowed, or infinity; it is kept, even where the need is not met. L0 changes only pixels that are changed
    already, and L-infinity whatever stays within ``most``; there nothing is taken back.

    at: on the levels. w: ``[B, C, H, W]``, what a value gains. Returns images on the levels.
    """
    stands, slope, need = doubled(at), doubled(w), doubled(need)
    delta, way = stands - doubled(images), slope.sign() * STEP
    gain = slope.abs().flatten(1) * STEP
    limit = per_row(doubled(most) + _SLACK, delta)
    may_go, may_return = _valid(stands, way) & (way != 0), _valid(stands, -way) & (way != 0)
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

    levels = moved.to(way) - (back & ~stays).to(way)
    return to_8bit(at + (levels.view_as(way) * way).to(at))


def _valid(at: Images, way: Tensor) -> Tensor:
    moved = at + way
    return (moved >= -_SLACK) & (moved <= 1 + _SLACK)


def _cost(norm: Norm, delta: Tensor) -> Tensor:
    """What a value adds to the norm's power, in levels; nothing where the norm does not add up."""
    if norm == LINF or not isinstance(norm, Lp):
        return torch.zeros_like(delta)
    cost: Tensor = (delta.abs() / STEP) ** norm.p
    return cost
