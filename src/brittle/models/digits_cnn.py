"""A small CNN for the bundled 8 x 8 digits, trained on the spot in a second or two."""

from typing import final

from torch import nn

from brittle.types import Images, Logits


@final
class DigitsCNN(nn.Module):
    """Two convolutions and two linear layers. Grey images ``[B, 1, 8, 8]`` in [0, 1] -> logits ``[B, 10]``."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(32 * 4 * 4, 64), nn.ReLU(), nn.Linear(64, 10))

    def forward(self, images: Images) -> Logits:
        """Logits ``[B, 10]``."""
        logits: Logits = self.head(self.features(images))
        return logits
