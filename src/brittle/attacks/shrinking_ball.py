"""ShrinkingBall: down from an adversarial image far away, on balls that shrink and swell about the boundary."""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from brittle.attacks._asking import Asking
from brittle.attacks._contract import Outcome, require, require_finite, require_norm
from brittle.attacks._trim import trim
from brittle.catalog import option, register
from brittle.geometry._l1_budget import project
from brittle.geometry.box import clip, inward, room
from brittle.geometry.norms import L1, L2, Lp, Norm, NormLike, norm_of, per_row
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images

_CLIMB, _GROWTH, _CLIMBS = 0.03, 1.3, 10  # length of the climb's first step, in pixels, of each beside the last, count
_NOISE = 0.5  # of the pixels' range: how far from the image the second climb begins
_SQUARES = 2  # in a row of the random images from which further climbs begin
_TRIES = 8  # climbs, where none has met the goal
_HALVINGS = 6
_MOMENTUM = 0.6
_BELOW = 0.9996  # of the smallest size so far: no step stays outside of it
_TINY = 1e-30
_STRIDES = {"l1": 0.3, "l2": 0.6}
"""First step in units of the ball's radius; 1 in other norms."""
_BETWEEN = Lp(1.5)  # L1's own steepest direction is a single value


@register(
    "shrinking-ball",
    paper="arXiv:2102.12827",
    kind="minimal",
    norms=("l1", "l2", "linf", "lp"),
    cost="(8 + steps) * (F + B) + 12 F",
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class ShrinkingBall:
    """Climbs until the goal is met, goes back to the boundary, and follows it on balls that shrink."""

    norm: NormLike = option(L2, "norm to minimise")
    starts: int = option(3, "climbs, each followed by a descent; the nearest point of all is descended from once more")
    steps: int = option(30, "gradient steps of each descent; in L1 half as many in L2 before them")
    shrink: float = option(0.3, "first relative change of the radius")

    def __post_init__(self) -> None:
        require(self.starts >= 1, "starts >= 1", self.starts)
        require(self.steps >= 1, "steps >= 1", self.steps)
        require_finite("shrink", self.shrink)
        require(self.shrink < 1, "shrink < 1", self.shrink)
        require_norm(self, self.norm)

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        asking = Asking(classifier, images, goal, norm_of(self.norm))
        rows = torch.arange(len(images), device=images.device)
        met, asking.first_gap = asking.look(rows, images)
        self.down(asking, rows[~met], rng)
        trim(asking, rows[~met])
        return asking.outcome()

    def down(self, asking: Asking, rows: Tensor, rng: Rng) -> None:
        """All of it but the way back, for some rows of a batch."""
        norm, best = asking.norm, asking.best
        for number in range(max(self.starts, _TRIES)):
            open_rows = rows if number < self.starts else rows[~best.claimed[rows]]
            if not len(open_rows):
                break
            far, found = _climb(asking, open_rows, _start(number, asking.images[open_rows], rng[open_rows]))
            x, reached = _back(asking, open_rows[found], far[found]), open_rows[found]
            if norm == L1:
                x = descend(asking, L2, reached, x, self.steps // 2, self.shrink)
            descend(asking, norm, reached, x, self.steps, self.shrink)
        rows = rows[best.claimed[rows]]
        descend(asking, norm, rows, best.images[rows], self.steps, self.shrink)


def _start(number: int, images: Images, rng: Rng) -> Images:
    """Where a climb begins: at the image, in noise around it, at images of a few squares at random."""
    if number == 0:
        return images
    if number == 1:
        return clip(images + _NOISE * (2 * rng.uniform("noise", images) - 1))
    height, width = images.shape[2:]
    draw = rng.uniform(f"squares {number}", images.new_empty(*images.shape[:2], _SQUARES, _SQUARES))
    return functional.interpolate(draw, size=(height, width))


def _climb(asking: Asking, rows: Tensor, x: Images) -> tuple[Images, Tensor]:
    """Steps of equal size in all pixels, each longer than the last, until the goal is met; where it was, and whether."""
    x, found = x.clone(), torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
    left = torch.arange(len(rows), device=rows.device)
    for climb in range(_CLIMBS):
        if not len(left):
            return x, found
        gradient, met = asking.descent(rows[left], x[left])
        found[left] = met
        keep = ~met & (gradient != 0).flatten(1).any(1)
        left, gradient = left[keep], gradient[keep]
        x[left] = clip(x[left] + _CLIMB * _GROWTH**climb * gradient.sign())
    if len(left):
        found[left], _ = asking.look(rows[left], x[left])
    return x, found


def _back(asking: Asking, rows: Tensor, far: Images) -> Images:
    """Back towards the image on a straight line, by halves, as far as the goal is met."""
    low, high = torch.zeros(len(rows), device=far.device), torch.ones(len(rows), device=far.device)
    origin, x = asking.images[rows], far
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        tried = torch.lerp(origin, far, per_row(middle, far))
        met, _ = asking.look(rows, tried)
        low, high = torch.where(met, low, middle), torch.where(met, middle, high)
        x = torch.where(per_row(met, x), tried, x)
    return x


def descend(asking: Asking, norm: Norm, rows: Tensor, x: Images, steps: int, shrink: float) -> Images:
    """Gradient steps with momentum, on balls that shrink after each success and swell after each failure.

    x: adversarial images of ``rows`` to start from. The nearest adversarial images that were found in this descent.
    """
    origin = asking.images[rows]
    least, nearest = norm.measure(x - origin), x
    radius, trend = least, torch.zeros_like(x)
    stride, towards, around = _STRIDES.get(norm.name, 1.0), _BETWEEN if norm == L1 else norm, room(origin)
    for step in range(steps + 1 if len(rows) else 0):
        if step == steps:
            met, _ = asking.look(rows, x)
        else:
            gradient, met = asking.descent(rows, x)
        size = norm.measure(x - origin)
        nearer = met & (size < least)
        least, nearest = torch.where(nearer, size, least), torch.where(per_row(nearer, x), x, nearest)
        if step == steps:
            break
        gradient = inward(gradient, x)
        trend = _MOMENTUM * trend + gradient / per_row(L1.measure(gradient).clamp_min(_TINY), gradient)
        fall = (1 + math.cos(math.pi * step / steps)) / 2
        radius = torch.where(met, (1 - shrink * fall) * least, (1 + shrink * fall) * radius).minimum(_BELOW * least)
        moved = x + per_row(fall * stride * radius, x) * towards.steepest(inward(trend, x)) - origin
        moved = project(moved, radius, around) if norm == L1 else norm.project(moved, radius)
        x = clip(origin + moved)
    return nearest
