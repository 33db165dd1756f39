"""BoundaryWalk: to the nearest point of the decision boundary, class by class (Rackwitz and Fiessler 1978)."""

import math
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor

from brittle.attacks._contract import Outcome, require, require_norm
from brittle.attacks._loop import BestSoFar
from brittle.attacks._margin import margin_descent
from brittle.catalog import option, register
from brittle.geometry.box import clip, inward, room
from brittle.geometry.norms import L1, L2, Norm, NormLike, inner, norm_of, per_row
from brittle.goals import Goal, Untargeted
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images, Labels, Logits

_BEYOND = 0.01  # of an image's first gap: how far behind the boundary the walk keeps at least
_SPREADS = (1.5, 1.3, 1.2)  # how much farther than the nearest class another may seem, and stay in the race
_FIRST_PACES = (1.0, 0.7, 0.7, 0.7)
_LAST_PACE = 0.03
_FARTHER = 1.2  # times as far behind after a step that fell short, and as much nearer after one that did not
_FARTHEST = 0.3
_LONGER = (1.02, 1.05, 1.1, 1.2, 1.4, 1.7)
_ARRIVED = 1e-3  # of the perturbation's size: a whole step this small changes nothing any more
_RESCUE_STEPS = 30
_STRIDE, _MOMENTUM = 0.6, 0.6
_SHRINK, _BELOW = 0.02, 0.9996
_TINY = 1e-30
_TRIMS = 4
_CLOSE = 5e-4  # of the first gap: how near to the boundary is near enough


@register(
    "boundary-walk",
    paper="doi:10.1016/0045-7949(78)90046-9",
    kind="minimal",
    norms=("l1", "l2", "linf", "lp"),
    cost="20 to 30 (F + B)",
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class BoundaryWalk:
    """Walks along the boundary to its nearest point, after a race between the nearest classes.

    Structural reliability knows the problem as that of the most probable failure point, and solves it with the HL-RF
    iteration: linearise the boundary ``f(x) = 0`` where you stand, and go to the point of that plane that is nearest to
    the *original image* (Rackwitz and Fiessler 1978, eq. 9; in L2 that is also the projection step of SuperDeepFool,
    arXiv:2303.12481, eq. 5). Undamped it circles where the boundary bends or has edges, as those of ReLU networks do.
    So each step goes only a part of the way, ``x <- x + pace * (plane - x)``, and the pace falls geometrically from 1.
    In other norms the plane's nearest point is the norm's own, and L1 steps are proximal (``Norm.approach``).

    Where the walk ends depends on the class it makes for. Untargeted, a walker sets out for each of the ``candidates``
    most likely classes; after each of the first steps those that seem 1.5, 1.3 and 1.2 times as far from the image as
    the nearest give up, and one is left. That costs about 8 passes, and is what finds the smallest of several minima.

    Each step aims somewhat beyond its plane, and farther after steps that fell short. Where the last one did, the line
    from the image is followed a little farther; where no point of the walk was adversarial, steps as DeepFool's follow.

    The walk ends at a mean of points on planes. That is no corner of the Linf ball, where an optimum has nearly all
    of its pixels. So ``polish`` steps go along the margin's steepest descent, with momentum, at a size that shrinks
    where it was enough, as FMN does (arXiv:2102.12827, algorithm 1). On ResNet-20 7 steps and 10 of polish find 1.3 %
    less than 14 steps. At last the best adversarial point is moved back towards the image as far as it stays so.
    """

    norm: NormLike = option(L2, "norm to minimise")
    steps: int = option(14, "steps along the boundary, after the race")
    candidates: int = option(9, "classes in the race, most likely first")
    polish: int = option(10, "gradient steps at a shrinking size after the walk; none in L1")

    def __post_init__(self) -> None:
        require(self.steps >= 1, "steps >= 1", self.steps)
        require(self.candidates >= 1, "candidates >= 1", self.candidates)
        require(self.polish >= 0, "polish >= 0", self.polish)
        require_norm(self, self.norm)

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        hunt = _Hunt(classifier, norm_of(self.norm), images, goal)
        hunt.race(hunt.set_out(self.candidates))
        hunt.walk(self.steps)
        hunt.reach()
        hunt.rescue()
        hunt.polish(self.polish)
        hunt.trim()
        return Outcome(hunt.best.images, hunt.best.claimed, hunt.steps, hunt.forwards, hunt.backwards)


class _Walkers(NamedTuple):
    """One for each image and class in the race.

    rows: the image; rivals: the class it makes for (untargeted), or would leave (targeted); x: where it stands. From
    there the boundary looks like the plane ``<w, d> = gap`` for perturbations d of the original image.
    """

    rows: Tensor
    rivals: Labels
    x: Images
    gap: Tensor
    w: Images

    def at(self, which: Tensor) -> "_Walkers":
        return _Walkers(*(part[which] for part in self))


class _Hunt:
    """One batch on its way; ``rows`` are the images that still walk, ``x`` where they stand."""

    def __init__(self, classifier: Classifier, norm: Norm, images: Images, goal: Goal) -> None:
        self.classifier, self.norm, self.images, self.goal = classifier, norm, images, goal
        self.best = BestSoFar(images, norm)
        self.margin, self.first_gap = (torch.zeros(len(images), device=images.device) for _ in range(2))
        self.beyond = torch.full((len(images),), _BEYOND, device=images.device)
        self.steps, self.forwards, self.backwards = (torch.zeros_like(goal.labels) for _ in range(3))
        self.rows, self.x = torch.arange(0, device=images.device), images[:0]

    def set_out(self, candidates: int) -> _Walkers:
        """The planes of the nearest classes, seen from the originals: a forward pass, and a backward one for each.

        A class is not asked for its gradient if it would seem twice as far as the nearest with one as large as theirs.
        """
        if not isinstance(self.goal, Untargeted):
            candidates = 1  # towards one class, the only plane that counts is the one to its strongest rival
        walkers = []
        for part in self.classifier.chunks(len(self.images)):
            rows = torch.arange(part.start, part.stop, device=self.images.device)
            x = self.images[part]
            logits, pullback = self.classifier.linearize(x)
            met = self._look(rows, x, logits)
            self.forwards[rows] += 1
            self.first_gap[rows] = self.goal[part].margin(logits)
            order = self.goal[part].others(logits).argsort(dim=1, descending=True, stable=True)
            nearest, largest = torch.full_like(logits[:, 0], torch.inf), torch.zeros_like(logits[:, 0])
            ranks = min(candidates, logits.shape[1] - 1)
            for rank in range(ranks):
                gap, cotangents = _gap_to(self.goal[part], logits, order[:, rank])
                asked = ~met & ~(gap > 2 * nearest * largest)
                if not bool(asked.any()):
                    break
                w = pullback(cotangents * asked.unsqueeze(1), more=rank < ranks - 1)
                self.backwards[rows[asked]] += 1
                size = self.norm.dual.measure(w)
                nearest = torch.where(size > 0, nearest.minimum(gap / size), nearest)
                largest = largest.maximum(size)
                gap = gap + _BEYOND * self.first_gap[rows]
                walkers.append(_Walkers(rows, order[:, rank], x, gap, w).at(size > 0))
        parts = zip(*walkers, strict=True) if walkers else ([part] for part in self._nobody())
        return _Walkers(*(torch.cat(list(part)) for part in parts))

    def race(self, walkers: _Walkers) -> None:
        """Some steps for each class; the farthest give up after each, and the nearest of each image is left."""
        for step, (spread, pace) in enumerate(zip((*_SPREADS, 1.0), _FIRST_PACES, strict=True), start=1):
            if len(walkers.x) and pace < 1:
                gap, w, _ = self._planes(walkers.rows, walkers.x, walkers.rivals)
                walkers = walkers._replace(gap=gap, w=w)
            size = self.norm.dual.measure(walkers.w)
            far = torch.where(size > 0, walkers.gap / size, torch.inf)
            nearest = torch.full_like(self.first_gap, torch.inf).scatter_reduce(0, walkers.rows, far, "amin")
            walkers = walkers.at((far <= spread * nearest[walkers.rows]) & far.isfinite())
            if spread == 1:  # of two as near, the class that comes first
                first = torch.full_like(self.steps, 2**31).scatter_reduce(0, walkers.rows, walkers.rivals, "amin")
                walkers = walkers.at(walkers.rivals == first[walkers.rows])
            walkers = walkers._replace(x=self._towards(walkers.rows, walkers.x, walkers.gap, walkers.w, pace))
            self.steps.index_fill_(0, walkers.rows, step)
        self.rows, order = walkers.rows.sort()
        self.x = walkers.x[order]

    def walk(self, steps: int) -> None:
        """Towards whatever class is nearest, by ever smaller parts of the way."""
        for step in range(steps):
            pace = _LAST_PACE ** (step / max(1, steps - 1))
            gap, w, met = self._planes(self.rows, self.x)
            beyond = self.beyond[self.rows] * torch.where(met, 1 / _FARTHER, _FARTHER)
            self.beyond[self.rows] = beyond.clamp(_BEYOND, _FARTHEST)
            moved = self._towards(self.rows, self.x, gap, w, pace)
            self.steps[self.rows] += 1
            whole = self.norm.measure(moved - self.x) / pace
            arrived = met & (whole <= _ARRIVED * self.norm.measure(self.x - self.images[self.rows]))
            self.x = moved
            self._leave(arrived)
        met = self._look(self.rows, self.x, self._logits(self.rows, self.x))
        self._leave(met)

    def reach(self) -> None:
        """Where the last point fell short: farther along the line from the original, until one is adversarial."""
        whole = self.x - self.images[self.rows]
        for longer in _LONGER:
            x = clip(self.images[self.rows] + longer * whole)
            met = self._look(self.rows, x, self._logits(self.rows, x))
            whole = whole[~met]
            self._leave(met)

    def rescue(self) -> None:
        """Where no point has been adversarial yet: to the plane from where the walk ended, and ever farther beyond.

        In L2 whatever the norm: a step that is spread over many pixels keeps to its plane.
        """
        self._leave(self.best.claimed[self.rows])
        for step in range(_RESCUE_STEPS):
            gap, w, _ = self._planes(self.rows, self.x)
            here = gap - inner(w, self.x - self.images[self.rows])
            farther = step * _BEYOND * self.first_gap[self.rows]
            self.x = clip(self.x + L2.to_plane((here + farther).clamp_min(0), w, room(self.x)))
            self.steps[self.rows] += 1
            self._leave(self._look(self.rows, self.x, self._logits(self.rows, self.x)))

    def polish(self, steps: int) -> None:
        """Gradient steps around the best point, on spheres that shrink where they hold an adversarial point.

        A walk ends at a mean of the points that it has aimed at, of which few pixels have their full share in Linf.
        """
        rows = (self.best.claimed & (self.best.size > 0)).nonzero().squeeze(1)
        if self.norm == L1 or not (steps and len(rows)):  # L1's steepest direction is a single value
            return
        origin, x, radius = self.images[rows], self.best.images[rows], self.best.size[rows]
        trend = torch.zeros_like(x)
        for step in range(steps):
            logits, gradient = margin_descent(self.classifier, x, self.goal[rows])
            self.backwards[rows] += 1
            self.forwards[rows] += 1
            self.steps[rows] += 1
            met = self._look(rows, x, logits)
            gradient = inward(gradient, x)
            trend = _MOMENTUM * trend + gradient / per_row(L1.measure(gradient).clamp_min(_TINY), gradient)
            fall = (1 + math.cos(math.pi * step / steps)) / 2
            least = self.best.size[rows]
            radius = torch.where(met, (1 - _SHRINK * fall) * least, (1 + _SHRINK * fall) * radius).minimum(
                _BELOW * least
            )
            stride = per_row(fall * _STRIDE * radius, x)
            x = clip(origin + self.norm.project(x + stride * self.norm.steepest(trend) - origin, radius))
        self._look(rows, x, self._logits(rows, x))

    def trim(self) -> None:
        """Back towards the original on a straight line, by false position on the margin, as far as the goal is met."""
        rows = (self.best.claimed & (self.best.size > 0)).nonzero().squeeze(1)
        short, far = torch.zeros_like(self.first_gap), torch.ones_like(self.first_gap)
        margin_short, whole = self.first_gap.clone(), self.best.images - self.images
        close = -_CLOSE * self.first_gap
        for _ in range(_TRIMS):
            rows = rows[self.margin[rows] < 2 * close[rows]]
            if not len(rows):
                break
            reach = (margin_short - close)[rows] / (margin_short - self.margin)[rows]
            t = torch.lerp(short[rows], far[rows], reach)
            x = torch.addcmul(self.images[rows], whole[rows], per_row(t, whole))
            logits = self._logits(rows, x)
            met = self._look(rows, x, logits)
            far[rows[met]], short[rows[~met]] = t[met], t[~met]
            margin_short[rows[~met]] = self.goal[rows[~met]].margin(logits[~met])

    def _planes(self, rows: Tensor, x: Images, rivals: Labels | None = None) -> tuple[Tensor, Images, Tensor]:
        """Gap and normal of the boundary to the rivals, by default the strongest, and whether the goal is met."""
        gaps, normals, mets = [x.new_zeros(0)], [x[:0]], [torch.zeros(0, dtype=torch.bool, device=x.device)]
        for part in self.classifier.chunks(len(x)):
            r, goal = rows[part], self.goal[rows[part]]
            logits, pullback = self.classifier.linearize(x[part])
            rival = goal.others(logits).argmax(1) if rivals is None else rivals[part]
            gap, cotangents = _gap_to(goal, logits, rival)
            w = pullback(cotangents)
            mets.append(self._look(r, x[part], logits) if rivals is None else goal.is_surely_met(logits))
            gaps.append(gap + self.beyond[r] * self.first_gap[r] + inner(w, x[part] - self.images[r]))
            normals.append(w)
        self.forwards.index_add_(0, rows, torch.ones_like(rows))
        self.backwards.index_add_(0, rows, torch.ones_like(rows))
        return torch.cat(gaps), torch.cat(normals), torch.cat(mets)

    def _leave(self, which: Tensor) -> None:
        self.rows, self.x = self.rows[~which], self.x[~which]

    def _towards(self, rows: Tensor, x: Images, gap: Tensor, w: Images, pace: float) -> Images:
        origin = self.images[rows]
        return clip(origin + self.norm.approach(x - origin, gap.clamp_min(0), w, room(origin), pace))

    def _logits(self, rows: Tensor, x: Images) -> Logits:
        self.forwards[rows] += 1
        return self.classifier.logits(x)

    def _look(self, rows: Tensor, x: Images, logits: Logits) -> Tensor:
        """Whether the goal is met there; if so, and nearer than before, it is the best so far."""
        met = self.goal[rows].is_surely_met(logits)
        better = self.best.offer(rows, x, met)
        self.margin[rows[better]] = self.goal[rows[better]].margin(logits[better])
        return met

    def _nobody(self) -> _Walkers:
        none = self.goal.labels[:0]
        return _Walkers(none, none, self.images[:0], self.first_gap[:0], self.images[:0])


def _gap_to(goal: Goal, logits: Logits, rivals: Labels) -> tuple[Tensor, Tensor]:
    """The logits' difference that must fall to 0, ``[n]``, and the cotangents ``[n, K]`` along which it falls."""
    sign = 1.0 if isinstance(goal, Untargeted) else -1.0
    rival, label = rivals.unsqueeze(1), goal.own(logits).unsqueeze(1)
    cotangents = torch.zeros_like(logits).scatter_(1, rival, sign).scatter_(1, label, -sign)
    return sign * (logits.gather(1, label) - goal.others(logits).gather(1, rival)).squeeze(1), cotangents
