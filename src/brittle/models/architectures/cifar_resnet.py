"""ResNet-20, -32, -44 and -56 for CIFAR: He et al. 2016, section 4.2 (arXiv:1512.03385), with shortcuts of option A."""

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from brittle.types import Images, Logits


@final
class CifarResNet(nn.Module):
    """Three stages of (depth - 2) / 6 blocks with 16, 32 and 64 channels, then the mean over all positions.

    Normalised images ``[B, 3, H, W]`` (32 x 32 in training) -> logits ``[B, classes]``.
    """

    def __init__(self, depth: int = 20, classes: int = 10) -> None:
        super().__init__()
        blocks, left = divmod(depth - 2, 6)
        if blocks < 1 or left:
            raise ValueError(f"expected a depth of 6 n + 2, got {depth}")
        self.conv1 = _conv3x3(3, 16, stride=1)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, blocks)
        self.layer2 = _stage(16, 32, blocks)
        self.layer3 = _stage(32, 64, blocks)
        self.linear = nn.Linear(64, classes)

    def forward(self, images: Images) -> Logits:
        """Logits ``[B, classes]``."""
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


def _stage(channels_in: int, channels: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(_Block(channels_in, channels), *(_Block(channels, channels) for _ in range(blocks - 1)))


def _conv3x3(channels_in: int, channels: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels, 3, stride=stride, padding=1, bias=False)
