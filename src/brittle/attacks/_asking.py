"""Asks a classifier on an attack's behalf: each row's passes are counted, and the nearest adversarial point is kept."""

from typing import final

import torch
from torch import Tensor

from brittle.attacks._contract import Outcome
from brittle.attacks._loop import BestSoFar
from brittle.attacks._margin import margin_descent
from brittle.geometry.norms import Norm
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.types import Images, Logits


@final
class Asking:
    """What a minimal attack has asked for and found on one batch; ``rows`` index into the whole of it.

    best: the nearest points that meet the goal; margin: ``goal.margin`` there, ``[B]``. first_gap: the margin of the
    images themselves, once they have been looked at.
    """

    def __init__(self, classifier: Classifier, images: Images, goal: Goal, norm: Norm) -> None:
        self.classifier, self.images, self.goal, self.norm = classifier, images, goal, norm
        self.best = BestSoFar(images, norm)
        self.margin, self.first_gap = (torch.zeros(len(images), device=images.device) for _ in range(2))
        self.steps, self.forwards, self.backwards = (torch.zeros_like(goal.labels) for _ in range(3))

    def look(self, rows: Tensor, x: Images) -> tuple[Tensor, Tensor]:
        """Whether the goal is met at ``x``, and the margin there; a forward pass for each row."""
        self.forwards[rows] += 1
        logits = self.classifier.logits(x)
        return self.note(rows, x, logits), self.goal[rows].margin(logits)

    def descent(self, rows: Tensor, x: Images) -> tuple[Images, Tensor]:
        """The direction in which the margin falls at ``x``, and whether the goal is met there; a step of each row."""
        logits, gradient = margin_descent(self.classifier, x, self.goal[rows])
        for count in self.counts:
            count[rows] += 1
        return gradient, self.note(rows, x, logits)

    def note(self, rows: Tensor, x: Images, logits: Logits) -> Tensor:
        """Whether the goal is met there; if so, and nearer than before, it is the best so far."""
        met = self.goal[rows].is_surely_met(logits)
        better = self.best.offer(rows, x, met)
        self.margin[rows[better]] = self.goal[rows[better]].margin(logits[better])
        return met

    @property
    def counts(self) -> tuple[Tensor, Tensor, Tensor]:
        """steps, forwards and backwards."""
        return self.steps, self.forwards, self.backwards

    def add(self, rows: Tensor, steps: Tensor, forwards: Tensor, backwards: Tensor) -> None:
        """Counts what another has asked for some rows."""
        for total, one in zip(self.counts, (steps, forwards, backwards), strict=True):
            total[rows] += one

    def outcome(self) -> Outcome:
        return Outcome(self.best.images, self.best.claimed, *self.counts)
