"""A crop of the middle, brought back to the image's size (Graese et al. 2016, arXiv:1610.04256)."""

from dataclasses import dataclass
from typing import final

import torch.nn.functional as F

from brittle.catalog import option
from brittle.defend.defence import register_defence
from brittle.models.classifier import Classifier
from brittle.models.front import Front, Fronted
from brittle.types import Images


@register_defence("crop-resize", paper="arXiv:1610.04256", attacker="its own gradient")
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class CropResize:
    """Crops the middle of the image, and enlarges it to the image's size again."""

    keep: float = option(0.85, "share of each side that is kept", above=0, below=1)

    def around(self, classifier: Classifier, seed: int) -> Classifier:
        return Fronted(classifier, Front(self.step))

    def step(self, images: Images) -> Images:
        """The middle, by bilinear interpolation."""
        height, width = images.shape[2:]
        top, left = (round(side * (1 - self.keep) / 2) for side in (height, width))
        return cropped(images, top, left, height - 2 * top, width - 2 * left)


def cropped(images: Images, top: int, left: int, height: int, width: int) -> Images:
    """A part of images, enlarged to their size by bilinear interpolation."""
    part = images[:, :, top : top + max(1, height), left : left + max(1, width)]
    return F.interpolate(part, size=images.shape[2:], mode="bilinear", align_corners=False)
