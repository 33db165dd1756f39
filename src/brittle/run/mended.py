"""A run that stopped at a damaged image goes on once the image is mended, although the data is no longer the same."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from brittle.data.examples import Examples
from brittle.run.records import Manifest, read_shard
from brittle.run.storage import shard_path
from brittle.types import BrittleError


def is_mended(directory: Path, stored: Manifest, wanted: Manifest, examples: Examples) -> bool:
    """Whether the data of a stored run has changed, but nowhere that the run has been.

    True where only the fingerprint differs, and every recorded shard has the ids, labels and pixels of ``examples``.
    """
    if (stored.data, stored.examples, stored.image_shape) != (wanted.data, wanted.examples, wanted.image_shape):
        return False
    if stored.data_fingerprint == wanted.data_fingerprint or stored.labelled != wanted.labelled:
        return False
    shards = range(-(-stored.examples // stored.shard_size))
    return all(_agrees(directory, stored, examples, shard) for shard in shards)


def _agrees(directory: Path, stored: Manifest, examples: Examples, shard: int) -> bool:
    start = shard * stored.shard_size
    stop = min(start + stored.shard_size, len(examples))
    paths = [shard_path(directory, "records", spec.slug, shard) for spec in stored.attacks]
    for path in paths:
        if not path.exists():
            continue
        table = read_shard(path)
        if table["example"].to_pylist() != list(examples.ids[start:stop]):
            return False
        if examples.labels is not None and table["label"].to_pylist() != examples.labels[start:stop].tolist():
            return False
    clean = shard_path(directory, "images", "clean", shard)
    if not clean.exists():
        return not any(path.exists() for path in paths)
    try:
        before, now = load_file(clean)["images"], examples.images(start, stop)
    except (BrittleError, SafetensorError, OSError):  # damaged still, or lost: it cannot be told
        return False
    return torch.equal(before.float() / 255 if before.dtype == torch.uint8 else before, now)
