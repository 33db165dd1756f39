"""Two classes by one number: the network of Colored MNIST (Arjovsky et al. 2019, arXiv:1907.02893)."""

from typing import final

import torch
from torch import Tensor, nn

from brittle.types import Images, Logits


@final
class TwoClassMLP(nn.Module):
    """Two dense layers with ReLUs, and a number whose sign is the class.

    Images ``[B, 3, H, W]`` of ``pixels`` places each -> logits ``[B, 2]``, of which the first is 0, so that the softmax
    of both is the sigmoid of the other. blind: it sees the sum of an image's colours alone.
    """

    def __init__(self, pixels: int, hidden: int, *, blind: bool) -> None:
        super().__init__()
        self.blind = blind
        self.first = _dense(pixels if blind else 3 * pixels, hidden)
        self.second = _dense(hidden, hidden)
        self.third = _dense(hidden, 1)

    def forward(self, images: Images) -> Logits:
        """Logits ``[B, 2]``."""
        seen: Tensor = images.sum(1) if self.blind else images
        hidden = torch.relu(self.second(torch.relu(self.first(seen.flatten(1)))))
        number = self.third(hidden)
        return torch.cat([torch.zeros_like(number), number], 1)


def _dense(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
