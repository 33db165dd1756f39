"""Where a change may live: pixels, multiples of them, bright or busy places, a band of frequencies, mere colours.

Each space is a linear map from what an optimiser moves, theta, to the change of the images, and has its adjoint, which
takes a gradient the same way back. All of them keep the images' shape, so they can be put one within another.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, final

import torch
import torch.nn.functional as F
from torch import Tensor

from brittle.errors import BrittleError, did_you_mean
from brittle.types import Images
from brittle.visibility.colour import colour_frame, lab

_AROUND = 7  # pixels on a side, over which a place is flat or busy
_WHITE = 100.0  # CIEDE2000 from black to white
_ROUNDING = 1e-6  # of a frequency: 6 / 20 is within a band up to 0.3


class Space(Protocol):
    """The changes that a batch of images may make. ``space[rows]`` is the same space for some of the images."""

    def change(self, theta: Tensor) -> Images:
        """The change ``[N, C, H, W]`` of the images that theta, of the same shape, stands for; linear in it."""

    def adjoint(self, gradient: Images) -> Tensor:
        """The gradient in theta, given that in the images: ``<change(t), g> = <t, adjoint(g)>``."""

    def __getitem__(self, rows: Tensor) -> "Space": ...


class Part(NamedTuple):
    """One space as written, ``band(0, 0.15)``, with all of its numbers."""

    name: str
    numbers: tuple[float, ...]


def space_of(text: str, images: Images) -> Space:
    """The space called ``text`` around images ``[N, C, H, W]`` in [0, 1].

    - ``pixels``: any change.
    - ``multiplicative``: theta is relative, ``x * theta``; dark pixels move little, black ones not at all.
    - ``dark(0.2)``: pixels of a lightness (L* / 100) below 0.2 stay as they are, to the bit.
    - ``flat(0.02)``: so do pixels around which the lightness varies less: its standard deviation over 7 x 7 pixels.
    - ``band(0, 0.25)``: only frequencies from 0 to 0.25 cycles per pixel, in any direction; a corner has 0.71.
    - ``chroma``: only chroma and hue, not lightness, to first order. theta has lightness, of which nothing comes,
      chroma and hue as its channels, 1 being as visible as white is from black.

    The numbers are the defaults. Joined by ``+`` the last is the innermost: ``dark+multiplicative`` multiplies, then
    leaves the dark alone; ``band+dark`` would spread the change into the dark again. BrittleError for what is no space,
    for numbers out of range, and for images without the colours that a space needs.
    """
    *outer, innermost = [_KINDS[part.name].make(images, *part.numbers) for part in space_parts(text)]
    space: Space = innermost
    for one in reversed(outer):
        space = Within(one, space)
    return space


def space_parts(text: str) -> tuple[Part, ...]:
    """What ``space_of`` understands by ``text``, the outermost first; BrittleError where that is nothing."""
    return tuple(_part(one.strip()) for one in re.split(r"\+(?![^(]*\))", text))


@final
@dataclass(frozen=True, slots=True)
class Pixels:
    """theta is the change."""

    def change(self, theta: Tensor) -> Images:
        return theta

    def adjoint(self, gradient: Images) -> Tensor:
        return gradient

    def __getitem__(self, rows: Tensor) -> "Pixels":
        return self


@final
@dataclass(frozen=True, slots=True)
class Scaled:
    """Each pixel's change is theta times a factor ``[N or 1, C or 1, H, W]``; where that is 0, there is none."""

    factor: Tensor

    def change(self, theta: Tensor) -> Images:
        return theta * self.factor

    def adjoint(self, gradient: Images) -> Tensor:
        return gradient * self.factor

    def __getitem__(self, rows: Tensor) -> "Scaled":
        return Scaled(rows_of(self.factor, rows))


@final
@dataclass(frozen=True, slots=True)
class Mixed:
    """Each pixel's change is a matrix ``[N or 1, C, C, H, W]`` times its channels of theta."""

    matrix: Tensor

    def change(self, theta: Tensor) -> Images:
        return _times(self.matrix, theta)

    def adjoint(self, gradient: Images) -> Tensor:
        return _times(self.matrix.transpose(1, 2), gradient)

    def __getitem__(self, rows: Tensor) -> "Mixed":
        return Mixed(rows_of(self.matrix, rows))


@final
@dataclass(frozen=True, slots=True)
class Band:
    """The Fourier frequencies of theta from low to high, in cycles per pixel; a projection, so its own adjoint."""

    low: float
    high: float

    def change(self, theta: Tensor) -> Images:
        if not len(theta):
            return theta  # MKL refuses to transform an empty batch
        height, width = theta.shape[-2:]
        down = torch.fft.fftfreq(height, dtype=theta.dtype, device=theta.device)
        across = torch.fft.rfftfreq(width, dtype=theta.dtype, device=theta.device)
        frequency = torch.hypot(down.unsqueeze(1), across)
        inside = (frequency >= self.low - _ROUNDING) & (frequency <= self.high + _ROUNDING)
        result: Images = torch.fft.irfft2(torch.fft.rfft2(theta) * inside, s=(height, width))
        return result

    def adjoint(self, gradient: Images) -> Tensor:
        return self.change(gradient)

    def __getitem__(self, rows: Tensor) -> "Band":
        return self


@final
@dataclass(frozen=True, slots=True)
class Within:
    """A space's changes, of what is itself a change in another."""

    outer: Space
    inner: Space

    def change(self, theta: Tensor) -> Images:
        return self.outer.change(self.inner.change(theta))

    def adjoint(self, gradient: Images) -> Tensor:
        return self.inner.adjoint(self.outer.adjoint(gradient))

    def __getitem__(self, rows: Tensor) -> "Within":
        return Within(self.outer[rows], self.inner[rows])


def _pixels(images: Images) -> Space:
    return Pixels()


def _multiplicative(images: Images) -> Space:
    return Scaled(one_if_equal(images))


def _dark(images: Images, threshold: float) -> Space:
    return _only(_lightness(images, "dark") >= threshold, images)


def _flat(images: Images, threshold: float) -> Space:
    # Around the mean, as the variance is a difference of squares.
    light = _lightness(images, "flat")
    light = F.pad(light - light.mean((2, 3), keepdim=True), (_AROUND // 2,) * 4, mode="replicate")
    mean, square = F.avg_pool2d(light, _AROUND, 1), F.avg_pool2d(light.square(), _AROUND, 1)
    return _only((square - mean.square()).clamp_min(0).sqrt() >= threshold, images)


def _band(images: Images, low: float, high: float) -> Space:
    return Band(low, high)


def _chroma(images: Images) -> Space:
    if images.shape[1] != 3:
        raise BrittleError(f"expected RGB images for the space chroma, got {images.shape[1]} channels")
    one = one_if_equal(images)
    frame = colour_frame(one)
    # The columns of the inverse are cross products of the rows. That for lightness is left out.
    light, chroma, hue = frame.unbind(1)
    by_chroma, by_hue = torch.linalg.cross(hue, light, dim=1), torch.linalg.cross(light, chroma, dim=1)
    volume = (chroma * by_chroma).sum(1, keepdim=True) / _WHITE
    return Mixed(torch.stack((torch.zeros_like(light), by_chroma / volume, by_hue / volume), 2))


class _Kind(NamedTuple):
    """How a space is made, its numbers where none are given, and which are allowed."""

    make: Callable[..., Space]
    numbers: tuple[float, ...]
    expected: str
    allows: Callable[..., bool]


_KINDS = {
    "pixels": _Kind(_pixels, (), "pixels", lambda: True),
    "multiplicative": _Kind(_multiplicative, (), "multiplicative", lambda: True),
    "dark": _Kind(_dark, (0.2,), "dark(lightness from 0 to 1)", lambda threshold: 0 <= threshold <= 1),
    "flat": _Kind(_flat, (0.02,), "flat(standard deviation from 0 to 0.5)", lambda threshold: 0 <= threshold <= 0.5),
    "band": _Kind(_band, (0.0, 0.25), "band(low, high) with 0 <= low < high <= 1", lambda a, b: 0 <= a < b <= 1),
    "chroma": _Kind(_chroma, (), "chroma", lambda: True),
}

SPACES = tuple(_KINDS)


def _part(text: str) -> Part:
    written = re.fullmatch(r"([a-z]*)\s*(?:\(([^()]*)\))?", text.lower())
    name = written[1] if written else text
    if not written or name not in _KINDS:
        raise BrittleError(f"unknown space {name!r}{did_you_mean(name, _KINDS)}")
    kind = _KINDS[name]
    try:
        given = [] if written[2] is None or not written[2].strip() else written[2].split(",")
        numbers = tuple(float(one) for one in given) or kind.numbers
        allowed = len(numbers) == len(kind.numbers) and kind.allows(*numbers)
    except ValueError:
        allowed = False
    if not allowed:
        raise BrittleError(f"expected {kind.expected}, got {text}")
    return Part(name, numbers)


def _only(where: Tensor, images: Images) -> Space:
    return Scaled(where.to(images.dtype))


def _lightness(images: Images, name: str) -> Tensor:
    """L* / 100, ``[N or 1, 1, H, W]``."""
    if images.shape[1] not in (1, 3):
        raise BrittleError(f"expected grey or RGB images for the space {name}, got {images.shape[1]} channels")
    return lab(one_if_equal(images).expand(-1, 3, -1, -1))[:, :1] / 100


def one_if_equal(images: Images) -> Images:
    """One image for all where they are the same: a photograph is often made into many things at once."""
    return images[:1] if len(images) > 1 and bool((images == images[:1]).all()) else images


def rows_of(values: Tensor, rows: Tensor) -> Tensor:
    """Rows of what may be one for all."""
    return values[rows] if len(values) > 1 else values


def _times(matrices: Tensor, vectors: Tensor) -> Tensor:
    product = matrices[:, :, 0] * vectors[:, :1]
    for channel in range(1, vectors.shape[1]):
        product = product.addcmul(matrices[:, :, channel], vectors[:, channel : channel + 1])
    return product
