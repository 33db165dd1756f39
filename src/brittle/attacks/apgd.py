"""APGD, PGD that chooses its own step size, and its targeted form APGD-T (Croce & Hein 2020, arXiv:2003.01690)."""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from brittle.attacks._aim import LOSSES, Aim
from brittle.attacks._apgd_l1 import Sparse
from brittle.attacks._apgd_walk import Halving, Pace, Walk
from brittle.attacks._contract import Outcome, require, require_budget, require_norm
from brittle.attacks._loop import ActiveSet
from brittle.catalog import option, register
from brittle.geometry import _l1_budget
from brittle.geometry.norms import L1, L2, LINF, Norm, NormLike, norm_of, per_row
from brittle.goals import Goal, Targeted, Untargeted
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images, Labels, Logits

_STAGES, _WIDE = 4, 15
"""How many larger budgets there are before eps, and for how many hundredths of the steps each."""


@register(
    "apgd",
    paper="arXiv:2003.01690",
    kind="budget",
    norms=("l1", "l2", "linf"),
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

    In L1 it is APGD-L1 (Croce & Hein 2021, arXiv:2103.01208): steps in some coordinates at a time without momentum, P
    the projection on ball and box together (see ``_apgd_l1``).

    loss: ``ce`` is cross-entropy (its monotone equal, the log-odds); ``margin`` is the difference of the two logits
    that matter; ``dlr`` is that divided by a spread of the largest logits (equations 5 and 6, see ``_aim``).
    targets: 0 leaves the label any way there is. With n > 0 it goes for each of the n most likely other classes in
    turn, as long as none has succeeded: ``APGD(loss="dlr", targets=9)`` is the paper's APGD-T. A targeted goal has
    one class to go for, whatever this says.

    widest: with more than 1 the budget is that many times eps to begin with, and falls to eps in four stages over the
    first 60 % of the steps; each goes on from the best point of the one before, projected (arXiv:2103.01208, section 5,
    has 3, 2 and 1 times eps, in L1 alone). What is adversarial beyond eps does not count and ends nothing.

    An example leaves at its first success; it also leaves where it has come to rest, as every further step would be the
    same. P first projects to the ball, then to the box: in L-infinity that is the projection on both, in L2 it is a
    point of both, as in the authors' code.
    """

    norm: NormLike = option(LINF, "norm of the budget: l1, l2 or linf")
    eps: float = option(8 / 255, "budget: largest size of the perturbation, in pixels of [0, 1]")
    steps: int = option(100, "gradient steps at the most, for each target; an image leaves at its first success")
    loss: str = option("ce", "what is climbed: ce, dlr or margin")
    targets: int = option(0, "most likely other classes to go for in turn; 0 leaves the label any way. APGD-T has 9")
    widest: float = option(
        1.0, "first budget, in multiples of eps, which falls to eps in 60 % of the steps; 1 for none"
    )

    def __post_init__(self) -> None:
        require(self.steps >= 1, "steps >= 1", self.steps)
        require(self.loss in LOSSES, "loss ce, dlr or margin", self.loss)
        require(self.targets >= 0, "targets >= 0", self.targets)
        require(1 <= self.widest < math.inf, "a finite widest >= 1", self.widest)
        require_norm(self, self.norm)
        require(self.norm in (L1, L2, LINF), "norm l1, l2 or linf", self.norm)
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
                taken = run.steps.clamp_min(1)  # the start is one, where by chance it is all that was needed
                for total, one in ((steps, taken), (forwards, run.forwards), (backwards, run.backwards)):
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
        """From a random start, each image T times at once; what fails comes back at its highest loss."""
        norm, together = norm_of(self.norm), targets.shape[1]
        found = images.clone()
        claimed = torch.zeros(len(images), dtype=torch.bool, device=images.device)
        steps, forwards, backwards = (torch.zeros_like(claimed, dtype=torch.int64) for _ in range(3))
        active = ActiveSet(len(images), images.device)
        aim = self._aim(goal, targets)
        walk = self._start(norm, images, targets, rng)

        for radius, length in self._stages():
            if norm == L1:
                walk = Walk.start(walk.origin, _l1_budget.project(walk.best, radius, walk.room))
                pace: Pace = Sparse.start(radius, walk)
            else:
                walk = Walk.start(walk.origin, walk.at(norm.project(walk.best, radius)) - walk.origin)
                pace = Halving.start(norm, radius, walk)
            ends, since = pace.checkpoints(length), 0
            for step in range(length):
                if not len(active):
                    break
                x = walk.at(walk.delta)
                logits, gradient = classifier.gradient(x, aim.loss)
                forwards[active.rows] += together
                backwards[active.rows] += together
                loss, met = aim.loss(logits), aim.is_surely_met(logits).view(-1, together)
                leaves = (met.any(1) | walk.rests.view(-1, together).all(1)) & (radius == self.eps)
                if leaves.any():
                    claimed[active.rows] = met.any(1) & leaves
                    found[active.rows[leaves]] = _picked(x, met)[leaves]
                    active.drop(leaves)
                    keep = (~leaves).repeat_interleave(together).nonzero().squeeze(1)
                    walk, pace, aim, loss, gradient = walk[keep], pace[keep], aim[keep], loss[keep], gradient[keep]
                walk.note(loss, gradient)
                if step in ends:
                    pace.check(walk, step - since)
                    since = step
                pace.advance(walk)
                steps[active.rows] += together

        if len(active):  # where the last step has led is looked at, no more
            x = walk.at(walk.delta)
            logits = classifier.logits(x)
            forwards[active.rows] += together
            met = aim.is_surely_met(logits)
            claimed[active.rows] = met.view(-1, together).any(1)
            walk.note(torch.where(met, torch.inf, aim.loss(logits)), walk.gradient)
            found[active.rows] = _picked(walk.at(walk.best), walk.best_loss.view(-1, together))
        return Outcome(found, claimed, steps, forwards, backwards)

    def _stages(self) -> list[tuple[float, int]]:
        """The budgets and the number of steps with each; the last is eps itself."""
        if self.widest == 1:
            return [(self.eps, self.steps)]
        length = self.steps * _WIDE // 100
        wide = [(self.eps * self.widest ** (1 - stage / _STAGES), length) for stage in range(_STAGES)]
        return [*wide, (self.eps, self.steps - _STAGES * length)]

    def _aim(self, goal: Goal, targets: Labels) -> Aim:
        if not self.targets or not isinstance(goal, Untargeted):
            return Aim(goal, goal, self.loss)
        each = torch.arange(len(goal), device=targets.device).repeat_interleave(targets.shape[1])
        return Aim(goal[each], Targeted(targets.flatten()), self.loss)

    def _start(self, norm: Norm, images: Images, targets: Labels, rng: Rng) -> Walk:
        """A random point at distance eps for each target; in L2, too, with a uniform cube's directions.

        In L1 it is such a cube's point, projected: scaled down, all coordinates would have changed by next to nothing.
        """
        like = images.unsqueeze(1).expand(-1, targets.shape[1], -1, -1, -1)
        direction = (2 * rng.uniform("start", like) - 1).flatten(0, 1)
        size = 1.0 if norm == L1 else per_row(self.widest * self.eps / norm.measure(direction), direction)
        return Walk.start(like.flatten(0, 1), direction * size)


def _at_once(targets: Labels, classifier: Classifier) -> int:
    """How many images: all, but with several targets each no more than fill a pass together, to save memory."""
    return max(1, len(targets) if targets.shape[1] == 1 else classifier.batch_size // targets.shape[1])


def _picked(x: Images, score: Tensor) -> Images:
    """Of ``[n * T]`` images the one with the highest score ``[n, T]`` in its T, the first of equals: ``[n]`` images."""
    return x[score.float().argmax(1) + torch.arange(len(score), device=x.device) * score.shape[1]]
