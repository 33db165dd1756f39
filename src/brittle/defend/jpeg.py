"""JPEG (Guo et al. 2018, arXiv:1711.00117; Dziugaite et al. 2016, arXiv:1608.00853)."""

import io
from dataclasses import dataclass
from functools import partial
from typing import final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from brittle.catalog import option
from brittle.defend.defence import register_defence
from brittle.defend.rounding import softly_rounded
from brittle.defend.soft_jpeg import soft_jpeg
from brittle.errors import BrittleError
from brittle.models.classifier import Classifier
from brittle.models.front import Front, Fronted
from brittle.models.stairs import Stairs
from brittle.types import Images


@register_defence(
    "jpeg",
    paper="arXiv:1711.00117",
    attacker="the gradient of a JPEG whose rounding is steep near its jumps",
    backward="approximation",
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class JPEG:
    """Encodes each image as a JPEG file, and decodes it."""

    quality: int = option(75, "quality of the encoder", at_least=1, at_most=100)

    def around(self, classifier: Classifier, seed: int) -> Classifier:
        return Fronted(classifier, Front(self.step, self.soft))

    @property
    def soft(self) -> Stairs:
        """What an attacker differentiates."""
        return Stairs(partial(soft_jpeg, quality=self.quality), softly_rounded)

    def step(self, images: Images) -> Images:
        """By libjpeg, as Pillow has it; BrittleError for images that are neither grey nor RGB."""
        if images.shape[1] not in (1, 3):
            raise BrittleError(f"expected grey or RGB images for jpeg, got {images.shape[1]} channels")
        if not len(images):
            return images
        pixels = (images * 255).round().clamp(0, 255).to(torch.uint8).cpu()
        return torch.stack([self._decoded(one) for one in pixels]).to(images) / 255

    def _decoded(self, pixels: Tensor) -> Tensor:
        """uint8 ``[C, H, W]`` -> the same, of the file."""
        file = io.BytesIO()
        Image.fromarray(pixels.permute(1, 2, 0).squeeze(2).numpy()).save(file, "JPEG", quality=self.quality)
        with Image.open(file) as image:
            values = torch.from_numpy(np.array(image))
        return values.unsqueeze(0) if values.ndim == 2 else values.permute(2, 0, 1)
