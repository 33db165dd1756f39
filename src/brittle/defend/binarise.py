"""Every pixel black or white, for images of text and digits (Graese et al. 2016, arXiv:1610.04256)."""

from dataclasses import dataclass
from typing import final

from brittle.catalog import option
from brittle.defend.defence import register_defence
from brittle.defend.rounding import softly_rounded
from brittle.models.classifier import Classifier
from brittle.models.front import Front, Fronted
from brittle.models.stairs import Rounder, Stairs
from brittle.types import Images


@register_defence(
    "binarise",
    paper="arXiv:1610.04256",
    attacker="the gradient of a rounding that is steep near its jumps",
    backward="approximation",
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Binarise:
    """Makes every value 1 from a threshold on, and 0 below it."""

    threshold: float = option(0.5, "the least value that becomes 1", above=0, below=1)

    def around(self, classifier: Classifier, seed: int) -> Classifier:
        return Fronted(classifier, Front(self.step, self.soft, rounds=True))

    def step(self, images: Images) -> Images:
        """0 and 1."""
        return (images >= self.threshold).to(images.dtype)

    @property
    def soft(self) -> Stairs:
        """What an attacker differentiates."""
        return Stairs(self._rounded, softly_rounded)

    def _rounded(self, images: Images, rounder: Rounder) -> Images:
        return rounder(images - self.threshold + 0.5, images.new_tensor(1.0))
