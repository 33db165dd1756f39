"""Each pixel as the mean of those whose surroundings look alike (Xu et al. 2018, arXiv:1704.01155, section III-B)."""

from dataclasses import dataclass
from typing import final

import torch.nn.functional as F

from brittle.catalog import option
from brittle.defend.defence import register_defence
from brittle.errors import BrittleError
from brittle.models.classifier import Classifier
from brittle.models.front import Front, Fronted
from brittle.types import Images


@register_defence("non-local-means", paper="arXiv:1704.01155", attacker="its own gradient")
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class NonLocalMeans:
    """Makes each pixel a mean of those around it, by how alike the patches around both are (Buades et al. 2005).

    The weight is ``exp(-d / strength^2)``, d the mean squared difference of two patches over pixels and channels.
    """

    search: int = option(13, "side of the window that is searched, odd, in pixels", at_least=3)
    patch: int = option(3, "side of a patch, odd, in pixels", at_least=1)
    strength: float = option(4 / 255, "difference of patches that still counts, in pixels of [0, 1]", above=0)

    def __post_init__(self) -> None:
        check_odd("search", self.search)
        check_odd("patch", self.patch)

    def around(self, classifier: Classifier, seed: int) -> Classifier:
        return Fronted(classifier, Front(self.step))

    def step(self, images: Images) -> Images:
        """Beyond the edge, the edge is repeated: in the window, and in patches."""
        far, height, width = self.search // 2, images.shape[2], images.shape[3]
        wide = F.pad(images, (far, far, far, far), mode="replicate")
        total, weights = images * 0, images[:, :1] * 0
        for down in range(self.search):
            for right in range(self.search):
                moved = wide[:, :, down : down + height, right : right + width]
                apart = (moved - images).square().mean(1, keepdim=True)
                edge = self.patch // 2
                alike = F.avg_pool2d(F.pad(apart, (edge, edge, edge, edge), mode="replicate"), self.patch, stride=1)
                weight = (-alike / self.strength**2).exp()
                total, weights = total + weight * moved, weights + weight
        return total / weights


def check_odd(name: str, value: int) -> None:
    """BrittleError for an even number: a window has a middle."""
    if value % 2 == 0:
        raise BrittleError(f"expected {name} as an odd number, got {value}")
