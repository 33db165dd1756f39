"""Images of small total variation near the given ones (Guo et al. 2018, arXiv:1711.00117; Rudin et al. 1992)."""

from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F

from brittle.catalog import option
from brittle.defend.defence import register_defence
from brittle.models.classifier import Classifier
from brittle.models.front import Front, Fronted
from brittle.types import Images

_RATE = 0.25  # up to which the projection is known to converge (Chambolle 2004, theorem 3.1, has 1/8; it does to 1/4)


@register_defence("total-variation", paper="arXiv:1711.00117", attacker="its own gradient, through all its steps")
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class TotalVariation:
    """Takes for each channel the image that minimises ``||u - x||^2 / (2 weight) + TV(u)``, by so many steps.

    Chambolle's projection (2004, doi:10.1023/B:JMIV.0000011325.36760.1e), each step of which can be differentiated. Guo
    et al. also drop pixels at random, which is left out here.
    """

    weight: float = option(0.05, "how much smoothness counts", above=0)
    steps: int = option(20, "steps of the projection", at_least=1)

    def around(self, classifier: Classifier, seed: int) -> Classifier:
        return Fronted(classifier, Front(self.step))

    def step(self, images: Images) -> Images:
        """``x - weight * div p``, where p is what the steps end at."""
        p = images.new_zeros(2, *images.shape)
        for _ in range(self.steps):
            slope = _gradient(_divergence(p) - images / self.weight)
            p = (p + _RATE * slope) / (1 + _RATE * _length(slope))
        return images - self.weight * _divergence(p)


def _gradient(images: Images) -> torch.Tensor:
    """Differences down and right, ``[2, B, C, H, W]``; 0 at the last row and column."""
    down = F.pad(images.diff(dim=2), (0, 0, 0, 1))
    right = F.pad(images.diff(dim=3), (0, 1, 0, 0))
    return torch.stack([down, right])


def _divergence(p: torch.Tensor) -> Images:
    """The negative adjoint of the gradient, for fields that are 0 at the last row and column."""
    down, right = p.unbind(0)
    return down - F.pad(down, (0, 0, 1, 0))[:, :, :-1] + right - F.pad(right, (1, 0, 0, 0))[:, :, :, :-1]


def _length(field: torch.Tensor) -> Images:
    """Of each vector; differentiable where it is 0, too."""
    return (field.square().sum(0) + 1e-12).sqrt()
