"""ShrinkingBall: down from an adversarial image far away, on balls that shrink and swell about the boundary."""

import math
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor
from torch.nn import functional

from brittle.attacks.minimal.fewest import pixel_by_pixel
from brittle.attacks.parts.asking import Asking, asking_nearest
from brittle.attacks.parts.best import Nearest
from brittle.attacks.parts.contract import Outcome
from brittle.attacks.parts.rows import kept, rows_where
from brittle.attacks.parts.trim import trim
from brittle.catalog import option, register
from brittle.geometry.box import clip, inward, room
from brittle.geometry.l1_budget import project
from brittle.geometry.norms import L0, L1, L2, Lp, Norm, NormLike, norm_of, per_row
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images

_CLIMB, _GROWTH, _CLIMBS = 0.03, 1.3, 10  # length of the climb's first step, in pixels, of each beside the last, count
_SPOTS = 5  # in a row of the random images from which all climbs but the first begin
_TRIES = 8  # climbs, where none has met the goal
_HALVINGS = 5
_MOMENTUM = 0.6
_BELOW = 0.9996  # of the smallest size so far: no step stays outside of it
_SPARSE = 0.02  # of the pixels: where a change is worth fewer of them, a climb pixel by pixel may lead nearer
_TINY = 1e-30
_FAR, _NEAR = {"l1": 0.3, "linf": 1.0}, {"l1": 1.2, "linf": 1.0}
"""First step in units of the ball's radius; in other norms 0.6 and 1.5. Long steps end lower where a walk has led to
the right valley, and miss it from far away."""
_BETWEEN = Lp(1.5)  # L1's own steepest direction is a single value


@register(
    "shrinking-ball",
    paper="arXiv:2102.12827",
    kind="minimal",
    cost="(starts / 2 + 1.2) * steps * (F + B) + 6 starts * F; where few pixels change 200 to 400 F more",
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class ShrinkingBall:
    """Begins far away, where an adversarial image is easily found, and descends on balls that shrink to the boundary.

    On networks that resist, what is seen from the image misleads: gradients vanish or turn, and an attack that begins
    there ends in the first of many minima, or nowhere. So each of ``starts`` climbs takes sign steps of growing length
    until the goal is met, however far away: the first from the image, the second from half-way to an image of soft
    random spots, others from such images. Where what they lead to is worth few pixels, another climb changes single
    pixels to the ends of their range, as the search in L0 does (``fewest.py``): which pixels they are is what tells the
    minima apart, and a gradient does not know. Then it goes back towards the image on a straight line, and descends.

    A descent is FMN (algorithm 1): gradient steps on a ball around the image, whose radius shrinks after each success
    and swells after each failure, by a share that falls along a cosine. Here that share begins at ``shrink`` 0.4
    instead of 0.05, so that the radius rings about the boundary like a temperature that falls, which carries a descent
    across ridges. Steps have momentum and the norm's own steepest direction, and their length is in units of the
    radius. In L1 that direction would be a single value: L1.5's is taken instead, the projection is that on ball and
    box together, and a part of the descent is in L2 first.

    Half-way the smallest of an image's descents is mostly the one that would end smallest, or nearly so. Only that one
    is finished, and the best of all points is descended from once more.
    """

    norm: NormLike = option(L2, "norm to minimise")
    starts: int = option(4, "climbs, each followed by a descent; the nearest is descended from once more", at_least=1)
    steps: int = option(36, "gradient steps of each descent; in L1 the first third of them in L2", at_least=1)
    shrink: float = option(0.4, "first relative change of the radius", at_least=0, below=1)

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        asking = asking_nearest(classifier, images, goal, norm_of(self.norm))
        met, asking.first_gap = asking.look(asking.everyone, images)
        rows = rows_where(~met)
        self.down(asking, rows, rng)
        trim(asking, rows)
        return asking.outcome()

    def down(self, asking: Asking[Nearest], rows: Tensor, rng: Rng) -> None:
        """All of it but the way back, for some rows of a batch."""
        norm, best, steps = asking.best.norm, asking.best, self._steps(asking.best.norm)
        balls = _Ball.around(asking, norm, rows, asking.images[rows])
        for number in range(max(self.starts, _TRIES)):
            at = torch.arange(len(rows), device=rows.device)
            at = at if number < self.starts else rows_where(~best.claimed[rows])
            if not len(at):
                break
            far, found = _climb(asking, rows[at], _start(number, asking.images[rows[at]], rng[rows[at]]))
            balls = self._from(asking, balls, *kept(found, at, far))
        at = rows_where(_share_of_pixels(balls.nearest - asking.images[rows]) < _SPARSE)
        far, found = _by_pixels(asking, rows[at])
        balls = self._from(asking, balls, *kept(found, at, far))
        found = balls.least.isfinite()
        _descended(asking, norm, balls.at(found), range(steps // 2, steps), steps, self.shrink)
        (rows,) = kept(found, rows)
        descend(asking, norm, rows, best.images[rows], steps * 2 // 3, self.shrink)

    def _steps(self, norm: Norm) -> int:
        """Those of a descent in the norm itself."""
        return self.steps - self.steps // 3 if norm == L1 else self.steps

    def _from(self, asking: Asking[Nearest], balls: "_Ball", at: Tensor, far: Images) -> "_Ball":
        """The first half of the descents from ``far``, where the goal is met: ``balls`` with those that are nearer."""
        norm, rows, steps = asking.best.norm, balls.rows[at], self._steps(asking.best.norm)
        x = _back(asking, rows, far)
        if norm == L1:
            x = descend(asking, L2, rows, x, self.steps - steps, self.shrink)
        ball = _Ball.around(asking, norm, rows, x)
        return balls.or_nearer(at, _descended(asking, norm, ball, range(steps // 2), steps, self.shrink))


def _start(number: int, images: Images, rng: Rng) -> Images:
    """Where a climb begins: at the image, half-way to soft random spots, at other such spots."""
    if number == 0:
        return images
    draw = rng.uniform(f"spots {number}", images.new_empty(*images.shape[:2], _SPOTS, _SPOTS))
    spots = functional.interpolate(draw, size=images.shape[2:], mode="bilinear")
    return (images + spots) / 2 if number == 1 else spots


def _climb(asking: Asking[Nearest], rows: Tensor, x: Images) -> tuple[Images, Tensor]:
    """Steps of equal size in all pixels, each longer than the last, until the goal is met: where, and whether it is."""
    x, found = x.clone(), torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
    left = torch.arange(len(rows), device=rows.device)
    for climb in range(_CLIMBS):
        if not len(left):
            return x, found
        gradient, met = asking.descent(rows[left], x[left])
        found[left] = met
        keep = ~met & (gradient != 0).flatten(1).any(1)
        left, gradient = kept(keep, left, gradient)
        x[left] = clip(x[left] + _CLIMB * _GROWTH**climb * gradient.sign())
    if len(left):
        found[left], _ = asking.look(rows[left], x[left])
    return x, found


def _by_pixels(asking: Asking[Nearest], rows: Tensor) -> tuple[Images, Tensor]:
    """Single pixels to the ends of their range, those first that do most, as in L0: where it ends, and whether met."""
    inner = asking_nearest(asking.classifier, asking.images[rows], asking.goal[rows], L0)
    inner.first_gap = asking.first_gap[rows]
    far, found = pixel_by_pixel(inner)
    asking.add(rows, *inner.counts)
    return far, found


def _share_of_pixels(change: Images) -> Tensor:
    """How many equally changed pixels a change is worth, ``||c||_1^2 / ||c||_2^2``, beside all that there are."""
    sizes = torch.linalg.vector_norm(change.flatten(2), dim=1)
    share: Tensor = sizes.sum(1).square() / (sizes.square().sum(1).clamp_min(_TINY) * sizes.shape[1])
    return share


def _back(asking: Asking[Nearest], rows: Tensor, far: Images) -> Images:
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


class _Ball(NamedTuple):
    """Where descents stand. radius: of the ball around the image; least: size of the nearest adversarial image."""

    rows: Tensor
    x: Images
    radius: Tensor
    trend: Images
    least: Tensor
    nearest: Images

    @staticmethod
    def around(asking: Asking[Nearest], norm: Norm, rows: Tensor, x: Images) -> "_Ball":
        """At adversarial images; at the images themselves there is nothing yet, and the size is infinite."""
        size = norm.measure(x - asking.images[rows])
        size = torch.where(size > 0, size, torch.inf)
        return _Ball(rows, x, size, torch.zeros_like(x), size, x)

    def at(self, which: Tensor) -> "_Ball":
        return _Ball(*kept(which, *self))

    def or_nearer(self, at: Tensor, other: "_Ball") -> "_Ball":
        """With those of ``other``, which stand at positions ``at``, where they have come nearer."""
        nearer = rows_where(other.least < self.least[at])
        mixed = [part.clone() for part in self]
        for part, others in zip(mixed, other, strict=True):
            part[at[nearer]] = others[nearer]
        return _Ball(*mixed)


def descend(
    asking: Asking[Nearest], norm: Norm, rows: Tensor, x: Images, steps: int, shrink: float, *, near: bool = False
) -> Images:
    """A whole descent from adversarial images ``x`` of ``rows``; the nearest adversarial images that it has found.

    near: in the longer steps for images that a walk has led to.
    """
    return _descended(asking, norm, _Ball.around(asking, norm, rows, x), range(steps), steps, shrink, near).nearest


def _descended(
    asking: Asking[Nearest], norm: Norm, ball: _Ball, part: range, steps: int, shrink: float, near: bool = False
) -> _Ball:
    """A part of ``steps`` gradient steps with momentum, on balls that shrink after a success and swell after a failure.

    After the last one, what it has led to is looked at.
    """
    rows, x, radius, trend, least, nearest = ball
    origin, towards = asking.images[rows], _BETWEEN if norm == L1 else norm
    stride = _NEAR.get(norm.name, 1.5) if near else _FAR.get(norm.name, 0.6)
    around = room(origin)
    for step in (*part, part.stop) if len(rows) else ():
        looks = step == steps
        if looks:
            met, _ = asking.look(rows, x)
        elif step == part.stop:
            break
        else:
            gradient, met = asking.descent(rows, x)
        size = norm.measure(x - origin)
        nearer = met & (size < least)
        least, nearest = torch.where(nearer, size, least), torch.where(per_row(nearer, x), x, nearest)
        if looks:
            break
        gradient = inward(gradient, x)
        trend = _MOMENTUM * trend + gradient / per_row(L1.measure(gradient).clamp_min(_TINY), gradient)
        fall = (1 + math.cos(math.pi * step / steps)) / 2
        radius = torch.where(met, (1 - shrink * fall) * least, (1 + shrink * fall) * radius).minimum(_BELOW * least)
        moved = x + per_row(fall * stride * radius, x) * towards.steepest(inward(trend, x)) - origin
        moved = project(moved, radius, around) if norm == L1 else norm.project(moved, radius)
        x = clip(origin + moved)
    return _Ball(rows, x, radius, trend, least, nearest)
