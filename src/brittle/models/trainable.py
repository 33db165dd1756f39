"""What can be trained, by name: the architectures, and the two small networks that are trained on the spot."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

from torch import nn

from brittle.data.fit import Fit
from brittle.data.signs import SIGNS
from brittle.errors import BrittleError, did_you_mean
from brittle.models.architectures import ARCHITECTURES, Architecture
from brittle.models.architectures.acgan import Discriminator
from brittle.models.architectures.mlp import MLP, CodeClassifier, Maxout
from brittle.models.architectures.synthesis import Synthesis
from brittle.models.architectures.two_class_mlp import TwoClassMLP
from brittle.models.digits_cnn import DigitsCNN
from brittle.models.inputs import on_inputs
from brittle.models.signs_cnn import SignsCNN


def _only(made: Callable[[], nn.Module], name: str, outputs: int, classes: int) -> nn.Module:
    """A network whose number of classes is fixed."""
    if classes != outputs:
        raise BrittleError(f"expected data of {outputs} classes for {name}, got {classes}")
    return made()


def _of_digits(name: str, summary: str, build: Callable[[int], nn.Module]) -> Architecture:
    fit = Fit(channels=1, height=8, width=8)
    return Architecture(name=name, summary=summary, build=build, fit=fit, class_names=tuple("0123456789"))


def _dense(hidden: Sequence[int], classes: int) -> nn.Module:
    return MLP(8 * 8, hidden, classes)


def _maxout(classes: int) -> nn.Module:
    return Maxout(8 * 8, [16], 3, classes)


def _autoencoded(classes: int) -> nn.Module:
    return CodeClassifier(8 * 8, [32], sigmoid=True, classes=classes)


def _variational(classes: int) -> nn.Module:
    return CodeClassifier(8 * 8, [32, 8], sigmoid=False, head=[16], classes=classes)


def _synthesis(classes: int) -> nn.Module:
    return Synthesis(8 * 8, 4, [32], starts=50, steps=4, classes=classes)


def _playing(classes: int) -> nn.Module:
    return Discriminator(1, 8, 16, (1, 2), (2, 1), classes)


def _coloured(blind: bool, classes: int) -> nn.Module:
    return TwoClassMLP(8 * 8, 32, blind=blind)


def _of_coloured_digits(name: str, summary: str, *, blind: bool) -> Architecture:
    return Architecture(
        name=name,
        summary=summary,
        build=partial(_coloured, blind),
        fit=Fit(channels=3, height=8, width=8),
        class_names=("0 to 4", "5 to 9"),
    )


_SMALL = (
    _of_digits("digits-cnn", "small CNN for the bundled 8 x 8 digits", partial(_only, DigitsCNN, "digits-cnn", 10)),
    _of_digits("digits-fc10", "fc10 for the bundled digits", partial(_dense, ())),
    _of_digits("digits-fc16-10", "a dense sigmoid layer for the bundled digits", partial(_dense, (16,))),
    _of_digits("digits-maxout16-10", "a small maxout240-240-10 for the bundled digits", _maxout),
    _of_digits("digits-ae32-10", "a small ae400-10 for the bundled digits", _autoencoded),
    _of_digits("digits-synthesis", "a small synthesis-mnist for the bundled digits", _synthesis),
    _of_digits("digits-acgan", "a small acgan-mnist for the bundled digits", _playing),
    _of_coloured_digits("digits-coloured-mlp32", "a small coloured-mlp256 for the bundled digits", blind=False),
    _of_coloured_digits("digits-coloured-mlp32-blind", "the same, which sees no colour", blind=True),
    _of_digits("digits-vae32-8-16-10", "a small vae400-50-100-10 for the bundled digits", _variational),
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
    """The architecture of this name, or of ``NAME@INPUT[+INPUT...]``; BrittleError with the nearest for any other."""
    base, at, inputs = name.partition("@")
    if base not in TRAINABLE:
        raise BrittleError(f"unknown architecture {base!r}{did_you_mean(base, TRAINABLE)}")
    return on_inputs(name, TRAINABLE[base], inputs) if at else TRAINABLE[base]
