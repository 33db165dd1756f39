"""An architecture: how a network is built, and what it is made for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import nn

from brittle.data.fit import Fit


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A network without weights.

    build: number of classes -> the network, initialised by PyTorch's global generator; it maps normalised images
    ``[B, C, H, W]`` of ``fit`` to logits ``[B, classes]``. class_names: of the data that it is made for. mean, std: per
    channel, what is taken from pixels in [0, 1] before; None for pixels as they are. raw: it takes no others, whatever
    a training recipe says.
    """

    name: str
    summary: str
    build: Callable[[int], nn.Module]
    fit: Fit
    class_names: tuple[str, ...]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    raw: bool = False

    @property
    def parameters(self) -> int:
        """Trainable parameters with as many classes as ``class_names``."""
        return trainable_parameters(lambda: self.build(len(self.class_names)))


def trainable_parameters(build: Callable[[], nn.Module]) -> int:
    """How many there are in what ``build`` makes. It is built without memory, and nothing is drawn."""
    with torch.device("meta"):
        return sum(one.numel() for one in build().parameters() if one.requires_grad)
