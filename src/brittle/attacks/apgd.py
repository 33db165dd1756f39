"""APGD, PGD that chooses its own step size, and its targeted form APGD-T (Croce & Hein 2020, arXiv:2003.01690)."""

from dataclasses import dataclass, fields
from typing import final

import torch
from torch import Tensor

from brittle.attacks._contract import Outcome, require, require_budget, require_norm
from brittle.attacks._loop import ActiveSet
from brittle.catalog import option, register
from brittle.geometry.box import clip, room
from brittle.geometry.norms import L2, LINF, Norm, NormLike, norm_of, per_row
from brittle.goals import Goal, Targeted, Untargeted
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images, Labels, Logits

LOSSES = ("ce", "dlr", "margin")

_MOMENTUM = 0.25  # 1 - alpha of equation 1, section 3.1
_RISING = 0.75  # rho of section 3.2: the share of steps that must have raised the loss
_TINY = 1e-12


@register(
    "apgd",
    paper="arXiv:2003.01690",
    kind="budget",
    norms=("l2", "linf"),
    cost="2 F + steps * (F + B), for each of the targets; less where it succeeds",
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class APGD:
    """PGD with momentum that halves its step by checkpoints and goes on from the best point it has seen.

    ``z = P(x_k + size * steepest(gradient))`` and ``x_k+1 = P(x_k + 0.75 (z - x_k) + 0.25 (x_k - x_k-1))`` (equation 1)
    from a random point at distance eps, with ``size = 2 * eps`` to begin with. At each of the ``checkpoints`` the size
    of an example's steps is halved, and it goes back to its best point, if fewer than 3/4 of its steps since the last
    one raised the loss, or if neither the size nor the best loss have changed since (conditions 1 and 2, section 3.2).

    loss: ``ce`` is cross-entropy (its monotone equal, the log-odds); ``margin`` is the difference of the two logits
    that matter; ``dlr`` is that divided by a spread of the largest logits (equations 5 and 6, see ``_spread``).
    targets: 0 leaves the label any way there is. With n > 0 it goes for each of the n most likely other classes in
    turn, as long as none has succeeded: ``APGD(loss="dlr", targets=9)`` is the paper's APGD-T. A targeted goal has
    one class to go for, whatever this says.

    An example leaves at its first success; it also leaves where it has come to rest, as every further step would be the
    same. P first projects to the ball, then to the box: in L-infinity that is the projection on both, in L2 it is a
    point of both, as in the authors' code.
    """

    norm: NormLike = option(LINF, "norm of the budget: l2 or linf")
    eps: float = option(8 / 255, "budget: largest size of the perturbation, in pixels of [0, 1]")
    steps: int = option(100, "gradient steps at the most, for each target; an image leaves at its first success")
    loss: str = option("ce", "what is climbed: ce, dlr or margin")
    targets: int = option(0, "most likely other classes to go for in turn; 0 leaves the label any way. APGD-T has 9")

    def __post_init__(self) -> None:
        require(self.steps >= 1, "steps >= 1", self.steps)
        require(self.loss in LOSSES, "loss ce, dlr or margin", self.loss)
        require(self.targets >= 0, "targets >= 0", self.targets)
        require_norm(self, self.norm)
        require(self.norm in (L2, LINF), "norm l2 or linf", self.norm)
        require_budget(self.eps, self.norm)

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        logits = classifier.logits(images)
        claimed = goal.is_surely_met(logits)
        found = images.clone()
        steps, backwards = (torch.zeros_like(claimed, dtype=torch.int64) for _ in range(2))
        forwards = torch.ones_like(steps)
        active = ActiveSet(len(images), images.device)
        active.drop(claimed)
        for number, targets in enumerate(self._waves(goal, logits)):
            draws = rng.another(f"apgd {self.loss} {self.targets} {number}")
            for rows in torch.split(active.rows, _at_once(targets, classifier)):
                run = self._climb(classifier, images[rows], goal[rows], targets[rows], draws[rows])
                found[rows], claimed[rows] = run.images, run.claimed
                for total, one in ((steps, run.steps), (forwards, run.forwards), (backwards, run.backwards)):
                    total[rows] += one
            active.drop(claimed[active.rows])
        return Outcome(found, claimed, steps, forwards, backwards)

    def _waves(self, goal: Goal, logits: Logits) -> list[Labels]:
        """The classes to go for, ``[B, T]``, by wave: first the most likely one, which is enough for most images.

        The others wait for no one: they make one batch together, and the first to succeed ends it for the others. One
        after another, few rows at a time would fail for all the steps there are before the next had its turn.
        """
        if not self.targets or not isinstance(goal, Untargeted):
            return [goal.labels.unsqueeze(1)]
        classes = logits.shape[1] - 1 - (goal.reject is not None)
        likely = goal.others(logits).argsort(dim=1, descending=True, stable=True)[:, : min(self.targets, classes)]
        return [wave for wave in (likely[:, :1], likely[:, 1:]) if wave.shape[1]]

    def _climb(self, classifier: Classifier, images: Images, goal: Goal, targets: Labels, rng: Rng) -> Outcome:
        """Algorithm 1 from a random start, each image T times at once; what fails comes back at its highest loss."""
        norm, together = norm_of(self.norm), targets.shape[1]
        found = images.clone()
        claimed = torch.zeros(len(images), dtype=torch.bool, device=images.device)
        steps, forwards, backwards = (torch.zeros_like(claimed, dtype=torch.int64) for _ in range(3))
        active = ActiveSet(len(images), images.device)
        aim = self._aim(goal, targets)
        walk = self._start(norm, images, targets, rng)
        ends, since = checkpoints(self.steps), 0

        for step in range(self.steps):
            if not len(active):
                break
            x = clip(walk.origin + walk.delta)
            logits, gradient = classifier.gradient(x, aim)
            forwards[active.rows] += together
            backwards[active.rows] += together
            loss, met = aim.loss(logits), aim.is_surely_met(logits).view(-1, together)
            leaves = met.any(1) | walk.rests.view(-1, together).all(1)
            if leaves.any():
                claimed[active.rows] = met.any(1)
                found[active.rows[leaves]] = _picked(x, met)[leaves]
                active.drop(leaves)
                keep = (~leaves).repeat_interleave(together).nonzero().squeeze(1)
                walk, aim, loss, gradient = walk[keep], aim[keep], loss[keep], gradient[keep]
            walk.note(loss, norm.steepest(gradient))
            if step in ends:
                walk.check(step - since)
                since = step
            walk.advance(norm, self.eps, momentum=_MOMENTUM if step else 0.0)
            steps[active.rows] += together

        if len(active):  # where the last step has led is looked at, no more
            x = clip(walk.origin + walk.delta)
            logits = classifier.logits(x)
            forwards[active.rows] += together
            met = aim.is_surely_met(logits)
            claimed[active.rows] = met.view(-1, together).any(1)
            walk.note(torch.where(met, torch.inf, aim.loss(logits)), walk.direction)
            found[active.rows] = _picked(clip(walk.origin + walk.best), walk.best_loss.view(-1, together))
        return Outcome(found, claimed, steps, forwards, backwards)

    def _aim(self, goal: Goal, targets: Labels) -> "_Aim":
        if not self.targets or not isinstance(goal, Untargeted):
            return _Aim(goal, goal, self.loss)
        each = torch.arange(len(goal), device=targets.device).repeat_interleave(targets.shape[1])
        return _Aim(goal[each], Targeted(targets.flatten()), self.loss)

    def _start(self, norm: Norm, images: Images, targets: Labels, rng: Rng) -> "_Walk":
        """A random point at distance eps for each target; in L2, too, with a uniform cube's directions."""
        like = images.unsqueeze(1).expand(-1, targets.shape[1], -1, -1, -1)
        direction = (2 * rng.uniform("start", like) - 1).flatten(0, 1)
        delta = direction * per_row(self.eps / norm.measure(direction), direction)
        origin = like.flatten(0, 1)
        return _Walk.start(origin, clip(origin + delta) - origin, size=2 * self.eps)


def _at_once(targets: Labels, classifier: Classifier) -> int:
    """How many images: all, but with several targets each no more than fill a pass together, to save memory."""
    return max(1, len(targets) if targets.shape[1] == 1 else classifier.batch_size // targets.shape[1])


def _picked(x: Images, score: Tensor) -> Images:
    """Of ``[n * T]`` images the one with the highest score ``[n, T]`` in its T, the first of equals: ``[n]`` images."""
    return x[score.float().argmax(1) + torch.arange(len(score), device=x.device) * score.shape[1]]


def checkpoints(steps: int) -> tuple[int, ...]:
    """The steps ``w_j = ceil(p_j * steps)`` before the last: 0, 22, 41, 57, 70, 80, 87, 93, 99 of 100 (section 3.2).

    ``p_0 = 0, p_1 = 0.22, p_j+1 = p_j + max(p_j - p_j-1 - 0.03, 0.06)``; in hundredths, so that nothing is rounded.
    """
    ends, p, length = [], 0, 22
    while p < 100:
        ends.append(-(-p * steps // 100))
        p, length = p + length, max(length - 3, 6)
    return tuple(end for end in dict.fromkeys(ends) if end < steps)


@final
@dataclass(frozen=True, slots=True)
class _Aim:
    """A goal together with the loss that is climbed for it.

    goal: what counts as success. steer: where to go, which may be one class of an untargeted goal.
    """

    goal: Goal
    steer: Goal
    kind: str

    def is_surely_met(self, logits: Logits) -> Tensor:
        return self.goal.is_surely_met(logits)

    def loss(self, logits: Logits) -> Tensor:
        """float ``[B]``; a margin is against the largest other logit, which is the label's until the goal is met."""
        if self.kind == "ce":
            return self.steer.loss(logits)
        gain = -self.steer.margin(logits)
        return gain if self.kind == "margin" else gain / _spread(logits, self.steer)

    def __getitem__(self, rows: Tensor | slice) -> "_Aim":
        return _Aim(self.goal[rows], self.steer[rows], self.kind)

    def __len__(self) -> int:
        return len(self.goal)


def _spread(logits: Logits, steer: Goal) -> Tensor:
    """What DLR divides by: ``z_(1) - z_(3)``, or towards a class ``z_(1) - (z_(3) + z_(4)) / 2`` (equations 5 and 6).

    With too few classes, 2 or 3 towards a class, no such quotient is left that is not the same everywhere, and it is 1:
    DLR becomes the difference of two logits. Nothing is lost with the scale, as neither the steps nor the conditions of
    APGD change with a positive factor, and that difference does not saturate.
    """
    targeted = isinstance(steer, Targeted)
    if logits.shape[1] < (4 if targeted else 3):
        return torch.ones_like(logits[:, 0])
    top = logits.topk(4 if targeted else 3, dim=1).values
    return (top[:, 0] - (top[:, 2:].mean(1))).clamp_min(_TINY)


@dataclass(slots=True)
class _Walk:
    """Where the unsolved examples stand, in images ``[n, C, H, W]`` and numbers ``[n]``; ``walk[rows]``: some of them.

    origin: the images. low, high: what may be added to them. delta, previous: the perturbation now and one step ago.
    direction: the steepest at delta. best, best_direction, best_loss: those of the highest loss so far. rises: steps
    since the last checkpoint that raised the loss; checked_loss: the best at that checkpoint. halved: there, the size
    was. rests: the last step led nowhere, and so would all others.
    """

    origin: Images
    low: Tensor
    high: Tensor
    delta: Tensor
    previous: Tensor
    direction: Tensor
    best: Tensor
    best_direction: Tensor
    loss: Tensor
    best_loss: Tensor
    checked_loss: Tensor
    size: Tensor
    rises: Tensor
    halved: Tensor
    rests: Tensor

    @classmethod
    def start(cls, origin: Images, delta: Tensor, size: float) -> "_Walk":
        low, high = room(origin)
        number = torch.full(origin.shape[:1], float(size), device=origin.device)
        never, none = torch.full_like(number, -torch.inf), torch.zeros_like(number, dtype=torch.bool)
        return cls(
            *(origin, low, high, delta, delta, delta, delta.clone(), delta.clone()),
            *(-never, never, never, number, torch.zeros_like(number), none, none),
        )

    def __getitem__(self, rows: Tensor) -> "_Walk":
        return _Walk(*(getattr(self, field.name)[rows] for field in fields(self)))

    def note(self, loss: Tensor, direction: Tensor) -> None:
        """Takes in what the network says about delta."""
        self.rises += loss > self.loss
        better = loss > self.best_loss
        self.loss, self.direction = loss, direction
        self.best_loss = torch.where(better, loss, self.best_loss)
        self.best[better], self.best_direction[better] = self.delta[better], direction[better]

    def check(self, steps: int) -> None:
        """A checkpoint, ``steps`` after the last one: conditions 1 and 2, row by row."""
        stalled = (self.rises < _RISING * steps) | (~self.halved & (self.best_loss == self.checked_loss))
        self.size = torch.where(stalled, self.size / 2, self.size)
        self.loss = torch.where(stalled, self.best_loss, self.loss)
        self.delta = torch.where(per_row(stalled, self.delta), self.best, self.delta)
        self.direction = torch.where(per_row(stalled, self.delta), self.best_direction, self.direction)
        self.halved, self.checked_loss, self.rises = stalled, self.best_loss, torch.zeros_like(self.rises)

    def advance(self, norm: Norm, eps: float, momentum: float) -> None:
        """Equation 1."""
        ahead = self._project(norm, eps, torch.addcmul(self.delta, self.direction, per_row(self.size, self.delta)))
        moved = self.delta - self.previous
        self.rests = ((ahead == self.delta) & (moved == 0)).flatten(1).all(1) & (self.loss >= self.best_loss)
        if momentum:
            ahead = self._project(norm, eps, ahead.lerp_(self.delta, momentum).add_(moved, alpha=momentum))
        self.previous, self.delta = self.delta, ahead

    def _project(self, norm: Norm, eps: float, delta: Tensor) -> Tensor:
        return torch.clamp(norm.project(delta, eps), self.low, self.high)
