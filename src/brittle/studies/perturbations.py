"""What a fit needs beside its study: halves of data, chance, and the picture."""

import dataclasses
import hashlib
from collections.abc import Sequence

from PIL import Image
from torch import Tensor

from brittle.data.examples import Examples
from brittle.data.perturbation import Perturbation
from brittle.geometry.norms import LINF
from brittle.pages.pictures import perturbation_picture, png_with_texts
from brittle.rng import Rng

FILE, PICTURE = "perturbation.safetensors", "perturbation.png"
_SIDE = 256  # pixels of the picture, at least: those of the perturbation are enlarged by a whole number


def picked(examples: Examples, rows: Sequence[int]) -> Examples:
    """Some of the examples, as examples."""
    ids = tuple(examples.ids[row] for row in rows)
    return dataclasses.replace(
        examples,
        ids=ids,
        labels=None if examples.labels is None else examples.labels[list(rows)],
        fingerprint=hashlib.sha256("\0".join([examples.fingerprint, *ids]).encode()).hexdigest(),
        read=lambda positions: examples.read([rows[position] for position in positions]),
    )


def random_like(values: Tensor, made: Perturbation, seed: int) -> Tensor:
    """Chance: a random perturbation of the same size in the same norm, ``[1, C, H, W]``."""
    draws = Rng(seed, ("perturbation by chance",)).normal("direction", values)
    draws = draws.sign() if made.norm == LINF else draws
    size = float(made.norm.measure(values)[0])
    return made.norm.project(draws * (size / float(made.norm.measure(draws)[0])), size)


def drawn(values: Tensor) -> tuple[bytes, int]:
    """A PNG of a perturbation ``[C, H, W]`` around grey, and how many times as strong as it is it is drawn."""
    image, factor = perturbation_picture(values)
    times = -(-_SIDE // min(image.size))
    enlarged = image.resize((times * image.width, times * image.height), Image.Resampling.NEAREST)
    enlarged.info.update(image.info)
    return png_with_texts(enlarged), factor
