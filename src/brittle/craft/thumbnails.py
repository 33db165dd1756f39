"""Small pictures for a page, as data URIs within a budget of bytes."""

import base64
import hashlib
import io
from collections.abc import Hashable, Mapping
from typing import NamedTuple, TypeVar

from PIL import Image

from brittle.craft.crafted import Crafted
from brittle.craft.pictures import PIXELATED, noise_picture, photograph, shrunk

Key = TypeVar("Key", bound=Hashable)

SMALLEST = 12


class Small(NamedTuple):
    """A picture to be shown small. noise: is not smoothed, and keeps its colours. lossless: small from the start."""

    picture: Image.Image
    noise: bool
    lossless: bool

    def bounded(self, side: int) -> "Small":
        """At most so many pixels a side."""
        return self._replace(picture=shrunk(self.picture, side, side, smooth=not self.noise))


class Trio(NamedTuple):
    """Three pictures of a result as data URIs. factor: how many times as strong as it is the noise is shown."""

    original: str
    noise: str
    result: str
    factor: int
    width: int
    height: int
    pixelated: bool


def trios(crafted: Mapping[Key, Crafted], side: int, budget: int) -> dict[Key, Trio]:
    """The three pictures of each, at most ``side`` pixels a side, in at most ``budget`` characters.

    The original of several results is counted once: a page is to embed it once. Empty where not even tiny ones fit.
    """
    smalls: dict[tuple[str, Hashable], Small] = {}
    factors: dict[Key, int] = {}
    for key, one in crafted.items():
        lossless = max(one.original.shape[1:]) <= PIXELATED
        noise, factors[key] = noise_picture(one.original, one.perturbed)
        smalls["noise", key] = Small(noise, True, lossless).bounded(side)
        smalls["result", key] = Small(photograph(one.perturbed), False, lossless).bounded(side)
        if ("original", identity(one)) not in smalls:
            smalls["original", identity(one)] = Small(photograph(one.original), False, lossless).bounded(side)
    uris, sizes = _within(smalls, side, budget)
    if not uris:
        return {}
    made = {}
    for key, one in crafted.items():
        width, height = sizes["result", key]
        found = (uris["original", identity(one)], uris["noise", key], uris["result", key])
        made[key] = Trio(*found, factors[key], width, height, smalls["result", key].lossless)
    return made


def identity(crafted: Crafted) -> str:
    """What tells photographs apart: files in two folders may share a name."""
    pixels = hashlib.sha256(crafted.original.contiguous().numpy().tobytes()).hexdigest()
    return f"{pixels[:16]} {tuple(crafted.original.shape)} {crafted.photo}"


def _within(
    smalls: Mapping[tuple[str, Hashable], Small], side: int, budget: int
) -> tuple[dict[tuple[str, Hashable], str], dict[tuple[str, Hashable], tuple[int, int]]]:
    """Data URIs and sizes, smaller where that is needed to stay within the budget."""
    while side >= SMALLEST:
        uris = {key: _uri(small) for key, small in smalls.items()}
        total = sum(map(len, uris.values()))
        if total <= budget:
            return uris, {key: small.picture.size for key, small in smalls.items()}
        largest = max((max(small.picture.size) for small in smalls.values()), default=0)
        side = int(min(side, largest) * min(0.9, (max(budget, 0) / total) ** 0.5))
        smalls = {key: small.bounded(max(side, 1)) for key, small in smalls.items()}
    return {}, {}


def _uri(small: Small) -> str:
    """PNG of what is small anyway, or else JPEG: noise would fill megabytes without loss."""
    buffer = io.BytesIO()
    if small.lossless:
        kind = "png"
        small.picture.save(buffer, "PNG")
    else:
        kind = "jpeg"
        small.picture.save(buffer, "JPEG", quality=50 if small.noise else 85, subsampling=0 if small.noise else 2)
    return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
