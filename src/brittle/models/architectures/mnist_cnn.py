"""A small CNN for MNIST."""

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
