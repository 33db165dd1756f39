"""What a fit needs beside its study: halves of data, chance, and the picture."""

import dataclasses
import hashlib
from collections.abc import Sequence
from io import BytesIO

from PIL import Image, PngImagePlugin
from torch import Tensor

from brittle.data.examples import Examples
from brittle.data.perturbation import Perturbation
from brittle.geometry.norms import LINF
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


def drawn(values: Tensor) -> tuple[bytes, float]:
    """A PNG of a perturbation ``[C, H, W]``, and how many times as strong as it is it is drawn, around mid-grey."""
    largest = float(values.abs().max())
    factor = 0.5 / largest if largest else 1.0
    grey = (0.5 + factor * values).clamp(0, 1).mul(255).round().byte()
    shown = grey if len(grey) in (1, 3) else grey[:1]
    array = shown.permute(1, 2, 0).numpy()
    image = Image.fromarray(array[:, :, 0] if len(shown) == 1 else array)
    times = -(-_SIDE // min(image.size))
    text = PngImagePlugin.PngInfo()
    text.add_text("Description", f"universal perturbation, amplified {factor:.6g} times around mid-grey")
    buffer = BytesIO()
    enlarged = image.resize((times * image.width, times * image.height), Image.Resampling.NEAREST)
    enlarged.save(buffer, "PNG", pnginfo=text)
    return buffer.getvalue(), factor
