"""HopSkipJump: the smallest perturbation from yes-or-no answers alone (Chen et al. 2020, arXiv:1904.02144)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from brittle.attacks.parts.asking import Asking, asking_nearest
from brittle.attacks.parts.best import Nearest
from brittle.attacks.parts.contract import Outcome
from brittle.catalog import option, register
from brittle.geometry.box import HIGH, LOW, clip
from brittle.geometry.norms import L2, LINF, NormLike, norm_of, per_row
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images

_COARSE = 4  # halvings of the way to a random image, before the starting point is chosen
_CLOSER = 0.9  # of the smallest distance so far: where another random image must fool to be looked into
_GRAINS = (1, 2, 4, 8)  # edges of the squares that random images consist of, in turn
_KEPT = 0.9  # of the sum of normals, for the next one, in L-infinity
_LEAPS = 10  # lengths of a leap, each half the one before
_FEWEST = 10  # probes that are still worth a leap
_FINER = 6  # halvings at the end, as far as there are queries for them
_AT_ONCE = 2**20  # numbers in the probes that are held at a time: what a cache holds, and some full passes


@register(
    "hopskipjump",
    paper="arXiv:1904.02144",
    kind="minimal",
    access="decision",
    cost="queries * F",
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class HopSkipJump:
    """Walks along the decision boundary by estimates of its normal, and sees nothing but whether the goal is met.

    Algorithm 2 of the paper: from a random image that meets the goal go back to the boundary; there, ask at random
    points nearby on which side they are, of which the mean, with a baseline against variance, is an estimate of the
    normal; leap along it, half as far until the goal is met; go back towards the image; and so on. The t-th estimate
    takes ``sqrt(t)`` times as many probes as the first. Images for which no random image meets the goal, as is common
    for targets, come back as they are.

    An answer is ``goal.is_surely_met``: one bit. The argmax alone would be one as well, but what is returned lies so
    near the boundary that rounding could undo it.

    Where it differs, because queries are what counts: the
    first estimates take fewer probes than the paper's 100, as they are made far from where the walk ends. Probes reach
    for a fixed part of the distance, not for one that shrinks with the number of pixels, and the way back to the
    boundary is halved until what is left does not bias them: nine times for 3072 values, not eighteen. They differ less
    between channels than between pixels, as gradients of networks for photographs do: see ``colour``. In L-infinity a
    leap is along the sign of a decaying sum of the estimates: in L2 the walk itself adds them up, but a sum of signs
    forgets which of them were sure. And what a leap has made worse is not kept.
    """

    norm: NormLike = option(L2, "norm to minimise", among=(L2, LINF))
    queries: int = option(5000, "decisions asked for, at most, for one image", at_least=1)
    probes: int = option(20, "probes of the first estimate; the t-th has sqrt(t) times as many", at_least=1)
    reach: float = option(0.2, "how far away probes are, as a fraction of the distance", above=0, below=1)
    colour: float = option(
        0.1, "variance of probes between channels, against that of the mean; 1 as in the paper", at_least=0
    )
    starts: int = option(8, "random images that are compared, to start from the nearest", at_least=1)
    tries: int = option(100, "random images to try before giving up", at_least=1)

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        norm = norm_of(self.norm)
        boundary = _Boundary(asking_nearest(classifier, images, goal, norm), self.queries)
        ask, best = boundary.ask, boundary.ask.best
        walked = ask.everyone[~boundary.look(ask.everyone, images)]
        ask.stepped(walked)

        self._start(boundary, walked, rng)
        rows = walked[best.claimed[walked]]
        halvings = max(1, math.ceil(math.log2(math.sqrt(images[:1].numel() or 1) / self.reach)))
        after = _LEAPS + halvings  # what a leap and the way back may take
        boundary.approach(rows, best.images[rows], halvings)
        total = torch.zeros_like(images)
        for step in count(1):
            rows = rows[boundary.left(rows) >= after + _FEWEST]
            if not len(rows):
                break
            ask.stepped(rows)
            probes = (boundary.left(rows) - after).clamp_max(int(self.probes * math.sqrt(step)))
            normal = self._normal(boundary, rows, probes, rng[rows], step)
            kept, length = (_KEPT, 1.0) if norm == LINF else (0.0, 1 / math.sqrt(step))
            total[rows] = kept * total[rows] + normal * per_row(probes.sqrt(), normal)
            far, moved = _leapt(boundary, rows, norm.steepest(total[rows]), length * best.size[rows])
            boundary.approach(rows[moved], far[moved], halvings)
        boundary.approach(walked, best.images[walked], _FINER, low=1 - 2.0 ** (1 - halvings))
        return ask.outcome()

    def _start(self, boundary: "_Boundary", rows: Tensor, rng: Rng) -> None:
        """The nearest of some random images that meet the goal, on the way to them.

        Once there is one, another is looked into only if it fools from nearer by, which mostly costs one query. Single
        pixels at random look alike to many networks; coarser ones reach more classes.
        """
        best, origin = boundary.ask.best, boundary.ask.images
        for draw in range(max(self.tries, self.starts)):
            rows = rows[(boundary.left(rows) > 0) & (draw < torch.where(best.claimed[rows], self.starts, self.tries))]
            if not len(rows):
                break
            edge = _GRAINS[draw % len(_GRAINS)]
            height, width = origin.shape[2:]
            grains = origin.new_empty(len(rows), origin.shape[1], -(-height // edge), -(-width // edge))
            squares = functional.interpolate(rng[rows].uniform(f"start {draw}", grains), scale_factor=edge)
            target = squares[:, :, :height, :width]
            far = boundary.between(rows, target, _CLOSER * best.size[rows])
            met = boundary.look(rows, far)
            boundary.approach(rows[met], far[met], _COARSE)

    def _normal(self, boundary: "_Boundary", rows: Tensor, probes: Tensor, rng: Rng, step: int) -> Tensor:
        """Estimates of the unit normals at the best images, on the side where the goal is met."""
        most, start = int(probes.max()), boundary.ask.best.images[rows]
        radius = self.reach * (start - boundary.ask.images[rows]).flatten(1).norm(dim=1)
        normals = torch.zeros_like(start)
        for part in _parts(len(rows), most * start[:1].numel()):
            x = start[part].unsqueeze(1)
            shape = (len(x), int(self.probes * math.sqrt(step)), *x.shape[2:])
            # Bytes: a sum of thousands is as good as normal. Written over again and again: to fetch new memory for
            # so many numbers takes longer than to compute them.
            points = rng[torch.arange(len(rows))[part]].bytes(f"probes {step}", x.new_empty(shape))[:, :most]
            grey, share = torch.stack(points.unbind(2)).sum(0).div_(x.shape[2]), math.sqrt(self.colour)
            points.mul_(share).add_(grey.unsqueeze(2), alpha=1 - share)
            points.mul_((radius[part].view(-1, 1) / points.flatten(2).norm(dim=2)).view(*points.shape[:2], 1, 1, 1))
            points.add_(x).clamp_(LOW, HIGH)
            asked = torch.arange(most, device=x.device) < probes[part].unsqueeze(1)
            side = torch.zeros(asked.shape, device=x.device)
            owners = rows[part].unsqueeze(1).expand(asked.shape)[asked]
            images = points.flatten(0, 1) if len(owners) == asked.numel() else points[asked]
            side[asked] = 2.0 * boundary.meets(owners, images) - 1
            mean = side.sum(1, keepdim=True) / probes[part].unsqueeze(1)
            # The mean is the baseline that lowers the variance; where all probes agree it would leave nothing.
            weight = torch.where(mean.abs() == 1, side, side - mean) * asked
            normals[part] = points.sub_(x).mul_(weight.view(*weight.shape, 1, 1, 1)).sum(1)
        return norm_of(L2).steepest(normals)


@final
class _Boundary:
    """Asks on which side images are, as long as there are queries."""

    def __init__(self, ask: Asking[Nearest], queries: int) -> None:
        self.ask, self.queries = ask, queries

    def left(self, rows: Tensor) -> Tensor:
        return self.queries - self.ask.forwards[rows]

    def meets(self, rows: Tensor, images: Images) -> Tensor:
        """bool, one for each image; ``rows`` says whose it is, and may repeat."""
        return self.ask.goal[rows].is_surely_met(self.ask.logits(rows, images))

    def look(self, rows: Tensor, images: Images) -> Tensor:
        """As ``meets``, for one image of each row; it is kept if it is the nearest so far."""
        met = self.meets(rows, images)
        self.ask.best.offer(rows[met], images[met], met[met])
        return met

    def between(self, rows: Tensor, far: Images, distance: Tensor) -> Images:
        """What is at a distance from the original on the way to ``far``, or ``far`` where that is nearer.

        In L2 on the straight line; in L-infinity where all values keep to the distance, which is nearer to ``far``.
        """
        origin, norm = self.ask.images[rows], self.ask.best.norm
        if norm == LINF:
            limit = per_row(distance, far)
            return clip(origin + (far - origin).clamp(-limit, limit))
        share = distance / norm.measure(far - origin).clamp_min(torch.finfo(far.dtype).tiny)
        return clip(origin + per_row(share.clamp_max(1), far) * (far - origin))

    def approach(self, rows: Tensor, far: Images, halvings: int, low: float = 0.0) -> None:
        """Bisects the way from ``far``, which meets the goal, to ``low`` of its distance."""
        high = self.ask.best.norm.measure(far - self.ask.images[rows])
        least = low * high
        for _ in range(halvings):
            open_rows = (self.left(rows) > 0) & (least < high)
            rows, far, least, high = rows[open_rows], far[open_rows], least[open_rows], high[open_rows]
            if not len(rows):
                break
            middle = (least + high) / 2
            met = self.look(rows, self.between(rows, far, middle))
            least, high = torch.where(met, least, middle), torch.where(met, middle, high)


def _leapt(boundary: _Boundary, rows: Tensor, direction: Tensor, length: Tensor) -> tuple[Images, Tensor]:
    """The farthest points along a direction that meet the goal, among lengths each half the one before; bool: any."""
    start = boundary.ask.best.images[rows]
    far, open_rows = start.clone(), torch.arange(len(rows), device=rows.device)
    for leap in range(_LEAPS):
        point = clip(start[open_rows] + per_row(0.5**leap * length[open_rows], start) * direction[open_rows])
        met = boundary.look(rows[open_rows], point)
        far[open_rows[met]] = point[met]
        open_rows = open_rows[~met]
        if not len(open_rows):
            break
    moved = torch.ones_like(rows, dtype=torch.bool)
    moved[open_rows] = False
    return far, moved


def _parts(rows: int, numbers: int) -> Iterator[slice]:
    """Slices of rows that each hold so many numbers."""
    size = max(1, _AT_ONCE // max(1, numbers))
    return (slice(start, start + size) for start in range(0, rows, size))
