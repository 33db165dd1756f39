"""What L1 needs beside the general forms: its solutions touch few coordinates, and fill them one after another."""

import torch
from torch import Tensor

from brittle.devices import doubled, is_due
from brittle.geometry.box import Room

_TINY = torch.finfo(torch.float32).tiny
_ROOT_STEPS = 30
_CLOSE = 1e-4  # of the gap


def fill(gap: Tensor, w: Tensor, room: Room) -> Tensor:
    """The smallest step to a plane in a room, a fractional knapsack: the largest ``|w|`` first, each to its wall."""
    flat = w.flatten(1)
    wall = torch.where(flat > 0, room.high.flatten(1), room.low.flatten(1)) * (flat != 0)
    order = flat.abs().argsort(dim=1, descending=True, stable=True)
    gain = (flat * wall).gather(1, order)
    before = gain.cumsum(1) - gain
    used = ((gap.unsqueeze(1) - before) / gain.clamp_min(_TINY)).clamp(0, 1)
    return torch.zeros_like(flat).scatter_(1, order, used * wall.gather(1, order)).view_as(w)


def project(delta: Tensor, r: Tensor) -> Tensor:
    """Soft-thresholding at the level that meets the radius (Duchi et al. 2008, fig. 1).

    In double precision: the level is a small difference of sums over all pixels.
    """
    size, radius = doubled(delta.flatten(1).abs()), doubled(r).flatten(1)
    ordered = size.sort(1, descending=True).values
    count = torch.arange(1, size.shape[1] + 1, device=size.device, dtype=size.dtype)
    level = (ordered.cumsum(1) - radius) / count
    last = (ordered > level).sum(1, keepdim=True).clamp_min(1) - 1
    threshold = level.gather(1, last).clamp_min(0)  # 0 for what is inside, which then stays as it is
    return ((size - threshold).clamp_min(0).to(delta) * delta.flatten(1).sign()).view_as(delta)


def proximal(delta: Tensor, gap: Tensor, w: Tensor, room: Room, threshold: Tensor) -> Tensor:
    """``argmin ||e||_1 + ||e - delta||^2 / (2 threshold)`` with ``<w, e> = gap`` and ``e`` in the room.

    By the KKT conditions ``e = clip(soft(delta + mu threshold w, threshold))`` with one multiplier mu per row, and
    ``<w, e>`` grows with mu: a root that is bracketed and found by the Illinois variant of false position.
    """
    largest = w.flatten(1).abs().amax(1).clamp_min(_TINY)
    d, unit = delta.flatten(1), w.flatten(1) / largest.unsqueeze(1)
    wanted = gap / largest
    level, low, high = threshold.unsqueeze(1), room.low.flatten(1), room.high.flatten(1)
    push = level * unit

    def at(mu: Tensor) -> Tensor:
        moved = torch.addcmul(d, push, mu.unsqueeze(1))
        return torch.clamp(moved - moved.clamp(-level, level), low, high)

    # At mu_high every useful coordinate but rounding is at its wall; where even that is short, it is the answer.
    below, above = torch.zeros_like(wanted), torch.full_like(wanted, 2.0)
    f_below = (unit * at(below)).sum(1) - wanted
    f_above = (unit * at(above)).sum(1) - wanted
    for turn in range(_ROOT_STEPS):
        short = f_above < 0
        if is_due(turn, _ROOT_STEPS, w.device) and not (short & (above < 1e6)).any():
            break
        below, f_below = torch.where(short, above, below), torch.where(short, f_above, f_below)
        above = torch.where(short, 4 * above, above)
        f_above = torch.where(short, (unit * at(above)).sum(1) - wanted, f_above)
    side, beyond = torch.zeros_like(wanted), f_above
    for turn in range(_ROOT_STEPS):
        open_rows = (beyond > _CLOSE * wanted.abs()) & (f_below < 0)
        if is_due(turn, _ROOT_STEPS, w.device) and not open_rows.any():
            break
        mu = torch.where(open_rows, above - f_above * (above - below) / (f_above - f_below).clamp_min(_TINY), above)
        f = (unit * at(mu)).sum(1) - wanted
        up = f >= 0
        # Illinois: an end that has stayed twice counts half, or false position would creep.
        f_below = torch.where(up & (side == 1), f_below / 2, torch.where(up, f_below, f))
        f_above = torch.where(~up & (side == -1), f_above / 2, torch.where(up, f, f_above))
        below, above, beyond = torch.where(up, below, mu), torch.where(up, mu, above), torch.where(up, f, beyond)
        side = torch.where(up, 1.0, -1.0)
    return at(torch.where(f_below >= 0, below, above)).view_as(delta)
