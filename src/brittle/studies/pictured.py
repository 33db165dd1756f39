"""What a training that shows something leaves behind: moving pictures, a grid, a filmstrip, and generated images."""

import io
import json
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import Tensor

from brittle.train.batches import Pixels
from brittle.train.classifier import Trained

FILMSTRIP, GRID, EVERY, TWENTIETH = "filmstrip.png", "grid.png", "every.gif", "every-20th.gif"
_STRIP = 10  # frames of a filmstrip
_LEAST = 28  # pixels of an image's side, at least: smaller ones are enlarged by a whole number
_MILLISECONDS = 80


def pictures_of(key: str, made: Trained, class_names: Sequence[str]) -> dict[str, bytes]:
    """The files by their path below the run directory; none of a training that shows nothing."""
    if not made.frames or made.generated is None:
        return {}
    frames = [_image(one) for one in made.frames]
    some = [made.frames[at * (len(frames) - 1) // max(1, _STRIP - 1)] for at in range(min(_STRIP, len(frames)))]
    # Time from left to right, and a row for each class: the first image of each.
    strip = _image(torch.stack([one[0] for one in some], 1))
    return {
        f"pictures/{key}/{FILMSTRIP}": _png(strip),
        f"pictures/{key}/{GRID}": _png(frames[-1]),
        f"pictures/{key}/{EVERY}": _gif(frames),
        f"pictures/{key}/{TWENTIETH}": _gif(frames[19::20] or frames[-1:]),
        f"generated/{key}.parquet": parquet_of(made.generated, class_names),
    }


def parquet_of(pixels: Pixels, class_names: Sequence[str]) -> bytes:
    """Labelled images in the Hugging Face image layout, which ``--data`` takes."""
    images = [{"bytes": _png(_plain(one)), "path": None} for one in pixels.values]
    features = {
        "image": {"_type": "Image"},
        "label": {"_type": "ClassLabel", "names": list(class_names)},
    }
    schema = pa.schema(
        [
            pa.field("image", pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])),
            pa.field("label", pa.int64()),
        ],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    table = pa.Table.from_pydict({"image": images, "label": pixels.labels.tolist()}, schema=schema)
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def _image(grid: Tensor) -> Image.Image:
    """Images ``[rows, columns, H, W, C]`` beside one another, enlarged where they are small."""
    rows, columns, height, width, channels = grid.shape
    flat = grid.permute(0, 2, 1, 3, 4).reshape(rows * height, columns * width, channels)
    image, times = _plain(flat), -(-_LEAST // min(height, width))
    return image.resize((times * image.width, times * image.height), Image.Resampling.NEAREST)


def _plain(pixels: Tensor) -> Image.Image:
    """``[H, W, C]`` of bytes."""
    values = pixels.numpy()
    return Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values)


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _gif(frames: Sequence[Image.Image]) -> bytes:
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=_MILLISECONDS, loop=0)
    return file.getvalue()
