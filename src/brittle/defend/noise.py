"""Gaussian noise on every pixel, as of a sensor (Graese et al. 2016, arXiv:1610.04256)."""

from dataclasses import dataclass
from typing import final

from brittle.catalog import option
from brittle.defend.defence import register_defence
from brittle.defend.views import Draws, Viewed
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images


@register_defence(
    "noise", paper="arXiv:1610.04256", attacker="the mean over draws, through its own gradient", drawn=True
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Noise:
    """Adds Gaussian noise to every pixel; pixels may leave the box."""

    sd: float = option(0.05, "standard deviation, in pixels of [0, 1]", above=0)
    samples: int = option(1, "draws that an answer is the mean over", at_least=1)
    draws: int = option(16, "draws of an attacker who knows of it", at_least=1)

    def around(self, classifier: Classifier, seed: int) -> Classifier:
        return Viewed(classifier, Draws(self.step, self.samples, self.draws, seed))

    def step(self, images: Images, rng: Rng) -> Images:
        """Each image with noise of its own draw."""
        return images + self.sd * rng.normal("noise", images)
