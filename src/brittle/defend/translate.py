"""Shifts by whole pixels, as of a camera that does not stand where it stood (Graese et al. 2016, arXiv:1610.04256)."""

from dataclasses import dataclass
from typing import final

import torch

from brittle.catalog import option
from brittle.defend.defence import register_defence
from brittle.defend.views import Draws, Viewed
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images


@register_defence(
    "translate", paper="arXiv:1610.04256", attacker="the mean over draws, through its own gradient", drawn=True
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Translate:
    """Shifts each image by a random number of pixels either way; the edge is repeated."""

    pixels: int = option(2, "the largest shift, either way", at_least=1)
    samples: int = option(1, "draws that an answer is the mean over", at_least=1)
    draws: int = option(16, "draws of an attacker who knows of it", at_least=1)

    def around(self, classifier: Classifier, seed: int) -> Classifier:
        return Viewed(classifier, Draws(self.step, self.samples, self.draws, seed))

    def step(self, images: Images, rng: Rng) -> Images:
        """Each image ``[C, H, W]`` shifted by its own draw."""
        count, _, height, width = images.shape
        like = images.new_empty(count)

        def places(purpose: str, side: int) -> torch.Tensor:
            shift = (rng.uniform(purpose, like) * (2 * self.pixels + 1)).long() - self.pixels
            return (torch.arange(side, device=images.device) - shift.unsqueeze(1)).clamp(0, side - 1)

        rows, columns = places("down", height), places("right", width)
        each = torch.arange(count, device=images.device).view(-1, 1, 1)
        return images.permute(0, 2, 3, 1)[each, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2)
