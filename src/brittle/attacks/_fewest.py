"""Minimal in L0: single pixels while a handful seems enough, else descents of sigma-zero, and exchanges after each."""

import torch
from torch import Tensor

from brittle.attacks._exchange import exchange
from brittle.attacks.parts.asking import Asking, asking_nearest
from brittle.attacks.parts.best import Nearest
from brittle.attacks.pixel_greedy import PixelGreedy
from brittle.attacks.sigma_zero import SigmaZero
from brittle.geometry.norms import L0
from brittle.rng import Rng
from brittle.types import Images

_SHORTLIST, _FEW = 64, 6  # pixels that are tried in each greedy step, and the steps that are few
_NARROW, _WIDE = 8, 24  # pixels and pairs that are tried in each exchange
_DESCENTS = (
    (SigmaZero(steps=32, tau_rate=0.06), _NARROW),
    (SigmaZero(steps=20, step_size=0.5, tau_rate=0.06), _NARROW),
    (SigmaZero(steps=20, step_size=0.4, tau_rate=0.06), _WIDE),
)
"""Of other first steps, as Adam's first is nearly one of signs: another of the same size leads to the same place."""
_WORSE = 1.5  # times as many pixels as the best, and two: from there on exchanges hardly catch up


def fewest_pixels(asking: Asking[Nearest], rng: Rng) -> None:
    """Single pixels while a handful of them seems enough; else descents of sigma-zero, and exchanges after each."""
    best = asking.best
    rows = torch.arange(len(best.images), device=best.images.device)
    met, asking.first_gap = asking.look(rows, asking.images)
    rows = _pixel_by_pixel(asking, rows[~met], rng)
    for descent, width in _DESCENTS:
        if not len(rows):
            break
        found = asking_nearest(asking.classifier, asking.images[rows], asking.goal[rows], L0)
        descent.down(found, torch.arange(len(rows), device=rows.device), best.images[rows])
        asking.add(rows, *found.counts)
        near = found.best.claimed & (found.best.size <= _WORSE * best.size[rows] + 2)
        best.offer(rows, found.best.images, found.best.claimed)
        exchange(asking, rows[near], found.best.images[near], width)
        rows = rows[best.size[rows] > 1]
    rows = (~best.claimed).nonzero().squeeze(1)
    if len(rows):
        _greedily(asking, rows, asking.images[rows], PixelGreedy(), rng)


def _pixel_by_pixel(asking: Asking[Nearest], rows: Tensor, rng: Rng) -> Tensor:
    """Greedy steps for some rows, while the margin falls fast enough for a few of them; the rows that they leave."""
    left, x = rows, asking.images[rows]
    attack = PixelGreedy(shortlist=_SHORTLIST, max_steps=1, prune=False)
    for step in range(_FEW):
        if not len(left):
            break
        x, met = _greedily(asking, left, x, attack, rng)
        exchange(asking, left[met], x[met], _NARROW)
        left, x = left[~met], x[~met]
        if len(left) and step + 1 < _FEW:
            _, margin = asking.look(left, x)
            on = margin <= (1 - (step + 1) / _FEW) * asking.first_gap[left]
            left, x = left[on], x[on]
    return rows[~asking.best.claimed[rows]]


def _greedily(asking: Asking[Nearest], rows: Tensor, x: Images, attack: PixelGreedy, rng: Rng) -> tuple[Images, Tensor]:
    """Where greedy steps from images ``x`` of ``rows`` lead, and whether the goal is met there."""
    found = attack(asking.classifier, x, asking.goal[rows], rng=rng[rows])
    asking.add(rows, found.steps, found.forwards, found.backwards)
    asking.best.offer(rows, found.images, found.claimed)
    return found.images, found.claimed
