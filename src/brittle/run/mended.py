"""A run that stopped at a damaged image goes on once the image is mended, although the data is no longer the same."""

from pathlib import Path

from brittle.data.examples import Examples
from brittle.errors import BrittleError
from brittle.records import Manifest, readable_shard, shard_path
from brittle.records.seals import seal_of, stamp_of
from brittle.run.storage import encoded


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
    tables = [readable_shard(shard_path(directory, "records", spec.slug, shard)) for spec in stored.attacks]
    recorded = [table for table in tables if table is not None]
    for table in recorded:
        if table["example"].to_pylist() != list(examples.ids[start:stop]):
            return False
        if examples.labels is not None and table["label"].to_pylist() != examples.labels[start:stop].tolist():
            return False
    if not recorded:
        return True
    try:
        now = stamp_of(encoded(examples.images(start, stop)))
    except BrittleError:  # damaged still: it cannot be told
        return False
    return all(seal_of(table.schema).clean == now for table in recorded)
