"""Reading a run directory, all that passes from running to reporting.

Layout of a run directory::

    manifest.json                          Manifest: everything needed to repeat the run
    spec.toml                              the same for `brittle run`, where it was not made from objects in Python
    records/<key of a unit>.parquet        one row per example, with its Seal; of an audit, the key is
                                           <model>/<goal>/<attack>/<shard>
    images/<key>.safetensors               of an audit: "images": adversarial [n, C, H, W], rows as in the
                                           Parquet shard; where only some are kept, "rows": [n], their places
    images/<model>/clean/<shard>           "images": the originals
    report.html                            derived; can be deleted and rebuilt

Images are uint8 where 8 bits hold a whole shard exactly (k / 255), otherwise float32 in [0, 1]. How many of them are
kept, the manifest says: ``Kept``.
"""

import json
from collections.abc import Collection
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file

from brittle.errors import BrittleError
from brittle.records.manifest import Manifest, View
from brittle.records.schema import RECORD, SCHEMA_VERSION, SCHEMAS
from brittle.records.seals import Stamp, content_digest, is_intact, seal_of
from brittle.types import Images

MANIFEST = "manifest.json"
_AGAIN = "the same command again makes it anew"


def read_manifest(directory: Path) -> Manifest:
    """The manifest of a run directory; BrittleError where there is none, or one of another schema."""
    path = directory / MANIFEST
    if not path.is_file():
        raise BrittleError(f"expected a run directory with manifest.json, got {str(directory)!r}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content.get("schema_version") if isinstance(content, dict) else None
        if version != SCHEMA_VERSION:
            raise BrittleError(f"{path} has schema version {version}; this brittle reads version {SCHEMA_VERSION}")
        return Manifest.model_validate(content)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        reason = str(error)
    except ValidationError as error:
        first = error.errors()[0]
        reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    raise BrittleError(
        f"{path} is not a manifest: {reason}; restore it from a copy, or delete {str(directory)!r} and run the same"
        " command again: without it nothing says what the records are of"
    )


def read_records(directory: Path, manifest: Manifest | None = None) -> pd.DataFrame:
    """All records of a run directory, in the order of its models, goals and attacks, and then of the examples.

    A run that was interrupted gives the rows that exist; count them against ``manifest.examples``.
    """
    manifest = manifest or read_manifest(directory)
    schema = SCHEMAS.get(manifest.study)
    tables = [read_shard(path, schema) for path in _shards(directory, manifest)]
    empty = RECORD if schema is None else schema
    records: pd.DataFrame = (pa.concat_tables(tables) if tables else empty.empty_table()).to_pandas()
    return records


def _shards(directory: Path, manifest: Manifest) -> list[Path]:
    records = directory / "records"
    if manifest.study != "audit":
        return sorted(records.rglob("*.parquet"))
    folders = [records / view.slug(spec) for view in manifest.views() for spec in manifest.attacks]
    return [path for folder in folders for path in sorted(folder.glob("*.parquet"))]


def read_shard(path: Path, schema: pa.Schema | None = RECORD) -> pa.Table:
    """One record shard, checked against the schema, if there is one, and against its own seal."""
    try:
        table = pq.read_table(path)
        sealed = seal_of(table.schema).records == content_digest(table)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BrittleError(f"{path} is not a record shard ({_line(error)}); {_AGAIN}") from None
    if schema is not None and table.schema.remove_metadata() != schema.remove_metadata():
        raise BrittleError(f"{path} does not follow record schema {SCHEMA_VERSION}; {_AGAIN}")
    if not sealed:
        raise BrittleError(f"{path} is not a record shard (its content is not what was written); {_AGAIN}")
    return table


def readable_shard(path: Path, schema: pa.Schema | None = RECORD) -> pa.Table | None:
    """One record shard; None where there is none, or a damaged one, which is as good as none."""
    try:
        return read_shard(path, schema) if path.exists() else None
    except BrittleError:
        return None


def record_path(directory: Path, key: str) -> Path:
    """Where the records of a unit of work live."""
    return directory / "records" / f"{key}.parquet"


def image_file(slug: str, shard: int) -> str:
    """Where an audit keeps the images of a shard, below its directory; slug: of a ``View``."""
    return f"images/{slug}/{shard:05d}.safetensors"


def damaged_images(directory: Path, manifest: Manifest, shown: Collection[tuple[str, int]]) -> list[Path]:
    """Files that are missing or not what the records say: all are held against their size, those shown against their
    content too.

    shown: (slug, position) of adversarial images that are about to be shown beside their originals.
    """
    stamps: dict[str, Stamp] = {}
    for path in _shards(directory, manifest):
        stamps |= seal_of(pq.read_schema(path)).files
    originals = {view.record.slug: view.originals for view in manifest.views()}
    looked_at = {
        image_file(folder, position // manifest.shard_size)
        for slug, position in shown
        for folder in (slug, originals[slug.partition("/")[0]])
    }
    damaged = [name for name, stamp in stamps.items() if not _fits(directory / name, stamp, name in looked_at)]
    return [directory / name for name in sorted(damaged)]


def _fits(path: Path, stamp: Stamp, by_content: bool) -> bool:
    try:
        return is_intact(path, stamp) if by_content else path.stat().st_size == stamp.size
    except OSError:
        return False


def read_images(directory: Path, slug: str, view: View, positions: list[int]) -> Images:
    """Stored images at positions: float32 ``[n, C, H, W]`` in ``[0, 1]``.

    slug: ``view.slug(attack)``, or ``view.originals``. Raises LookupError for one that is not stored, or not whole.
    """
    out = []
    for position in positions:
        shard, row = divmod(position, view.manifest.shard_size)
        path = directory / image_file(slug, shard)
        try:
            stored = load_file(path)
        except (OSError, SafetensorError):
            raise LookupError(f"{path} is not there, or damaged") from None
        if "rows" in stored:
            row = _index(stored["rows"].tolist(), row)
        image = stored["images"][row]
        out.append(image.float() / 255 if image.dtype == torch.uint8 else image)
    return torch.stack(out) if out else torch.empty(0, *view.image_shape)


def stored_images(directory: Path, slug: str, view: View, positions: Collection[int]) -> tuple[Images, list[int]]:
    """What is kept of the images at some positions, ``[n, C, H, W]``, and the positions of those, in order.

    uint8 where every file of them is, otherwise float32 in ``[0, 1]``; slug: as for ``read_images``. The files must be
    whole: see ``damaged_images``.
    """
    size, wanted = view.manifest.shard_size, set(positions)
    images, places = [torch.empty(0, *view.image_shape, dtype=torch.uint8)], []
    for shard in sorted({position // size for position in wanted}):
        stored = load_file(directory / image_file(slug, shard))
        kept = stored["rows"].tolist() if "rows" in stored else range(len(stored["images"]))
        rows = [row for row, kept_row in enumerate(kept) if shard * size + kept_row in wanted]
        images.append(stored["images"][rows])
        places += [shard * size + kept[row] for row in rows]
    if any(one.dtype != torch.uint8 for one in images[1:]):
        images = [one.float() / 255 if one.dtype == torch.uint8 else one for one in images]
    return torch.cat(images), places


def _index(rows: list[int], row: int) -> int:
    if row not in rows:
        raise LookupError(f"row {row} is not kept")
    return rows.index(row)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
