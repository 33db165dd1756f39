"""What a loader hands to the zoo: a network with the facts published about its input and its classes."""

from dataclasses import dataclass
from typing import final

from torch import nn

from brittle.data.fit import Fit


@final
@dataclass(frozen=True, slots=True)
class Network:
    """A network and how it was trained to see images.

    mean, std: per channel, for pixels in [0, 1]; None: the network takes the pixels as they are.
    class_names: by index, or None where unknown. fit: the image size it wants, or None where any or unknown.
    """

    net: nn.Module
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    class_names: tuple[str, ...] | None = None
    fit: Fit | None = None
