"""A classifier's average behaviour."""

import hashlib
import math
from collections.abc import Iterator
from typing import final

import torch
from torch import Tensor

from brittle.errors import BrittleError
from brittle.models.around import Counting
from brittle.models.classifier import Classifier, Pullback, Score, Settings
from brittle.rng import Rng
from brittle.types import Images, Logits


@final
class Averaged(Counting):
    """A ``Classifier`` whose every answer is the mean over several passes of another.

    noise: standard deviation of Gaussian noise added to the pixels before each pass. The draws are the same for every
    image and every question, so that the average is a fixed function which an attack can walk on, and an example's
    result does not depend on its company. What a network itself draws at random is new in each pass.

    ``forwards`` and ``backwards`` count what it is asked; the inner classifier counts ``samples`` for each.
    """

    def __init__(self, inner: Classifier, *, samples: int, noise: float = 0.0, seed: int = 0) -> None:
        if samples < 1 or not 0 <= noise < math.inf:
            raise BrittleError(f"expected samples >= 1 and a finite noise >= 0, got {samples} and {noise}")
        self.inner, self.samples, self.noise, self.seed = inner, samples, noise, seed

    def adjusted(self, said: Settings) -> "Averaged":
        return Averaged(self.inner.adjusted(said), samples=self.samples, noise=self.noise, seed=self.seed)

    @property
    def fingerprint(self) -> str:
        told = f"{self.inner.fingerprint}\0averaged\0{self.samples}\0{self.noise}\0{self.seed}"
        return hashlib.sha256(told.encode()).hexdigest()

    def logits(self, images: Images, *, plain: bool = False) -> Logits:
        """The mean logits."""
        self.forwards += len(images)
        return _mean([self.inner.logits(one, plain=plain) for one in self._seen(images)])

    def gradient(self, images: Images, score: Score) -> tuple[Logits, Images]:
        """The mean logits and the mean of the gradients of the score (Athalye et al. 2018, arXiv:1707.07397, eq. 2)."""
        answers = [self.inner.gradient(one, score) for one in self._seen(images)]
        self.forwards += len(images)
        self._backwards += len(images)
        return _mean([logits for logits, _ in answers]), _mean([gradient for _, gradient in answers])

    def linearize(self, images: Images) -> tuple[Logits, Pullback]:
        """The mean logits and their linearisation."""
        answers = [self.inner.linearize(one) for one in self._seen(images)]
        self.forwards += len(images)

        def pullback(cotangents: Tensor, *, more: bool = False) -> Images:
            self._count_backwards(cotangents)
            return _mean([one(cotangents, more=more) for _, one in answers])

        return _mean([logits for logits, _ in answers]), pullback

    def _seen(self, images: Images) -> Iterator[Images]:
        for sample in range(self.samples):
            if not self.noise or not len(images):
                yield images
            else:
                yield images + self.noise * Rng(self.seed, ("every example",)).normal(f"noise {sample}", images[:1])


def _mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).mean(0) if len(values) > 1 else values[0]
