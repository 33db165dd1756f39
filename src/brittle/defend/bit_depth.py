"""Fewer grey levels (Xu et al. 2018, arXiv:1704.01155, section III-A)."""

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
    "bit-depth",
    paper="arXiv:1704.01155",
    attacker="the gradient of a rounding that is steep near its jumps",
    backward="approximation",
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class BitDepth:
    """Rounds every channel to the levels that so many bits can hold."""

    bits: int = option(4, "bits of a channel", at_least=1, at_most=8)

    def around(self, classifier: Classifier, seed: int) -> Classifier:
        return Fronted(classifier, Front(self.step, self.soft, rounds=True))

    def step(self, images: Images) -> Images:
        """Rounded to ``2^bits`` levels from 0 to 1."""
        most = (1 << self.bits) - 1
        return (images * most).round() / most

    @property
    def soft(self) -> Stairs:
        """What an attacker differentiates."""
        return Stairs(self._rounded, softly_rounded)

    def _rounded(self, images: Images, rounder: Rounder) -> Images:
        return rounder(images, images.new_tensor(1 / ((1 << self.bits) - 1)))
