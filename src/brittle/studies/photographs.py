"""Photographs to craft: files, or images as people have them in Python; checked before any network is loaded."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from brittle.data.decode import decoded, read_header
from brittle.errors import BrittleError
from brittle.models.classifier import Classifier

_LEAST_SIDE = 8
_MOST_PIXELS = 24_000_000  # of a photograph: crafting takes some 200 bytes for each
_SAVED_AS_IT_IS = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I")  # by Pillow's PNG writer
_EXPECTED = "a path, a Pillow image, a tensor [C, H, W] or an array [H, W, C]"


class Encoded(NamedTuple):
    """An image file that can be decoded and crafted, whatever network is to see it."""

    name: str
    data: bytes


@final
@dataclass(frozen=True, slots=True)
class Photograph:
    """name: of the file. pixels: uint8 ``[C, H, W]``, upright. sha256: of the file."""

    name: str
    pixels: Tensor
    sha256: str

    @staticmethod
    def of(encoded: Encoded, classifier: Classifier) -> "Photograph":
        """In as many channels as the network takes, RGB if that is not known; BrittleError where it is too small."""
        name, data = encoded
        if classifier.fit is not None:
            header = read_header(data, name)
            classifier.fit.resized(header.width, header.height, name)
        channels = (classifier.channels or 3) if classifier.fit is None else classifier.fit.channels
        return Photograph(name, pixels_of(data, name, channels), hashlib.sha256(data).hexdigest())


def read_photograph(path: Path) -> Encoded:
    """A file; BrittleError where it cannot be read or decoded, and for sizes that cannot be crafted."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BrittleError(f"cannot read {str(path)!r}: {error.strerror}") from None
    return _checked(path.name, data)


def given_photographs(given: Any) -> list[Encoded]:
    """One photograph or several: paths, Pillow images, tensors, arrays; BrittleError for anything else.

    Tensors are ``[C, H, W]``, or ``[N, C, H, W]`` for several; arrays ``[H, W]`` or ``[H, W, C]``, as Pillow makes
    them. Both have 8-bit values, or floats in [0, 1], which are rounded to 8 bits. What has no name is called
    photograph-0, photograph-1 ...
    """
    if isinstance(given, Tensor | np.ndarray) and given.ndim == 4:
        given = list(given)
    several = isinstance(given, Sequence) and not isinstance(given, str)
    photographs = [_encoded(one, f"photograph-{number}") for number, one in enumerate(given if several else [given])]
    if not photographs:
        raise BrittleError("expected at least one photograph, got none")
    return photographs


def pixels_of(data: bytes, name: str, channels: int) -> Tensor:
    """uint8 ``[C, H, W]`` of an encoded image."""
    return torch.from_numpy(np.atleast_3d(np.array(decoded(data, name, channels))).transpose(2, 0, 1).copy())


def png_of(pixels: Tensor) -> bytes:
    """A lossless PNG of uint8 ``[C, H, W]``."""
    array = pixels.permute(1, 2, 0).numpy()
    return _png(Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array))


def _encoded(one: Any, name: str) -> Encoded:
    if isinstance(one, str | os.PathLike):
        return read_photograph(Path(one))
    if isinstance(one, Image.Image):
        upright = one if one.mode in _SAVED_AS_IT_IS else one.convert("RGB")
        return _checked(name, _png(upright, exif=one.getexif()))
    if isinstance(one, np.ndarray) and one.ndim in (2, 3) and one.dtype.kind in "uif":
        array = torch.from_numpy(np.ascontiguousarray(np.atleast_3d(one)))
        return _checked(name, png_of(_levels(array.permute(2, 0, 1), name)))
    if isinstance(one, Tensor):
        return _checked(name, png_of(_levels(one.detach().cpu(), name)))
    told = f"{one.dtype} array of shape {one.shape}" if isinstance(one, np.ndarray) else type(one).__name__
    raise BrittleError(f"expected {_EXPECTED} as {name}, got {told}")


def _levels(pixels: Tensor, name: str) -> Tensor:
    """uint8 of what a tensor or an array holds."""
    told = f"{str(pixels.dtype).removeprefix('torch.')} of shape {tuple(pixels.shape)}"
    if pixels.ndim != 3 or pixels.shape[0] not in (1, 3) or not pixels.numel():
        raise BrittleError(f"expected {_EXPECTED}, with C of 1 or 3, as {name}, got [C, H, W] {told}")
    if pixels.dtype == torch.uint8:
        return pixels
    if not pixels.is_floating_point():
        raise BrittleError(f"expected 8-bit values or floats in [0, 1] as {name}, got {told}")
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0 and high <= 1):
        raise BrittleError(f"expected floats in [0, 1] as {name}, got {told} from {low:.4g} to {high:.4g}")
    return pixels.mul(255).round().to(torch.uint8)


def _checked(name: str, data: bytes) -> Encoded:
    header = read_header(data, name)
    if min(header.width, header.height) < _LEAST_SIDE:
        raise BrittleError(
            f"{name} is too small: {header.width} x {header.height} pixels, expected at least"
            f" {_LEAST_SIDE} x {_LEAST_SIDE}"
        )
    if header.width * header.height > _MOST_PIXELS:
        raise BrittleError(
            f"{name} is too large: {header.width} x {header.height} pixels, crafting takes up to"
            f" {_MOST_PIXELS // 10**6} million; make it smaller first"
        )
    decoded(data, name, 3)  # or it is refused: cut short, for one
    return Encoded(name, data)


def _png(image: Image.Image, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()
