"""ResNet-20 for CIFAR-10: He et al. 2016, section 4.2 (arXiv:1512.03385), with parameter-free shortcuts (option A)."""

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from brittle.types import Images, Logits

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@final
class ResNet20(nn.Module):
    """Three stages of three blocks with 16, 32 and 64 channels, then the mean over all positions; 0.27 M parameters.

    Normalised images ``[B, 3, H, W]`` (32 x 32 in training) -> logits ``[B, 10]``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _conv3x3(3, 16, stride=1)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*(_Block(16, 16) for _ in range(3)))
        self.layer2 = nn.Sequential(_Block(16, 32), _Block(32, 32), _Block(32, 32))
        self.layer3 = nn.Sequential(_Block(32, 64), _Block(64, 64), _Block(64, 64))
        self.linear = nn.Linear(64, 10)

    def forward(self, images: Images) -> Logits:
        """Logits ``[B, 10]``."""
        hidden = torch.relu(self.bn1(self.conv1(images)))
        hidden = self.layer3(self.layer2(self.layer1(hidden)))
        logits: Logits = self.linear(hidden.mean((2, 3)))
        return logits


@final
class _Block(nn.Module):
    """Two convolutions around an identity; where the channels double, the resolution halves."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.stride = 1 if channels == channels_in else 2
        self.new_channels = channels - channels_in
        self.conv1 = _conv3x3(channels_in, channels, self.stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = _conv3x3(channels, channels, stride=1)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, hidden: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(hidden)))))
        return torch.relu(inner + self._shortcut(hidden))

    def _shortcut(self, hidden: Tensor) -> Tensor:
        """Option A: every second pixel, and zeros for the new channels, half of them on either side."""
        if self.stride == 1:
            return hidden
        half = self.new_channels // 2
        return functional.pad(hidden[:, :, ::2, ::2], (0, 0, 0, 0, half, self.new_channels - half))


def _conv3x3(channels_in: int, channels: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels, 3, stride=stride, padding=1, bias=False)
