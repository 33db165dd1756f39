"""A Gaussian blur, as of a lens out of focus (Graese et al. 2016, arXiv:1610.04256)."""

import math
from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F

from brittle.catalog import option
from brittle.defend.defence import register_defence
from brittle.models.classifier import Classifier
from brittle.models.front import Front, Fronted
from brittle.types import Images


@register_defence("blur", paper="arXiv:1610.04256", attacker="its own gradient")
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Blur:
    """Blurs with a Gaussian; beyond the edge, the edge is repeated."""

    sd: float = option(0.8, "standard deviation of the Gaussian, in pixels", above=0, at_most=10)

    def around(self, classifier: Classifier, seed: int) -> Classifier:
        return Fronted(classifier, Front(self.step))

    def step(self, images: Images) -> Images:
        """Row by row, then column by column."""
        reach = math.ceil(3 * self.sd)
        places = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
        weights = (-0.5 * (places / self.sd).square()).exp()
        weights /= weights.sum()
        each = images.flatten(0, 1).unsqueeze(1)
        padded = F.pad(each, (reach,) * 4, mode="replicate")
        across = F.conv2d(padded, weights.view(1, 1, 1, -1))
        return F.conv2d(across, weights.view(1, 1, -1, 1)).view(images.shape)
