"""The networks that can be trained here, by name, in the image size that each of them takes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import final

from torch import nn

from brittle.data.fit import Fit
from brittle.errors import BrittleError, did_you_mean
from brittle.models.digits_cnn import DigitsCNN
from brittle.models.resnet import ResNet20
from brittle.models.signs_cnn import SignsCNN


@final
@dataclass(frozen=True, slots=True)
class Trainable:
    """An architecture without weights. build: number of classes -> a network of fresh, random weights."""

    name: str
    fit: Fit
    build: Callable[[int], nn.Module]


def _only(made: Callable[[], nn.Module], name: str, outputs: int) -> Callable[[int], nn.Module]:
    def build(classes: int) -> nn.Module:
        if classes != outputs:
            raise BrittleError(f"expected data of {outputs} classes for {name}, got {classes}")
        return made()

    return build


_ALL = (
    Trainable("digits-cnn", Fit(channels=1, height=8, width=8), _only(DigitsCNN, "digits-cnn", 10)),
    Trainable("signs-cnn", Fit(channels=3, height=64, width=64), _only(SignsCNN, "signs-cnn", 16)),
    Trainable("resnet20", Fit(channels=3, height=32, width=32), _only(ResNet20, "resnet20", 10)),
)

TRAINABLE: Mapping[str, Trainable] = MappingProxyType({one.name: one for one in _ALL})


def trainable(name: str) -> Trainable:
    """The architecture of this name; BrittleError with the nearest for any other."""
    if name not in TRAINABLE:
        raise BrittleError(f"unknown architecture {name!r}{did_you_mean(name, TRAINABLE)}")
    return TRAINABLE[name]
