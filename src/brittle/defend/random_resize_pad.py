"""A random size and a random place (Xie et al. 2018, arXiv:1711.01991)."""

from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F

from brittle.catalog import option
from brittle.defend.defence import register_defence
from brittle.defend.views import Draws, Viewed
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images


@register_defence(
    "random-resize-pad", paper="arXiv:1711.01991", attacker="the mean over draws, through its own gradient", drawn=True
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class RandomResizePad:
    """Makes each image smaller, by a random share, and puts it at a random place on black of its former size.

    Xie et al. enlarge, from 299 to at most 331 pixels, which only networks of any input size take.
    """

    least: float = option(0.85, "the smallest share of each side", above=0, below=1)
    samples: int = option(1, "draws that an answer is the mean over", at_least=1)
    draws: int = option(16, "draws of an attacker who knows of it", at_least=1)

    def around(self, classifier: Classifier, seed: int) -> Classifier:
        return Viewed(classifier, Draws(self.step, self.samples, self.draws, seed))

    def step(self, images: Images, rng: Rng) -> Images:
        """Each image by its own draw, by bilinear interpolation."""
        like = images.new_empty(len(images))
        share = self.least + (1 - self.least) * rng.uniform("share", like)
        down, right = ((1 - share) * (2 * rng.uniform(name, like) - 1) for name in ("down", "right"))
        none = torch.zeros_like(share)
        across = torch.stack([1 / share, none, -right / share], 1)
        along = torch.stack([none, 1 / share, -down / share], 1)
        grid = F.affine_grid(torch.stack([across, along], 1), list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
