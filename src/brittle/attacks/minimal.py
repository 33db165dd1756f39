"""Minimal: the strongest minimal attack that brittle has for a norm, at its recommended settings."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from brittle.attacks._asking import Asking
from brittle.attacks._contract import Outcome, require
from brittle.attacks._exchange import exchange
from brittle.attacks._trim import trim
from brittle.attacks.boundary_walk import BoundaryWalk
from brittle.attacks.pixel_greedy import PixelGreedy
from brittle.attacks.shrinking_ball import ShrinkingBall, descend
from brittle.attacks.sigma_zero import SigmaZero
from brittle.catalog import option, register
from brittle.geometry.norms import L0, L1, L2, NormLike, is_norm, norm_of
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images

_SETTINGS = {"l1": (12, 24), "l2": (4, 12), "linf": (7, 16)}
"""Steps of the walk and of its polish; in other norms 14 and none."""
_SHORTLIST, _FEW = 64, 6  # pixels that are tried in each greedy step, and the steps that are few
_NARROW, _WIDE = 8, 24  # pixels and pairs that are tried in each exchange
_PIXEL_DESCENTS = (
    (SigmaZero(steps=32, tau_rate=0.06), _NARROW),
    (SigmaZero(steps=20, step_size=0.5, tau_rate=0.06), _NARROW),
    (SigmaZero(steps=20, step_size=0.4, tau_rate=0.06), _WIDE),
)
"""Of other first steps, as Adam's first is nearly one of signs: another of the same size leads to the same place."""
_WORSE = 1.5  # times as many pixels as the best, and two: from there on exchanges hardly catch up
_SWELL = 0.3  # first relative change of the radius on the way from L2 to L1


@register(
    "minimal",
    paper="doi:10.1016/0045-7949(78)90046-9",
    kind="minimal",
    norms=("l0", "l1", "l2", "linf", "lp"),
    cost="20 to 40 (F + B); in l0 some 150 F + 3 B, where the network resists 500 F + 70 B",
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Minimal:
    """The answer without the choice: the strongest minimal attack for the norm, at its recommended settings.

    In L0 that is ``PixelGreedy`` with 64 pixels in each step, as long as six steps seem enough; else three descents of
    ``SigmaZero``, each but the first from the best so far, and exchanges of single pixels after each. In all other
    norms it is ``BoundaryWalk`` with 4 candidates and as many steps as the norm needs: 25 in L1, where each is less
    sure, 4 and 4 of polish in L2, 7 and 10 in Linf, 14 in others. More find less little: in L2, 60 steps and 9
    candidates make ResNet-20's median 1 % smaller, for five times the time.
    """

    norm: NormLike = option(L2, "norm to minimise: l0, l1, l2, linf or lP")

    def __post_init__(self) -> None:
        require(isinstance(self.norm, str) or is_norm(self.norm), "norm l0, l1, l2, linf or lP", self.norm)
        object.__setattr__(self, "norm", norm_of(self.norm))

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        norm = norm_of(self.norm)
        asking = Asking(classifier, images, goal, norm)
        if norm == L0:
            _few_pixels(asking, rng)
            return asking.outcome()
        steps, polish = _SETTINGS.get(norm.name, (14, 0))
        walk = BoundaryWalk(norm=norm, steps=steps, candidates=4, polish=polish)
        walked = walk.walk(asking)
        straight, bent = (~walked.bends).nonzero().squeeze(1), walked.bends.nonzero().squeeze(1)
        walk.finish(asking, walked, straight)
        if norm == L1:
            _by_way_of_l2(asking, straight)
        ShrinkingBall(norm=norm, starts=3 if norm == L1 else 4).down(asking, bent, rng)
        trim(asking, bent)
        return asking.outcome()


def _by_way_of_l2(asking: Asking, rows: Tensor) -> None:
    """A second way to a local optimum in L1, whose walk jumps from pixel to pixel: from where that in L2 ends."""
    rows = rows[asking.best.size[rows] > 0]
    inner = Asking(asking.classifier, asking.images[rows], asking.goal[rows], L2)
    BoundaryWalk(norm=L2, steps=_SETTINGS["l2"][0], candidates=4, polish=0).walk(inner)
    for total, one in zip(asking.counts, inner.counts, strict=True):
        total[rows] += one
    rows, x = rows[inner.best.claimed], inner.best.images[inner.best.claimed]
    descend(asking, L1, rows, x, _SETTINGS["l1"][1], _SWELL)
    trim(asking, rows)


def _few_pixels(asking: Asking, rng: Rng) -> None:
    """Single pixels while a handful of them seems enough; else descents of sigma-zero, and exchanges after each."""
    best = asking.best
    rows = torch.arange(len(best.images), device=best.images.device)
    met, asking.first_gap = asking.look(rows, asking.images)
    rows = _pixel_by_pixel(asking, rows[~met], rng)
    for descent, width in _PIXEL_DESCENTS:
        if not len(rows):
            break
        found = Asking(asking.classifier, asking.images[rows], asking.goal[rows], L0)
        descent.down(found, torch.arange(len(rows), device=rows.device), best.images[rows])
        _add(asking, rows, *found.counts)
        near = found.best.claimed & (found.best.size <= _WORSE * best.size[rows] + 2)
        best.offer(rows, found.best.images, found.best.claimed)
        exchange(asking, rows[near], found.best.images[near], width)
        rows = rows[best.size[rows] > 1]
    rows = (~best.claimed).nonzero().squeeze(1)
    if len(rows):
        _greedily(asking, rows, asking.images[rows], PixelGreedy(), rng)


def _pixel_by_pixel(asking: Asking, rows: Tensor, rng: Rng) -> Tensor:
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


def _greedily(asking: Asking, rows: Tensor, x: Images, attack: PixelGreedy, rng: Rng) -> tuple[Images, Tensor]:
    """Where greedy steps from images ``x`` of ``rows`` lead, and whether the goal is met there."""
    found = attack(asking.classifier, x, asking.goal[rows], rng=rng[rows])
    _add(asking, rows, found.steps, found.forwards, found.backwards)
    asking.best.offer(rows, found.images, found.claimed)
    return found.images, found.claimed


def _add(asking: Asking, rows: Tensor, *counts: Tensor) -> None:
    for total, one in zip(asking.counts, counts, strict=True):
        total[rows] += one
