"""Discriminators with a head for classes, and the generators that play against them: ACGAN (arXiv:1610.09585).

Shaped as in the assignment behind a student's report: convolutions with layer norms, and strides instead of pooling.
"""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from brittle.types import Images, Labels, Logits

NOISE = 100
"""Values that a generator makes an image of; the first ones are the class, one of them 1 and the others 0."""


@final
class Discriminator(nn.Module):
    """Images ``[B, channels, side, side]`` of pixels in [-1, 1] -> logits ``[B, classes]``.

    width: channels of each convolution; strides: one for each. ups: those of the generator that belongs to it.
    """

    def __init__(
        self, channels: int, side: int, width: int, strides: Sequence[int], ups: Sequence[int], classes: int = 10
    ) -> None:
        super().__init__()
        self.channels, self.side, self.width, self.ups, self.classes = channels, side, width, tuple(ups), classes
        layers: list[nn.Module] = []
        for number, stride in enumerate(strides):
            convolution = nn.Conv2d(width if number else channels, width, 3, stride=stride, padding=1)
            layers += [convolution, nn.GroupNorm(1, width), nn.LeakyReLU(0.2)]
        self.features = nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten())
        self.head = nn.Linear(width, classes)

    def forward(self, images: Images) -> Logits:
        """Logits ``[B, classes]``."""
        logits: Logits = self.head(self.features(images))
        return logits

    def generator(self) -> "Generator":
        """One of the same width, for images of this size."""
        return Generator(self.channels, self.side, self.width, self.ups, self.classes)


@final
class Generator(nn.Module):
    """Noise ``[B, 100]`` and classes ``[B]`` -> images ``[B, channels, side, side]`` in [-1, 1].

    ups: by how much each convolution enlarges what it gets, 1 or 2.
    """

    def __init__(self, channels: int, side: int, width: int, ups: Sequence[int], classes: int) -> None:
        super().__init__()
        self.width, self.classes = width, classes
        self.first = side // 2 ** sum(up == 2 for up in ups)  # the side of what the noise becomes
        self.start = nn.Sequential(nn.Linear(NOISE, width * self.first**2), nn.BatchNorm1d(width * self.first**2))
        layers: list[nn.Module] = []
        for up in ups:
            convolution = (
                nn.ConvTranspose2d(width, width, 4, stride=2, padding=1)
                if up == 2
                else nn.Conv2d(width, width, 3, padding=1)
            )
            layers += [convolution, nn.BatchNorm2d(width), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, channels, 3, padding=1), nn.Tanh())

    def forward(self, noise: Tensor, labels: Labels) -> Images:
        told = torch.cat([functional.one_hot(labels, self.classes).to(noise.dtype), noise[:, self.classes :]], 1)
        hidden = torch.relu(self.start(told)).view(-1, self.width, self.first, self.first)
        images: Images = self.layers(hidden)
        return images
