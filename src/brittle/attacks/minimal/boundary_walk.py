"""BoundaryWalk: to the nearest point of the decision boundary, class by class (Rackwitz and Fiessler 1978)."""

from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor

from brittle.attacks.minimal.shrinking_ball import descend
from brittle.attacks.parts.asking import Asking, asking_nearest
from brittle.attacks.parts.best import Nearest
from brittle.attacks.parts.contract import Outcome
from brittle.attacks.parts.rows import kept
from brittle.attacks.parts.trim import trim
from brittle.catalog import option, register
from brittle.devices import is_due
from brittle.geometry.box import clip, room
from brittle.geometry.norms import L1, L2, NormLike, inner, norm_of, per_row
from brittle.goals import Goal, Untargeted
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images, Labels

_BEYOND = 0.01  # of an image's first gap: how far behind the boundary the walk keeps at least
_SPREADS = (1.4, 1.2, 1.1, 1.1)  # how much farther than the nearest class another may seem, and stay in the race
_FIRST_PACES = (1.0, 0.7, 0.7, 0.7)
_LAST_PACE = 0.03
_FARTHER = 1.2  # times as far behind after a step that fell short, and as much nearer after one that did not
_FARTHEST = 0.3
_LONGER = (1.02, 1.05, 1.1, 1.2, 1.4, 1.7)
_ARRIVED = 1e-3  # of the perturbation's size: a whole step this small changes nothing any more
_RESCUE_STEPS = 30
_POLISH = 0.05  # first relative change of the radius
_FLAT, _LESS = 0.9, 3  # where normals turn by no more than this cosine, the polish has a third of its steps
_STRAIGHT = 0.45  # least cosine between the normals at the image and at the boundary, where that is a plane
_NEAR = 0.6
_FAR = {"l1": 2.5, "l2": 1.35, "linf": 1.5}


@register(
    "boundary-walk",
    paper="doi:10.1016/0045-7949(78)90046-9",
    kind="minimal",
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
    most likely classes; after each of the first steps those that seem 1.4, 1.2 and 1.1 times as far from the image as
    the nearest give up. The nearest walks on, and then a second one, where one is left: of two as near, the end of the
    way tells. That costs about 8 passes, and is what finds the smallest of several minima.

    Each step aims somewhat beyond its plane, and farther after steps that fell short. Where the last one did, the line
    from the image is followed a little farther; where no point of the walk was adversarial, steps as DeepFool's follow.

    The walk ends at a mean of points on planes. That is no corner of the Linf ball, where an optimum has nearly all
    of its pixels. So ``polish`` steps of descent follow, as in ``ShrinkingBall`` but longer, from radii that hardly
    ring; a third of them where the normal is much the same at the image and at the boundary. At last the best
    adversarial point is moved back towards the image as far as it stays so.
    """

    norm: NormLike = option(L2, "norm to minimise")
    steps: int = option(14, "steps along the boundary, after the race", at_least=1)
    candidates: int = option(9, "classes in the race, most likely first", at_least=1)
    polish: int = option(
        10, "gradient steps at a shrinking size after the walk; a third where the boundary is flat", at_least=0
    )

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        asking = asking_nearest(classifier, images, goal, norm_of(self.norm))
        walked = self.walk(asking)
        self.finish(asking, walked, asking.everyone)
        return asking.outcome()

    def walk(self, asking: Asking[Nearest]) -> "Walked":
        """To the boundary and along it; what it was like on the way."""
        hunt = _Hunt(asking)
        first, second = hunt.race(hunt.set_out(self.candidates))
        hunt.follow(first, self.steps)
        hunt.rescue()
        hunt.follow(second, self.steps)
        return Walked(hunt.bends(), hunt.turned)

    def finish(self, asking: Asking[Nearest], walked: "Walked", rows: Tensor) -> None:
        """The polish and the way back, for some rows of a batch."""
        (rows,) = kept(asking.best.claimed[rows] & (asking.best.size[rows] > 0), rows)
        norm = asking.best.norm
        flat = (walked.turned[rows] > _FLAT) & (norm != L1)
        for which, steps in ((flat, self.polish // _LESS), (~flat, self.polish)):
            (some,) = kept(which, rows)
            if steps:
                descend(asking, norm, some, asking.best.images[some], steps, _POLISH, near=True)
        trim(asking, rows)


class Walked(NamedTuple):
    """What a walk has learned about the boundary, ``[B]``.

    bends: it is not what it seemed to be from the image, so that another start may end nearer. turned: the cosine
    between the normals of the boundary as seen from the image and where the walk ended.
    """

    bends: Tensor
    turned: Tensor


class _Walkers(NamedTuple):
    """One for each image and class in the race.

    rows: the image; rivals: the class it makes for (untargeted), or would leave (targeted); x: where it stands. From
    there the boundary looks like the plane ``<w, d> = gap`` for perturbations d of the original image. seen: w there.
    """

    rows: Tensor
    rivals: Labels
    x: Images
    gap: Tensor
    w: Images
    seen: Images

    def at(self, which: Tensor) -> "_Walkers":
        return _Walkers(*kept(which, *self))


class _Hunt:
    """One batch on its way; ``rows`` are the images that still walk, ``x`` where they stand.

    plane: how far away the nearest class seems from the image; seen: the normal there of the class that won the race.
    turned: the cosine between that and the normal where the walk ended.
    """

    def __init__(self, asking: Asking[Nearest]) -> None:
        self.asking, self.classifier, self.norm = asking, asking.classifier, asking.best.norm
        self.images, self.goal, self.best, self.first_gap = asking.images, asking.goal, asking.best, asking.first_gap
        self.beyond = torch.full_like(self.first_gap, _BEYOND)
        self.rows, self.x = torch.arange(0, device=self.images.device), self.images[:0]
        self.plane, self.turned = torch.full_like(self.first_gap, torch.inf), torch.zeros_like(self.first_gap)
        self.seen = self.images[:0]

    def set_out(self, candidates: int) -> _Walkers:
        """The planes of the nearest classes, seen from the originals: a forward pass, and a backward one for each.

        A class is not asked for its gradient if it would seem twice as far as the nearest with one as large as theirs.
        """
        if not isinstance(self.goal, Untargeted):
            candidates = 1  # towards one class, the only plane that counts is the one to its strongest rival
        walkers = []
        for part in self.classifier.chunks(len(self.images)):
            rows, x = self.asking.everyone[part], self.images[part]
            logits, pullback = self.asking.linearize(rows, x)
            met = self.asking.note(rows, x, logits)
            self.first_gap[rows] = self.goal[part].margin(logits)
            order = self.goal[part].others(logits).argsort(dim=1, descending=True, stable=True)
            nearest, largest = torch.full_like(logits[:, 0], torch.inf), torch.zeros_like(logits[:, 0])
            ranks = min(candidates, logits.shape[1] - 1)
            for rank in range(ranks):
                gap, cotangents = self.goal[part].towards(logits, order[:, rank])
                asked = ~met & ~(gap > 2 * nearest * largest)
                if not bool(asked.any()):
                    break
                w = pullback(cotangents * asked.unsqueeze(1), more=rank < ranks - 1)
                size = self.norm.dual.measure(w)
                nearest = torch.where(size > 0, nearest.minimum(gap / size), nearest)
                largest = largest.maximum(size)
                self.plane[rows] = nearest
                gap = gap + _BEYOND * self.first_gap[rows]
                walkers.append(_Walkers(rows, order[:, rank], x, gap, w, w).at(size > 0))
        parts = zip(*walkers, strict=True) if walkers else ([part] for part in self._nobody())
        return _Walkers(*(torch.cat(list(part)) for part in parts))

    def race(self, walkers: _Walkers) -> tuple[_Walkers, _Walkers]:
        """Some steps for each class; the farthest give up after each. The nearest of each image, and the next ones."""
        for step, (spread, pace) in enumerate(zip(_SPREADS, _FIRST_PACES, strict=True), start=1):
            if len(walkers.x) and pace < 1:
                gap, w, _ = self._planes(walkers.rows, walkers.x, walkers.rivals)
                walkers = walkers._replace(gap=gap, w=w)
            size = self.norm.dual.measure(walkers.w)
            far = torch.where(size > 0, walkers.gap.clamp_min(0) / size, torch.inf)
            nearest = torch.full_like(self.first_gap, torch.inf).scatter_reduce(0, walkers.rows, far, "amin")
            far, *parts = kept((far <= spread * nearest[walkers.rows]) & far.isfinite(), far, *walkers)
            walkers = _Walkers(*parts)
            walkers = walkers._replace(x=self._towards(walkers.rows, walkers.x, walkers.gap, walkers.w, pace))
            self.asking.steps.index_fill_(0, walkers.rows, step)
        order = far.argsort(stable=True)
        order = order[walkers.rows[order].argsort(stable=True)]
        walkers = _Walkers(*(part[order] for part in walkers))  # image by image, the nearest first
        place = torch.arange(len(order), device=order.device) - torch.searchsorted(walkers.rows, walkers.rows)
        return walkers.at(place == 0), walkers.at(place == 1)

    def follow(self, walkers: _Walkers, steps: int) -> None:
        """A walk of one walker for some images, each; what it was like there, where it led nearer than before."""
        self.rows, self.x, self.seen = walkers.rows, walkers.x, walkers.seen
        if not len(self.rows):
            return
        size, turned = self.best.size.clone(), self.turned.clone()
        self.walk(steps)
        self.reach()
        self.turned = torch.where((self.best.size < size) | size.isinf(), self.turned, turned)

    def walk(self, steps: int) -> None:
        """Towards whatever class is nearest, by ever smaller parts of the way."""
        arrived = torch.zeros_like(self.rows, dtype=torch.bool)
        for step in range(steps):
            pace = _LAST_PACE ** (step / max(1, steps - 1))
            gap, w, met = self._planes(self.rows, self.x)
            beyond = self.beyond[self.rows] * torch.where(met, 1 / _FARTHER, _FARTHER)
            self.beyond[self.rows] = beyond.clamp(_BEYOND, _FARTHEST)
            moved = self._towards(self.rows, self.x, gap, w, pace)
            self.asking.stepped(self.rows, ~arrived)
            whole = self.norm.measure(moved - self.x) / pace
            arrived |= met & (whole <= _ARRIVED * self.norm.measure(self.x - self.images[self.rows]))
            self.x = torch.where(per_row(arrived, moved), self.x, moved)
            if is_due(step, steps, moved.device):
                some, turned, last = kept(arrived | (step == steps - 1), self.rows, w, self.seen)
                self.turned[some] = _cosine(turned, last)
                self._leave(arrived)
                (arrived,) = kept(~arrived, arrived)
        self._leave(self._look(self.rows, self.x))

    def reach(self) -> None:
        """Where the last point fell short: farther along the line from the original, until one is adversarial."""
        whole = self.x - self.images[self.rows]
        for longer in _LONGER:
            x = clip(self.images[self.rows] + longer * whole)
            met = self._look(self.rows, x)
            (whole,) = kept(~met, whole)
            self._leave(met)

    def rescue(self) -> None:
        """Where no point has been adversarial yet: to the plane from where the walk ended, and ever farther beyond.

        In L2 whatever the norm: a step that is spread over many pixels keeps to its plane.
        """
        self._leave(self.best.claimed[self.rows])
        for step in range(_RESCUE_STEPS):
            if not len(self.rows):
                return
            gap, w, _ = self._planes(self.rows, self.x)
            here = gap - inner(w, self.x - self.images[self.rows])
            farther = step * _BEYOND * self.first_gap[self.rows]
            self.x = clip(self.x + L2.to_plane((here + farther).clamp_min(0), w, room(self.x)))
            self.asking.stepped(self.rows)
            self._leave(self._look(self.rows, self.x))

    def bends(self) -> Tensor:
        """bool ``[B]``: what was found is not where, or not what, the plane seen from the image has promised."""
        size = self.best.size
        straight = (
            (self.turned > _STRAIGHT)
            & (size > _NEAR * self.plane)
            & (size < _FAR.get(self.norm.name, 1.4) * self.plane)
        )
        return ~straight & (size > 0)

    def _planes(self, rows: Tensor, x: Images, rivals: Labels | None = None) -> tuple[Tensor, Images, Tensor]:
        """Gap and normal of the boundary to the rivals, by default the strongest, and whether the goal is met."""
        gaps, normals, mets = [x.new_zeros(0)], [x[:0]], [torch.zeros(0, dtype=torch.bool, device=x.device)]
        for part in self.classifier.chunks(len(x)):
            r, goal = rows[part], self.goal[rows[part]]
            logits, pullback = self.asking.linearize(r, x[part])
            rival = goal.others(logits).argmax(1) if rivals is None else rivals[part]
            gap, cotangents = goal.towards(logits, rival)
            w = pullback(cotangents)
            mets.append(self.asking.note(r, x[part], logits) if rivals is None else goal.is_surely_met(logits))
            gaps.append(gap + self.beyond[r] * self.first_gap[r] + inner(w, x[part] - self.images[r]))
            normals.append(w)
        return torch.cat(gaps), torch.cat(normals), torch.cat(mets)

    def _leave(self, which: Tensor) -> None:
        self.rows, self.x, self.seen = kept(~which, self.rows, self.x, self.seen)

    def _towards(self, rows: Tensor, x: Images, gap: Tensor, w: Images, pace: float) -> Images:
        origin = self.images[rows]
        return clip(origin + self.norm.approach(x - origin, gap.clamp_min(0), w, room(origin), pace))

    def _look(self, rows: Tensor, x: Images) -> Tensor:
        met, _ = self.asking.look(rows, x)
        return met

    def _nobody(self) -> _Walkers:
        none = self.goal.labels[:0]
        return _Walkers(none, none, self.images[:0], self.first_gap[:0], self.images[:0], self.images[:0])


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    """Of each row, ``[B]``."""
    size = L2.measure(a) * L2.measure(b)
    return inner(a, b) / size.clamp_min(torch.finfo(a.dtype).tiny)
