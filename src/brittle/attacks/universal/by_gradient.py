"""Universal perturbations by stochastic gradients (Shafahi et al. 2020, arXiv:1811.11304, algorithm 1)."""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from brittle.attacks.universal.pool import OnStep, Pool, Step
from brittle.catalog import option, register_fitter
from brittle.data.examples import Examples
from brittle.data.perturbation import Perturbation
from brittle.geometry.box import clip
from brittle.geometry.norms import LINF, NormLike, norm_of, per_row
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images


@register_fitter("universal-sgd", paper="arXiv:1811.11304", cost="epochs * (F + B) + 2 F")
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class UniversalSGD:
    """Fits one perturbation that fools most images: climbs the mean loss of small batches of them.

    ``v <- project(v + step_size * steepest(m), eps)`` with ``m <- momentum * m + mean gradient`` of the images whose
    loss is below ``clamp``: those beyond it are fooled by far, and must not outweigh the others (the paper's clipped
    loss). In L-infinity the step is the sign of m, in other norms the unit step along it, so that the step size is in
    pixels whatever the loss; it falls to zero along a cosine.

    The loss is the log-odds against the class that an image has, as in every attack here: unlike the cross-entropy it
    does not vanish where the classifier is sure.

    With few images v fits them and not others. Each batch is therefore shifted by some random pixels, round the edges.
    """

    norm: NormLike = option(LINF, "norm of the budget")
    eps: float = option(8 / 255, "budget: largest size of the perturbation, in pixels of [0, 1]", at_least=0)
    epochs: int = option(10, "passes over the images", at_least=1)
    minibatch: int = option(8, "images of one step; more make fewer steps of an epoch", at_least=1)
    step_size: float | None = option(None, "size of the first steps; default eps / 2", above=0)
    momentum: float = option(0.9, "decay of the accumulated gradient; 0 for none", at_least=0, below=1)
    clamp: float = option(20.0, "log-odds against its class beyond which an image counts no more")
    shift: float = option(
        1 / 16,
        "batches are shifted by up to this part of their sides, at random; 0: not",
        at_least=0,
        at_most=0.5,
    )

    def fit(
        self, classifier: Classifier, examples: Examples, *, seed: int = 0, on_step: OnStep | None = None
    ) -> Perturbation:
        """The perturbation for this classifier, fitted to all the examples; their labels are not needed.

        seed: of the order of the images and their shifts. on_step: told how far it is.
        Raises BrittleError for no examples, Unsupported for a classifier without gradients.
        """
        pool, norm = Pool(classifier, examples, seed), norm_of(self.norm)
        v, velocity, taken = pool.nothing, torch.zeros_like(pool.nothing), 0
        total = self.epochs * -(-len(pool) // self.minibatch)
        for epoch in range(self.epochs):
            order = pool.order(f"universal-sgd order {epoch}")
            for at in range(0, len(order), self.minibatch):
                rows = order[at : at + self.minibatch]
                velocity = self.momentum * velocity + self._gradient(pool, v, rows, taken)
                v = norm.project(v + self._pace(taken / total) * norm.steepest(velocity), self.eps)
                taken += 1
                if on_step:
                    on_step(Step(epoch * len(pool) + at + len(rows), self.epochs * len(pool)))
        return pool.fitted(self, v, pool.fooled(v), passes=self.epochs)

    def _pace(self, done: float) -> float:
        """The size of a step when a part ``done`` of all has been taken."""
        first = self.eps / 2 if self.step_size is None else self.step_size
        return first * (1 + math.cos(math.pi * done)) / 2

    def _gradient(self, pool: Pool, v: Tensor, rows: list[int], number: int) -> Tensor:
        """The mean gradient of the clamped loss on some images, ``[1, C, H, W]``."""
        images, goal = self._shifted(pool.images(rows), pool.rng.seed, number), pool.goal(rows)
        logits, gradient = pool.classifier.gradient(clip(images + v), goal.loss)
        counts = goal.loss(logits) < self.clamp
        return torch.where(per_row(counts, gradient), gradient, 0).mean(0, keepdim=True)

    def _shifted(self, images: Images, seed: int, number: int) -> Images:
        """All by the same number of rows and columns."""
        if not self.shift:
            return images
        draws = Rng(seed, (f"step {number}",)).uniform("universal-sgd shift", torch.zeros(1, 2))[0]
        moves = [
            round(float(self.shift * side * (2 * draw - 1))) for side, draw in zip(images.shape[2:], draws, strict=True)
        ]
        return torch.roll(images, moves, (2, 3))
