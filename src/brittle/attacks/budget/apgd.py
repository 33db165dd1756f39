"""APGD, PGD that chooses its own step size, and its targeted form APGD-T (Croce & Hein 2020, arXiv:2003.01690)."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from brittle.attacks.budget.aim import Aim, Loss
from brittle.attacks.budget.apgd_l1 import Sparse
from brittle.attacks.budget.apgd_walk import Halving, Pace, Walk
from brittle.attacks.parts.asking import Asking, asking_first
from brittle.attacks.parts.best import First
from brittle.attacks.parts.contract import Outcome
from brittle.attacks.parts.rows import rows_of, rows_where
from brittle.catalog import option, register
from brittle.devices import is_due
from brittle.geometry import l1_budget
from brittle.geometry.norms import L1, L2, LINF, Norm, NormLike, norm_of, per_row
from brittle.goals import Goal, Targeted, Untargeted
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images, Labels, Logits

_STAGES, _WIDE = 4, 15
"""How many larger budgets there are before eps, and for how many hundredths of the steps each."""
_PART, _BRIEF = 10, 5
"""One in so many steps decides which targets are worth all of them; but never fewer than so many."""

Stages = list[tuple[float, int]]


@register(
    "apgd",
    paper="arXiv:2003.01690",
    kind="budget",
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
    the projection on ball and box together (see ``apgd_l1``).

    loss: ``ce`` is cross-entropy (its monotone equal, the log-odds); ``margin`` is the difference of the two logits
    that matter; ``dlr`` is that divided by a spread of the largest logits (equations 5 and 6, see ``aim``).
    targets: 0 leaves the label any way there is. With n > 0 it goes for each of the n most likely other classes in
    turn, as long as none has succeeded: ``APGD(loss="dlr", targets=9)`` is the paper's APGD-T. A targeted goal has
    one class to go for, whatever this says.

    widest: with more than 1 the budget is that many times eps to begin with, and falls to eps in four stages over the
    first 60 % of the steps; each goes on from the best point of the one before, projected (arXiv:2103.01208, section 5,
    has 3, 2 and 1 times eps, in L1 alone). What is adversarial beyond eps does not count. But a climb that has met the
    goal nowhere in a stage ends with it: what fails within a larger budget is not worth steps within a smaller one.

    shortlist: with n > 0 each target has a tenth of the steps within eps first, and the n targets of the highest loss
    have all of them.

    An example leaves at its first success; it also leaves where it has come to rest, as every further step would be the
    same. P first projects to the ball, then to the box: in L-infinity that is the projection on both, in L2 it is a
    point of both, as in the authors' code.
    """

    norm: NormLike = option(LINF, "norm of the budget", among=(L1, L2, LINF))
    eps: float = option(8 / 255, "budget: largest size of the perturbation, in pixels of [0, 1]", at_least=0)
    steps: int = option(
        100, "gradient steps at the most, for each target; an image leaves at its first success", at_least=1
    )
    loss: Loss = option("ce", "what is climbed")
    targets: int = option(
        0, "most likely other classes to go for in turn; 0 leaves the label any way. APGD-T has 9", at_least=0
    )
    shortlist: int = option(0, "of these classes, so many get all steps; the others a tenth. 0 for all", at_least=0)
    widest: float = option(
        1.0, "first budget, in multiples of eps, which falls to eps in 60 % of the steps; 1 for none", at_least=1
    )

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        ask = asking_first(classifier, images, goal)
        logits = ask.logits(ask.everyone, images)
        ask.note(ask.everyone, images, logits)
        targets = self._targets(goal, logits)
        first, others = targets[:, :1], targets[:, 1:]
        if 0 < self.shortlist < targets.shape[1]:
            brief = [(self.eps, max(_BRIEF, self.steps // _PART))]
            highest = self._wave(ask, targets, brief, rng.another(f"apgd {self.loss} {self.targets} brief"))
            first, others = targets.gather(1, highest.topk(self.shortlist, dim=1).indices), targets[:, :0]
        # Others wait for no one: they make one batch together, and the first to succeed ends it for the others. One
        # after another, few rows at a time would fail for all the steps there are before the next had its turn.
        for number, wave in enumerate((first, others)):
            if wave.shape[1]:
                self._wave(ask, wave, self._stages(), rng.another(f"apgd {self.loss} {self.targets} {number}"))
        return ask.outcome()

    def _wave(self, ask: Asking[First], targets: Labels, stages: Stages, rng: Rng) -> Tensor:
        """All that are left, towards ``[B, T]`` classes; the highest loss of each climb, of the same shape."""
        highest = torch.zeros_like(targets, dtype=ask.images.dtype)
        left = (~ask.best.claimed).nonzero().squeeze(1)
        for rows in torch.split(left, _at_once(targets, ask.classifier)):
            before = ask.steps[rows]
            highest[rows] = self._climb(ask, rows, targets[rows], stages, rng[rows])
            ask.stepped(rows, ask.steps[rows] == before)  # the start is one, where by chance it is all that was needed
        return highest

    def _targets(self, goal: Goal, logits: Logits) -> Labels:
        """The classes to go for, ``[B, T]``, the most likely one first."""
        if not self.targets or not isinstance(goal, Untargeted):
            return goal.labels.unsqueeze(1)
        classes = logits.shape[1] - 1 - (goal.reject is not None)
        return goal.others(logits).argsort(dim=1, descending=True, stable=True)[:, : min(self.targets, classes)]

    def _climb(self, ask: Asking[First], rows: Tensor, targets: Labels, stages: Stages, rng: Rng) -> Tensor:
        """From random starts, T climbs of each image at once; the highest loss of each, ``[n, T]``.

        What fails comes back at the highest of these; a climb that has ended before it was within eps has none.
        """
        norm, together = norm_of(self.norm), targets.shape[1]
        aim = self._aim(ask.goal[rows], targets)
        walk = self._start(norm, stages[0][0], ask.images[rows], targets, rng)
        owners = rows.repeat_interleave(together)  # of the climbs; those that are left:
        climbs = torch.arange(len(owners), device=rows.device)
        ends, highest = walk.origin.clone(), torch.full_like(walk.loss, -torch.inf)

        for radius, length in stages:
            if not len(climbs):
                break
            within = radius == self.eps
            walk = Walk.start(walk.origin, _projected(norm, walk, radius))
            pace: Pace = Sparse.start(radius, walk) if norm == L1 else Halving.start(norm, radius, walk)
            checks, since = pace.checkpoints(length), 0
            reached = torch.zeros_like(walk.rests)
            for step in range(length):
                if not len(climbs):
                    break
                x, asked = walk.at(walk.delta), owners[climbs]
                logits, gradient = ask.gradient(asked, x, aim.loss)
                loss, met = aim.loss(logits), aim.is_surely_met(logits)
                reached |= met
                found = met & ~ask.best.claimed[asked] & within  # an image's first success ends all of its climbs
                ask.best.claim(asked, found)
                walk.note(loss, gradient, found)
                goes_on = ~((ask.best.claimed[asked] | walk.rests) & within)
                if within and (step in checks or is_due(step, length, x.device)):
                    gone = rows_where(~goes_on)
                    if len(gone):
                        ends[climbs[gone]], highest[climbs[gone]] = walk.at(walk.best)[gone], walk.best_loss[gone]
                        climbs, walk, pace, aim, reached, goes_on = rows_of(
                            (climbs, walk, pace, aim, reached, goes_on), goes_on
                        )
                if step in checks:
                    pace.check(walk, step - since)
                    since = step
                pace.advance(walk)
                ask.stepped(owners[climbs], goes_on)
            if not within and length >= _BRIEF:  # of fewer steps nothing follows
                lost = rows_where(~reached)
                ends[climbs[lost]] = walk.at(_projected(norm, walk, self.eps))[lost]
                climbs, walk, aim = rows_of((climbs, walk, aim), reached)

        if len(climbs):  # where the last step has led is looked at, no more
            x = walk.at(walk.delta)
            logits = ask.logits(owners[climbs], x)
            met = aim.is_surely_met(logits)
            ask.best.claim(owners[climbs], met)
            walk.note(aim.loss(logits), walk.gradient, met)
            ends[climbs], highest[climbs] = walk.at(walk.best), walk.best_loss
        highest = highest.view(-1, together)
        ask.best.leave(rows, _picked(ends, highest), ask.best.claimed[rows])
        return highest

    def _stages(self) -> Stages:
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

    def _start(self, norm: Norm, radius: float, images: Images, targets: Labels, rng: Rng) -> Walk:
        """A random point at that distance for each target; in L2, too, with a uniform cube's directions.

        In L1 it is such a cube's point, projected: scaled down, all coordinates would have changed by next to nothing.
        """
        like = images.unsqueeze(1).expand(-1, targets.shape[1], -1, -1, -1)
        direction = (2 * rng.uniform("start", like) - 1).flatten(0, 1)
        size = 1.0 if norm == L1 else per_row(radius / norm.measure(direction), direction)
        return Walk.start(like.flatten(0, 1), direction * size)


def _at_once(targets: Labels, classifier: Classifier) -> int:
    """How many images: all, but with several targets each no more than fill a pass together, to save memory."""
    return max(1, len(targets) if targets.shape[1] == 1 else classifier.batch_size // targets.shape[1])


def _projected(norm: Norm, walk: Walk, radius: float) -> Tensor:
    """The best perturbations, brought into a ball and the box."""
    if norm == L1:
        return l1_budget.project(walk.best, radius, walk.room)
    return walk.at(norm.project(walk.best, radius)) - walk.origin


def _picked(x: Images, score: Tensor) -> Images:
    """Of ``[n * T]`` images the one with the highest score ``[n, T]`` in its T, the first of equals: ``[n]`` images."""
    return x[score.float().argmax(1) + torch.arange(len(score), device=x.device) * score.shape[1]]
