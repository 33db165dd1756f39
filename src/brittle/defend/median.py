"""The median of each pixel's surroundings (Xu et al. 2018, arXiv:1704.01155, section III-B)."""

from dataclasses import dataclass
from typing import final

import torch.nn.functional as F

from brittle.catalog import option
from brittle.defend.defence import register_defence
from brittle.errors import BrittleError
from brittle.models.classifier import Classifier
from brittle.models.front import Front, Fronted
from brittle.text import counted
from brittle.types import Images


@register_defence("median", paper="arXiv:1704.01155", attacker="its own gradient")
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Median:
    """Makes every value the median of a window around it; beyond the edge, the image is reflected."""

    size: int = option(3, "side of the window, in pixels", at_least=2)

    def around(self, classifier: Classifier, seed: int) -> Classifier:
        return Fronted(classifier, Front(self.step))

    def step(self, images: Images) -> Images:
        """Of an even number the lower one of the two in the middle."""
        before, after = (self.size - 1) // 2, self.size // 2
        if min(images.shape[2:]) <= after:
            raise BrittleError(
                f"expected images of more than {counted(after, 'pixel')} a side for median(size={self.size}), got"
                f" {images.shape[2]}x{images.shape[3]}"
            )
        padded = F.pad(images, (before, after, before, after), mode="reflect")
        windows = padded.unfold(2, self.size, 1).unfold(3, self.size, 1)
        return windows.flatten(4).median(4).values
