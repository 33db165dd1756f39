"""Asks a classifier on an attack's behalf, and counts: no attack counts a pass by itself."""

from typing import Generic, TypeVar, final

import torch
from torch import Tensor

from brittle.attacks.parts.best import First, Nearest
from brittle.attacks.parts.contract import Attack, Outcome
from brittle.catalog import traits_of
from brittle.geometry.norms import Norm
from brittle.goals import Goal
from brittle.models.classifier import Classifier, Pullback, Score, asked_about
from brittle.rng import Rng
from brittle.types import Images, Logits

Best = TypeVar("Best", First, Nearest)


@final
class Asking(Generic[Best]):
    """What an attack has asked for and found on one batch; ``rows`` index into the whole of it, and may repeat.

    Whatever is asked counts a pass for each row that is asked about. ``look``, ``descent`` and ``note`` also offer the
    images to ``best``: ``First`` for attacks that want one that meets the goal, ``Nearest`` for those that want the
    smallest perturbation. margin: ``goal.margin`` at the nearest, ``[B]``. first_gap: that of the images themselves,
    once an attack has put it there.
    """

    def __init__(self, classifier: Classifier, images: Images, goal: Goal, best: Best) -> None:
        self.classifier, self.images, self.goal = classifier, images, goal
        self.best: Best = best
        self.everyone = torch.arange(len(images), device=images.device)
        self.margin, self.first_gap = (torch.zeros(len(images), device=images.device) for _ in range(2))
        self.steps, self.forwards, self.backwards = (torch.zeros_like(self.everyone) for _ in range(3))
        self._rows, self._goal = self.everyone, goal

    def goal_of(self, rows: Tensor) -> Goal:
        """The goal of some rows; asked for the same ones again, as it was."""
        if rows is not self._rows:
            self._rows, self._goal = rows, self.goal[rows]
        return self._goal

    # ---- asking

    def logits(self, rows: Tensor, x: Images) -> Logits:
        """What the classifier says; a forward pass for each row."""
        self._count(self.forwards, rows)
        return self.classifier.logits(x)

    def look(self, rows: Tensor, x: Images) -> tuple[Tensor, Tensor]:
        """Whether the goal is met at ``x``, and the margin there; a forward pass for each row."""
        logits = self.logits(rows, x)
        return self.note(rows, x, logits), self.goal_of(rows).margin(logits)

    def margins(self, rows: Tensor, x: Images) -> tuple[Tensor, Tensor]:
        """What random searches ask for: the margins, inf where not a number, and where the goal is surely met.

        A forward pass for each row; nothing is offered.
        """
        logits, goal = self.logits(rows, x), self.goal_of(rows)
        margin = goal.margin(logits).nan_to_num(nan=torch.inf)
        if not bool((margin < 0).any()):  # as mostly: what is_surely_met asks for on top is not worth its time
            return margin, torch.zeros_like(margin, dtype=torch.bool)
        return margin, goal.is_surely_met(logits)

    def gradient(self, rows: Tensor, x: Images, score: Score | None = None) -> tuple[Logits, Images]:
        """Logits, and the gradient of each row's score, by default the goal's loss; a pass in each direction."""
        self._count(self.forwards, rows)
        self._count(self.backwards, rows)
        return self.classifier.gradient(x, self.goal_of(rows).loss if score is None else score)

    def margin_gradient(self, rows: Tensor, x: Images) -> tuple[Logits, Images]:
        """Logits, and the gradient along which ``goal.margin`` falls; a pass in each direction.

        It is that of the difference between the goal's own logit and the largest other one.
        """
        logits, gradients = [x.new_zeros(0, 0)], [x[:0]]
        for part in self.classifier.chunks(len(x)):
            goal = self.goal_of(rows)[part]
            answer, pullback = self.classifier.linearize(x[part])
            _, cotangents = goal.towards(answer, goal.others(answer).argmax(1))
            gradients.append(pullback(cotangents))
            logits.append(answer)
        self._count(self.forwards, rows)
        self._count(self.backwards, rows)
        return torch.cat(logits[1:] or logits), torch.cat(gradients)

    def descent(self, rows: Tensor, x: Images) -> tuple[Images, Tensor]:
        """The direction in which the margin falls at ``x``, and whether the goal is met there; a step of each row."""
        logits, gradient = self.margin_gradient(rows, x)
        self.stepped(rows)
        return gradient, self.note(rows, x, logits)

    def linearize(self, rows: Tensor, x: Images) -> tuple[Logits, Pullback]:
        """Logits of at most a pass's rows, and their pull-back, which counts the rows that it is asked about."""
        self._count(self.forwards, rows)
        logits, pullback = self.classifier.linearize(x)

        def counted(cotangents: Tensor, *, more: bool = False) -> Images:
            self.backwards.index_add_(0, rows, asked_about(cotangents))
            return pullback(cotangents, more=more)

        return logits, counted

    def outcome_of(self, attack: Attack, rows: Tensor, x: Images, rng: Rng) -> Outcome:
        """What another attack makes of images ``x`` of some rows; its passes count, its results are not offered.

        Those of an attack that does not look at what it has made are looked at: a forward pass for each row that was
        changed and is not claimed.
        """
        found = attack(self.classifier, x, self.goal_of(rows), rng=rng)
        self.add(rows, found.steps, found.forwards, found.backwards)
        if traits_of(attack).looks:
            return found
        claimed = found.claimed.clone()
        unseen = (~claimed & (found.images != x).flatten(1).any(1)).nonzero().squeeze(1)
        if len(unseen):
            seen = rows[unseen]
            claimed[unseen] = self.goal[seen].is_surely_met(self.logits(seen, found.images[unseen]))
        return found._replace(claimed=claimed)

    # ---- keeping and counting

    def note(self, rows: Tensor, x: Images, logits: Logits) -> Tensor:
        """Whether the goal is met there, by rows each of which comes once; if so, it is offered to the best."""
        goal = self.goal_of(rows)
        met = goal.is_surely_met(logits)
        better = self.best.offer(rows, x, met)
        if isinstance(self.best, Nearest):
            self.margin[rows] = torch.where(better, goal.margin(logits), self.margin[rows])
        return met

    def stepped(self, rows: Tensor, which: Tensor | None = None) -> None:
        """A step of each row, or of those where bool ``which`` holds."""
        self._count(self.steps, rows, which)

    @property
    def counts(self) -> tuple[Tensor, Tensor, Tensor]:
        """steps, forwards and backwards."""
        return self.steps, self.forwards, self.backwards

    def add(self, rows: Tensor, steps: Tensor, forwards: Tensor, backwards: Tensor) -> None:
        """Counts what another has asked for some rows."""
        for total, one in zip(self.counts, (steps, forwards, backwards), strict=True):
            total.index_add_(0, rows, one)

    def outcome(self) -> Outcome:
        """All of it, as an attack returns it."""
        return Outcome(self.best.images, self.best.claimed, *self.counts)

    def _count(self, total: Tensor, rows: Tensor, which: Tensor | None = None) -> None:
        total.index_add_(0, rows, torch.ones_like(rows) if which is None else which.to(rows.dtype))


def asking_first(classifier: Classifier, images: Images, goal: Goal) -> Asking[First]:
    """For attacks under a budget: the first image that meets the goal is the best."""
    return Asking(classifier, images, goal, First(images))


def asking_nearest(classifier: Classifier, images: Images, goal: Goal, norm: Norm) -> Asking[Nearest]:
    """For attacks that look for a small perturbation in a norm."""
    return Asking(classifier, images, goal, Nearest(images, norm))
