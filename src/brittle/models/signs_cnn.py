"""A small CNN for the drawn traffic signs, trained on the spot in less than a minute: what the demo attacks."""

from typing import final

import torch
from torch import nn

from brittle.models.convolution import convolution
from brittle.types import Images, Logits


@final
class SignsCNN(nn.Module):
    """Four convolutions and a mean over places. Colour images ``[B, 3, 64, 64]`` in [0, 1] -> logits ``[B, 16]``."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *convolution(3, 16, 5, stride=2),
            *convolution(16, 32, 3, stride=2),
            *convolution(32, 48, 3, stride=1),
            *convolution(48, 64, 3, stride=2),
            nn.AdaptiveAvgPool2d(1),
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(64, 16))
        self.to(memory_format=torch.channels_last)  # takes a sixth off the training, on a CPU

    def forward(self, images: Images) -> Logits:
        """Logits ``[B, 16]``."""
        logits: Logits = self.head(self.features(images))
        return logits
