"""A classifier as an attack on its average behaviour sees it."""

from collections.abc import Iterator
from typing import final

import torch

from brittle.goals import Objective
from brittle.models.classifier import Classifier, Pullback
from brittle.rng import Rng
from brittle.types import Images, Logits


@final
class Averaged:
    """A ``Classifier`` whose every answer is the mean over several passes; everything else is the classifier's own.

    noise: standard deviation of Gaussian noise added to the pixels before each pass. The draws are the same for every
    image and every question, so that the average is a fixed function which an attack can walk on, and an example's
    result does not depend on its company. What a network itself draws at random is new in each pass.
    """

    def __init__(self, classifier: Classifier, *, samples: int, noise: float, rng: Rng) -> None:
        self.classifier, self.samples, self.noise = classifier, samples, noise
        self.seed = rng.seed
        self.device, self.batch_size = classifier.device, classifier.batch_size

    @property
    def num_classes(self) -> int:
        return self.classifier.num_classes

    def chunks(self, count: int) -> Iterator[slice]:
        return self.classifier.chunks(count)

    def logits(self, images: Images, *, plain: bool = False) -> Logits:
        """The mean logits."""
        return _mean([self.classifier.logits(one, plain=plain) for one in self._seen(images)])

    def gradient(self, images: Images, goal: Objective) -> tuple[Logits, Images]:
        """The mean logits and the mean of the gradients of the loss (Athalye et al. 2018, arXiv:1707.07397, eq. 2)."""
        answers = [self.classifier.gradient(one, goal) for one in self._seen(images)]
        return _mean([logits for logits, _ in answers]), _mean([gradient for _, gradient in answers])

    def linearize(self, images: Images) -> tuple[Logits, Pullback]:
        """The mean logits and their linearisation."""
        answers = [self.classifier.linearize(one) for one in self._seen(images)]

        def pullback(cotangents: torch.Tensor, *, more: bool = False) -> Images:
            return _mean([one(cotangents, more=more) for _, one in answers])

        return _mean([logits for logits, _ in answers]), pullback

    def _seen(self, images: Images) -> Iterator[Images]:
        for sample in range(self.samples):
            if not self.noise or not len(images):
                yield images
            else:
                yield images + self.noise * Rng(self.seed, ("every example",)).normal(f"noise {sample}", images[:1])


def _mean(values: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack(values).mean(0) if len(values) > 1 else values[0]
