"""What can be trained, by name: the architectures, and the two small networks that are trained on the spot."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from torch import nn

from brittle.data.fit import Fit
from brittle.data.signs import SIGNS
from brittle.errors import BrittleError, did_you_mean
from brittle.models.architectures import ARCHITECTURES, Architecture
from brittle.models.digits_cnn import DigitsCNN
from brittle.models.signs_cnn import SignsCNN


def _only(made: Callable[[], nn.Module], name: str, outputs: int, classes: int) -> nn.Module:
    """A network whose number of classes is fixed."""
    if classes != outputs:
        raise BrittleError(f"expected data of {outputs} classes for {name}, got {classes}")
    return made()


_SMALL = (
    Architecture(
        name="digits-cnn",
        summary="small CNN for the bundled 8 x 8 digits",
        build=partial(_only, DigitsCNN, "digits-cnn", 10),
        fit=Fit(channels=1, height=8, width=8),
        class_names=tuple("0123456789"),
    ),
    Architecture(
        name="signs-cnn",
        summary="small CNN for the drawn traffic signs",
        build=partial(_only, SignsCNN, "signs-cnn", len(SIGNS)),
        fit=Fit(channels=3, height=64, width=64),
        class_names=SIGNS,
    ),
)

TRAINABLE: Mapping[str, Architecture] = MappingProxyType({**ARCHITECTURES, **{one.name: one for one in _SMALL}})


def trainable(name: str) -> Architecture:
    """The architecture of this name; BrittleError with the nearest for any other."""
    if name not in TRAINABLE:
        raise BrittleError(f"unknown architecture {name!r}{did_you_mean(name, TRAINABLE)}")
    return TRAINABLE[name]
