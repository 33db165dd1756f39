"""Fit: what a network wants its images to look like, and the published preprocessing that gives it."""

from dataclasses import dataclass
from typing import Literal, final

from PIL import Image

from brittle.errors import BrittleError

_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """The size and colours that a network takes: resize, then crop the centre.

    The same arithmetic as torchvision's ``Resize(resize, antialias=True)`` and ``CenterCrop((height, width))`` on a PIL
    image. An image that is already ``height`` x ``width`` passes unchanged, to the bit, when ``resize`` is None or
    equals its shorter side.

    channels: 1 (grey) or 3 (RGB). height, width: pixels. resize: pixels of the shorter side before the crop; or height
    and width, whatever the proportions; or None for no resizing. Raises BrittleError for values that no image can have.
    """

    channels: int
    height: int
    width: int
    resize: int | tuple[int, int] | None = None
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise BrittleError(f"expected a network of 1 or 3 image channels, got {self.channels}")
        if min(self.height, self.width) < 1 or (self.resize is not None and min(self._sides) < 1):
            raise BrittleError(f"expected sizes of at least 1 pixel, got {self}")
        if self.interpolation not in _RESAMPLING:
            raise BrittleError(f"expected interpolation {' or '.join(_RESAMPLING)}, got {self.interpolation!r}")

    @property
    def _sides(self) -> tuple[int, ...]:
        return self.resize if isinstance(self.resize, tuple) else () if self.resize is None else (self.resize,)

    def resized(self, width: int, height: int, name: str) -> tuple[int, int]:
        """Width and height after the resize, before the crop.

        Raises BrittleError naming the image where the crop would not fit in it (torchvision would pad with black,
        which no photograph has), or where a long thin image would grow beyond what fits in memory.
        """
        new_width, new_height = width, height
        if isinstance(self.resize, tuple):
            new_height, new_width = self.resize
        elif self.resize is not None:
            short = min(width, height)
            new_width, new_height = int(self.resize * width / short), int(self.resize * height / short)
        if new_width < self.width or new_height < self.height:
            raise BrittleError(
                f"{name} is too small: {width} x {height} pixels (width x height), the network wants"
                f" {self.width} x {self.height}; use larger images or a network for this size"
            )
        limit = Image.MAX_IMAGE_PIXELS
        if limit is not None and new_width * new_height > limit:
            raise BrittleError(
                f"{name} is too long and thin: {width} x {height} pixels (width x height) become"
                f" {new_width} x {new_height} when its shorter side is resized to {self.resize}; crop it first"
            )
        return new_width, new_height

    def apply(self, image: Image.Image, name: str) -> Image.Image:
        """The image at ``width`` x ``height``; ``name`` says which image it is should it not fit."""
        size = self.resized(*image.size, name)
        if size != image.size:
            image = image.resize(size, _RESAMPLING[self.interpolation])
        if size == (self.width, self.height):
            return image
        left = round((image.width - self.width) / 2)
        top = round((image.height - self.height) / 2)
        return image.crop((left, top, left + self.width, top + self.height))
