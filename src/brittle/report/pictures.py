"""Images for the page: original, perturbation and adversarial image as PNG data URIs within a budget of bytes."""

import base64
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from brittle.measure import Case
from brittle.records import View, image_file, read_images

PIXELATED = 96
"""Images up to this many pixels a side are enlarged without smoothing."""
SMALLEST = 12
FACTORS = [m * 10**e for e in range(7) for m in (1, 2, 3, 5)]


@dataclass(frozen=True, slots=True)
class Triple:
    """Three pictures of one case; ``factor`` is how many times the perturbation is amplified, around mid-grey."""

    original: str
    change: str
    adversarial: str
    factor: int
    width: int
    height: int

    @property
    def size(self) -> int:
        """Characters in the page."""
        return len(self.original) + len(self.change) + len(self.adversarial)


@dataclass(frozen=True, slots=True)
class Pair:
    """An original and its adversarial image, float32 ``[H, W]`` or ``[H, W, 3]`` in [0, 1]."""

    clean: npt.NDArray[np.float32]
    adversarial: npt.NDArray[np.float32]


def load(
    directory: Path, manifest: View, cases: Sequence[Case], damaged: Collection[Path] = ()
) -> dict[tuple[str, int], Pair]:
    """The stored images of cases by (slug, position); those that are not there or in a damaged file are left out."""
    pairs = {}
    for case in cases:
        shard = case.position // manifest.manifest.shard_size
        if any(directory / image_file(slug, shard) in damaged for slug in (manifest.originals, case.slug)):
            continue
        try:
            clean = read_images(directory, manifest.originals, manifest, [case.position])
            adversarial = read_images(directory, case.slug, manifest, [case.position])
        except LookupError:
            continue  # a run can be kept without its images: the numbers stand without them
        pairs[case.slug, case.position] = Pair(_picture(clean.numpy()[0]), _picture(adversarial.numpy()[0]))
    return pairs


def within(pairs: dict[tuple[str, int], Pair], side: int, budget: int) -> dict[tuple[str, int], Triple]:
    """Triples of at most ``side`` pixels a side, smaller where that is needed to stay within ``budget`` characters.

    Empty where not even thumbnails fit.
    """
    while pairs:
        triples = {key: triple(pair, side) for key, pair in pairs.items()}
        total = sum(made.size for made in triples.values())
        if total <= budget:
            return triples
        largest = max(max(pair.clean.shape[:2]) for pair in pairs.values())
        side = int(min(side, largest) * min(0.9, (budget / total) ** 0.5))
        if side < SMALLEST:
            break
    return {}


def triple(pair: Pair, side: int) -> Triple:
    """Three PNG data URIs of a pair, at most ``side`` pixels a side."""
    delta = pair.adversarial - pair.clean
    factor = amplification(delta)
    clean, adversarial = (_shrink(_to_image(part), side, smooth=True) for part in (pair.clean, pair.adversarial))
    # Not smoothed: averaging neighbours would cancel the perturbation and belie the stated factor.
    change = _shrink(_to_image(0.5 + factor * delta), side, smooth=False)
    return Triple(_uri(clean), _uri(change), _uri(adversarial), factor, clean.width, clean.height)


def amplification(delta: npt.NDArray[np.float32]) -> int:
    """A round factor that makes a perturbation visible with at most 1 % of its values cut off; 1 for none at all."""
    peak = float(np.quantile(np.abs(delta), 0.99)) or float(np.abs(delta).max())
    if peak == 0:
        return 1
    return max((factor for factor in FACTORS if factor * peak <= 0.5001), default=1)


def _picture(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """[C, H, W] as [H, W, 3], or as [H, W] of the first channel where there are not three."""
    return np.moveaxis(image[:3], 0, -1) if len(image) >= 3 else image[0]


def _to_image(pixels: npt.NDArray[np.float32]) -> Image.Image:
    return Image.fromarray(np.rint(np.clip(np.nan_to_num(pixels), 0, 1) * 255).astype(np.uint8))


def _shrink(image: Image.Image, side: int, *, smooth: bool) -> Image.Image:
    if max(image.size) <= side:
        return image
    scale = side / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST)


def _uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
