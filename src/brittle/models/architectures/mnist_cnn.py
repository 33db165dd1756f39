"""Small CNNs for MNIST."""

from typing import final

from torch import nn

from brittle.models.convolution import convolution
from brittle.types import Images, Logits


@final
class MnistCNN(nn.Module):
    """Four convolutions, two of them before each halving, and a mean over places.

    Grey images ``[B, 1, 28, 28]`` in [0, 1] -> logits ``[B, classes]``.
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *convolution(1, 16, 5, stride=2),
            *convolution(16, 32, 3, stride=1),
            *convolution(32, 48, 3, stride=2),
            *convolution(48, 64, 3, stride=1),
        )
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes))

    def forward(self, images: Images) -> Logits:
        """Logits ``[B, classes]``."""
        logits: Logits = self.head(self.features(images))
        return logits


@final
class TwoConvolutions(nn.Module):
    """Two convolutions, each of which halves the image, and a hidden dense layer; no batch norms.

    Grey images ``[B, 1, 28, 28]`` in [0, 1] -> logits ``[B, classes]``. channels: of the first convolution; the second
    has twice as many. pooled: 5 x 5 and a maximum of 2 x 2 behind; otherwise 4 x 4 in steps of two pixels.
    """

    def __init__(self, channels: int, hidden: int, *, pooled: bool, classes: int = 10) -> None:
        super().__init__()
        halving = _pooled if pooled else _strided
        self.features = nn.Sequential(*halving(1, channels), *halving(channels, 2 * channels))
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(2 * channels * 7 * 7, hidden), nn.ReLU(), nn.Linear(hidden, classes)
        )

    def forward(self, images: Images) -> Logits:
        """Logits ``[B, classes]``."""
        logits: Logits = self.head(self.features(images))
        return logits


def _pooled(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)


def _strided(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.ReLU()
