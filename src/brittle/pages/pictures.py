"""Pictures of a change: by itself around grey, and small beside what it changed, as data URIs within a budget."""

import base64
import hashlib
import io
from collections.abc import Hashable, Mapping
from typing import NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin

from brittle.text import counted

GREY = 128
FACTORS = tuple(digit * 10**power for power in range(8) for digit in (1, 2, 5))
"""By which a change may be amplified."""
CUT_OFF = 1e-3
"""Of the values of a picture of a change, what amplifying may cut off ..."""
LOSSY = 100
"""... by a factor up to this. Beyond it nothing is cut off: a single grey level is in full sight by then, and only
what 8 bits cannot hold wants more. A few pixels, which are less than a thousandth, are so not blown up for ever."""
PIXELATED = 96
"""Pictures up to this many pixels a side are enlarged without smoothing, and kept without loss."""
SMALLEST = 12
"""Pixels a side below which a picture shows nothing."""

Key = TypeVar("Key", bound=Hashable)
Pixels: TypeAlias = "npt.NDArray[np.generic] | Array"


class Array(Protocol):
    """What numpy makes an array of: a tensor on the CPU, say."""

    def __array__(self) -> npt.NDArray[np.generic]: ...


def perturbation_picture(change: Pixels) -> tuple[Image.Image, int]:
    """A change around grey 128, and how many times as strong as it is it is shown.

    change: ``[C, H, W]``, in shares of the pixels' range: 1/255 is a grey level. The factor is the largest of 1, 2, 5,
    10, 20 ... that cuts off at most one value in a thousand, and beyond 100 none; 1 where nothing has changed. Where
    none is cut off, ``(picture - 128) / factor`` is the change in grey levels. ``info`` says so, and
    ``png_with_texts`` writes it into the file.
    """
    levels = np.nan_to_num(np.asarray(change, dtype=np.float64)) * 255
    factor = amplification(levels)
    picture = _image(GREY + factor * levels)
    picture.info["Amplification"] = str(factor)
    picture.info["Description"] = f"The perturbation around grey {GREY}: change = (value - {GREY}) / {factor}"
    return picture, factor


def amplification(levels: npt.NDArray[np.float64]) -> int:
    """The factor for a change in grey levels, by the rule of ``perturbation_picture``."""
    if not levels.any():
        return 1
    allowed = int(CUT_OFF * levels.size)
    # Grey has 128 levels below it and 127 above; half a level is what rounding forgives.
    low, high = -GREY - 0.501, 255 - GREY + 0.501
    best = 1
    for factor in FACTORS:
        cut = int(((levels * factor < low) | (levels * factor > high)).sum())
        if cut <= (allowed if factor <= LOSSY else 0):
            best = factor
    return best


def noise_picture(original: Pixels, perturbed: Pixels) -> tuple[Image.Image, int]:
    """The difference of two uint8 pictures ``[C, H, W]``, by the rule of ``perturbation_picture``."""
    before, after = (np.asarray(one).astype(np.float64) for one in (original, perturbed))
    return perturbation_picture((after - before) / 255)


def photograph(pixels: Pixels) -> Image.Image:
    """``[C, H, W]`` as a picture: uint8 as it is, floats in [0, 1] rounded to 8 bits."""
    array = np.asarray(pixels)
    return _image(array if array.dtype == np.uint8 else 255 * np.nan_to_num(array.astype(np.float64)))


def times(factor: int) -> str:
    """What stands below a picture of a change."""
    return f"amplified {counted(factor, 'time')}" if factor > 1 else "as strong as it is"


def png_with_texts(picture: Image.Image) -> bytes:
    """A PNG with the texts of ``info`` in it, which Pillow's own ``save`` leaves out."""
    texts, buffer = PngImagePlugin.PngInfo(), io.BytesIO()
    for key, value in picture.info.items():
        if isinstance(key, str) and isinstance(value, str):
            # A file's name may hold bytes that are no text; Python keeps them as lone surrogates.
            texts.add_text(key, value.encode("utf-8", "replace").decode("utf-8"))
    picture.save(buffer, "PNG", pnginfo=texts)
    return buffer.getvalue()


def shrunk(picture: Image.Image, width: int, height: int, *, smooth: bool) -> Image.Image:
    """The picture within these bounds, in its proportions; as it is where it fits.

    A change is not smoothed: averaging neighbours would cancel it and belie the stated factor.
    """
    scale = min(width / picture.width, height / picture.height)
    if scale >= 1:
        return picture
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST)


class Embedded(NamedTuple):
    """A picture as a data URI, and its size."""

    uri: str
    width: int
    height: int


def embedded(picture: Image.Image, budget: int, side: int = 1024) -> Embedded:
    """One picture without loss, at most ``side`` pixels a side, smaller where it must be."""
    small = _Small(picture, False, True).bounded(side)
    uris, sizes = _within({("", 0): small}, side, budget)
    return Embedded(uris.get(("", 0), ""), *sizes.get(("", 0), (0, 0)))


class Pair(NamedTuple):
    """An original and what became of it, ``[C, H, W]``: uint8, or floats in [0, 1]. name: what the original is called.

    Originals of one name are one picture.
    """

    original: Pixels
    result: Pixels
    name: str = ""


class Trio(NamedTuple):
    """Original, change and result as data URIs. factor: how many times as strong as it is the change is shown.

    whole: nothing is lost but what 8 bits cannot hold.
    """

    original: str
    change: str
    result: str
    factor: int
    width: int
    height: int
    pixelated: bool
    whole: bool


def trios(pairs: Mapping[Key, Pair], side: int, budget: int) -> dict[Key, Trio]:
    """The three pictures of each, at most ``side`` pixels a side, in at most ``budget`` characters.

    The original of several pairs is counted once: a page is to embed it once. Empty where not even tiny ones fit.
    """
    smalls: dict[tuple[str, Hashable], _Small] = {}
    factors: dict[Key, int] = {}
    names = {key: identity(pair) for key, pair in pairs.items()}
    for key, pair in pairs.items():
        result = photograph(pair.result)
        change, factors[key] = perturbation_picture(_difference(pair))
        lossless = max(result.size) <= PIXELATED
        smalls["change", key] = _Small(change, True, lossless).bounded(side)
        smalls["result", key] = _Small(result, False, lossless).bounded(side)
        if ("original", names[key]) not in smalls:
            smalls["original", names[key]] = _Small(photograph(pair.original), False, lossless).bounded(side)
    uris, sizes = _within(smalls, side, budget)
    made = {}
    for key, pair in pairs.items() if uris else ():
        found = (uris["original", names[key]], uris["change", key], uris["result", key])
        lossless = smalls["result", key].lossless
        whole = lossless and sizes["result", key] == photograph(pair.result).size
        made[key] = Trio(*found, factors[key], *sizes["result", key], pixelated=lossless, whole=whole)
    return made


def identity(pair: Pair) -> str:
    """What tells originals apart: files in two folders may share a name."""
    array = np.ascontiguousarray(np.asarray(pair.original))
    return f"{hashlib.sha256(array.tobytes()).hexdigest()[:16]} {array.shape} {pair.name}"


class _Small(NamedTuple):
    """A picture to be shown small. change: is not smoothed, and keeps its colours. lossless: small from the start."""

    picture: Image.Image
    change: bool
    lossless: bool

    def bounded(self, side: int) -> "_Small":
        return self._replace(picture=shrunk(self.picture, side, side, smooth=not self.change))

    def uri(self) -> str:
        """PNG of what is small anyway, or else JPEG: a change would fill megabytes without loss."""
        buffer, kind = io.BytesIO(), "png" if self.lossless else "jpeg"
        if self.lossless:
            self.picture.save(buffer, "PNG")
        else:
            how = {"quality": 50, "subsampling": 0} if self.change else {"quality": 85, "subsampling": 2}
            self.picture.save(buffer, "JPEG", **how)
        return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _within(
    smalls: Mapping[tuple[str, Hashable], _Small], side: int, budget: int
) -> tuple[dict[tuple[str, Hashable], str], dict[tuple[str, Hashable], tuple[int, int]]]:
    """Data URIs and sizes, smaller where that is needed to stay within the budget."""
    while side >= SMALLEST:
        uris = {key: small.uri() for key, small in smalls.items()}
        total = sum(map(len, uris.values()))
        if total <= budget:
            return uris, {key: small.picture.size for key, small in smalls.items()}
        largest = max((max(small.picture.size) for small in smalls.values()), default=0)
        side = int(min(side, largest) * min(0.9, (max(budget, 0) / total) ** 0.5))
        smalls = {key: small.bounded(max(side, 1)) for key, small in smalls.items()}
    return {}, {}


def _difference(pair: Pair) -> npt.NDArray[np.float64]:
    before, after = (np.asarray(one) for one in (pair.original, pair.result))
    scale = 255 if before.dtype == np.uint8 else 1
    difference: npt.NDArray[np.float64] = (after.astype(np.float64) - before.astype(np.float64)) / scale
    return difference


def _image(levels: npt.NDArray[np.generic]) -> Image.Image:
    """Grey levels ``[C, H, W]``, cut off at 0 and 255; of what has not three channels the first, as grey."""
    colours = levels[:3] if len(levels) >= 3 else np.repeat(levels[:1], 3, axis=0)
    return Image.fromarray(np.ascontiguousarray(np.rint(colours).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)))
