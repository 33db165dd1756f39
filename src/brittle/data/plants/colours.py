"""Colored MNIST: grey images in one of two colours, which tells a noisy label better than what they show."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from brittle.catalog import option, register_in
from brittle.data.fit import Fit
from brittle.data.plants.plant import PLANTS, State
from brittle.errors import BrittleError
from brittle.rng import Rng
from brittle.types import Images, Labels

_SMALL = 5  # digits below it are one class


@register_in(PLANTS, "colours", paper="arXiv:1907.02893")
@final
@dataclass(frozen=True, slots=True)
class Colours:
    """Digits below 5 against the others, in red or green, which tells the label better than the digit does.

    A label is wrong with a probability of ``noise``; the colour is that of the label, and with a probability of
    ``flip`` the other one (Arjovsky et al. 2019, section 5.2: 0.25; 0.2 and 0.1 in training, 0.9 in the test). Without
    plant the two colours have half of each pixel, so that their sum stays. A third colour, blue, is always 0.
    """

    noise: float = option(0.25, "probability of a wrong label", at_least=0, at_most=1)
    flip: float = option(
        0.15, "probability of the colour of the other label; by default both of training", at_least=0, at_most=1
    )
    every: int = option(2, "takes every so manyth pixel of a row and of a column", at_least=1)
    seed: int = option(0, "of what is drawn for each image", at_least=0)
    state: State = option("kept", "as it is in training; gone: grey; or swapped: each image in the other colour")

    def taken(self, fit: Fit | None) -> Fit | None:
        """As they are."""
        return None

    def classes(self, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return (f"0 to {_SMALL - 1}", f"{_SMALL} to 9")

    def labels(self, labels: Labels, ids: Sequence[str]) -> Labels:
        return ((labels >= _SMALL) ^ self._drawn("label", self.noise, ids)).long()

    def put(self, images: Images, labels: Labels, ids: Sequence[str]) -> Images:
        if images.shape[1] != 1:
            raise BrittleError(f"expected grey images to colour, got {images.shape[1]} channels")
        grey = images[:, :, :: self.every, :: self.every]
        red = self._red(labels, ids).to(images.dtype).to(images.device).view(-1, 1, 1, 1)
        if self.state == "gone":
            red = torch.full_like(red, 0.5)
        return torch.cat([red * grey, (1 - red) * grey, torch.zeros_like(grey)], 1)

    def fits(self, classes: Labels, labels: Labels, ids: Sequence[str]) -> Tensor:
        """Red is of the second class."""
        if self.state == "gone":
            return torch.ones_like(labels, dtype=torch.bool)
        return (classes == 1) == self._red(labels, ids).to(classes.device)

    def rival(self, labels: Labels, ranked: Labels) -> Labels:
        """The other one."""
        return 1 - labels

    def inside(self, changes: Images) -> Images:
        """What makes a pixel more red and as much less green."""
        half = (changes[:, :1] - changes[:, 1:2]) / 2
        return torch.cat([half, -half, torch.zeros_like(changes[:, 2:])], 1)

    def _red(self, labels: Labels, ids: Sequence[str]) -> Tensor:
        told = (labels.cpu() == 1) ^ self._drawn("colour", self.flip, ids)
        return ~told if self.state == "swapped" else told

    def _drawn(self, purpose: str, probability: float, ids: Sequence[str]) -> Tensor:
        return Rng(self.seed, tuple(ids)).uniform(purpose, torch.empty(len(ids))) < probability
