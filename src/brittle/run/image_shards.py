"""What a file of a shard's images holds."""

from collections.abc import Sequence

import torch
from safetensors.torch import load, save
from torch import Tensor

from brittle.records import pixels_of
from brittle.types import Images


def encoded(images: Images, rows: Tensor | None = None) -> bytes:
    """The content of an image shard: uint8 where that holds the images exactly, float32 elsewhere.

    rows: int64 ``[n]``, where only some of the shard's are kept.
    """
    images = images.cpu()  # where a division by 255 rounds as it does everywhere; a GPU multiplies by 1 / 255
    levels = (images * 255).round().clamp(0, 255)
    exact = bool((levels / 255 == images).all())
    parts = {"images": (levels.to(torch.uint8) if exact else images).contiguous()}
    return save(parts if rows is None else parts | {"rows": rows.cpu()})


def joined_images(parts: Sequence[tuple[int, bytes]]) -> bytes:
    """One image shard of several; each with the place of its first image in what they are parts of."""
    stored = [(start, load(content)) for start, content in parts]
    images = torch.cat([pixels_of(one["images"]) for _, one in stored])
    rows = [start + one["rows"] for start, one in stored if "rows" in one]
    return encoded(images, torch.cat(rows) if rows else None)
