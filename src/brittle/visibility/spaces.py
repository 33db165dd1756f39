"""Where a change may live: pixels, multiples of them, bright or busy places, a band of frequencies, mere colours.

Each space is a linear map from what an optimiser moves, theta, to the change of the images, and has its adjoint, which
takes a gradient the same way back. All of them keep the images' shape, so they can be put one within another.
"""

from dataclasses import dataclass
from typing import Protocol, final

import torch
import torch.nn.functional as F
from torch import Tensor

from brittle.catalog import Entry, Registry, label_of, option, register_in
from brittle.catalog.grammar import split
from brittle.errors import BrittleError
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
        return Scaled(rows_of_one(self.factor, rows))


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
        return Mixed(rows_of_one(self.matrix, rows))


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


class SpaceKind(Protocol):
    """One kind of space with its numbers, as it is written: ``band(0, 0.25)``."""

    def around(self, images: Images) -> Space:
        """The space around images ``[N, C, H, W]`` in [0, 1]; BrittleError for images without the colours it needs."""


SPACES: Registry[Entry] = Registry("space", example="pixels", in_order=True)


@register_in(SPACES, "pixels", paper="-")
@final
@dataclass(frozen=True, slots=True)
class Anywhere:
    """Any change."""

    def around(self, images: Images) -> Space:
        return Pixels()


@register_in(SPACES, "multiplicative", paper="-")
@final
@dataclass(frozen=True, slots=True)
class Multiplicative:
    """theta is relative, ``x * theta``; dark pixels move little, black ones not at all."""

    def around(self, images: Images) -> Space:
        return Scaled(one_if_equal(images))


@register_in(SPACES, "dark", paper="-")
@final
@dataclass(frozen=True, slots=True)
class NotDark:
    """Pixels of a lightness (L* / 100) below the threshold stay as they are, to the bit."""

    threshold: float = option(0.2, "least lightness of a pixel that may change", at_least=0, at_most=1)

    def around(self, images: Images) -> Space:
        return _only(_lightness(images, "dark") >= self.threshold, images)


@register_in(SPACES, "flat", paper="-")
@final
@dataclass(frozen=True, slots=True)
class NotFlat:
    """So do pixels around which the lightness varies less: its standard deviation over 7 x 7 pixels."""

    threshold: float = option(0.02, "least standard deviation of the lightness around it", at_least=0, at_most=0.5)

    def around(self, images: Images) -> Space:
        # Around the mean, as the variance is a difference of squares.
        light = _lightness(images, "flat")
        light = F.pad(light - light.mean((2, 3), keepdim=True), (_AROUND // 2,) * 4, mode="replicate")
        mean, square = F.avg_pool2d(light, _AROUND, 1), F.avg_pool2d(light.square(), _AROUND, 1)
        return _only((square - mean.square()).clamp_min(0).sqrt() >= self.threshold, images)


@register_in(SPACES, "band", paper="-")
@final
@dataclass(frozen=True, slots=True)
class InBand:
    """Only frequencies from low to high, in cycles per pixel, in any direction; a corner has 0.71."""

    low: float = option(0.0, "lowest frequency", at_least=0, at_most=1)
    high: float = option(0.25, "highest frequency", at_least=0, at_most=1)

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise BrittleError(f"expected band(low, high) with low < high, got band({self.low:g}, {self.high:g})")

    def around(self, images: Images) -> Space:
        return Band(self.low, self.high)


@register_in(SPACES, "chroma", paper="-")
@final
@dataclass(frozen=True, slots=True)
class Chroma:
    """Only chroma and hue, not lightness, to first order.

    theta has lightness, of which nothing comes, chroma and hue as its channels, 1 being as visible as white is from
    black.
    """

    def around(self, images: Images) -> Space:
        if images.shape[1] != 3:
            raise BrittleError(f"expected RGB images for the space chroma, got {images.shape[1]} channels")
        one = one_if_equal(images)
        frame = colour_frame(one)
        # The columns of the inverse are cross products of the rows. That for lightness is left out.
        light, chroma, hue = frame.unbind(1)
        by_chroma, by_hue = torch.linalg.cross(hue, light, dim=1), torch.linalg.cross(light, chroma, dim=1)
        volume = (chroma * by_chroma).sum(1, keepdim=True) / _WHITE
        return Mixed(torch.stack((torch.zeros_like(light), by_chroma / volume, by_hue / volume), 2))


@final
@dataclass(frozen=True, slots=True)
class Where:
    """Spaces within one another, the outermost first, as ``+`` joins them; a value, which images make a space.

    ``dark+multiplicative`` multiplies, then leaves the dark alone; ``band+dark`` would spread the change into the dark
    again.
    """

    parts: tuple[SpaceKind, ...]

    @staticmethod
    def of(text: "str | Where") -> "Where":
        """What a text names; BrittleError for what is no space, and for numbers out of range."""
        return text if isinstance(text, Where) else Where(tuple(SPACES.one(one) for one in split(text, "+")))

    def around(self, images: Images) -> Space:
        """The space around images ``[N, C, H, W]`` in [0, 1]."""
        *outer, space = [part.around(images) for part in self.parts]
        for one in reversed(outer):
            space = Within(one, space)
        return space

    def __str__(self) -> str:
        return "+".join(map(label_of, self.parts))


ANYWHERE = Where((Anywhere(),))


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


def rows_of_one(values: Tensor, rows: Tensor) -> Tensor:
    """Rows of what may be one for all."""
    return values[rows] if len(values) > 1 else values


def _times(matrices: Tensor, vectors: Tensor) -> Tensor:
    product = matrices[:, :, 0] * vectors[:, :1]
    for channel in range(1, vectors.shape[1]):
        product = product.addcmul(matrices[:, :, channel], vectors[:, channel : channel + 1])
    return product
