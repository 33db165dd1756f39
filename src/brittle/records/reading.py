"""Reading a run directory, all that passes from running to reporting.

Layout of a run directory::

    manifest.json                          Manifest: everything needed to repeat the run
    spec.toml                              the same for `brittle run`, where it was not made from objects in Python
    records/<key of a unit>.parquet        one row per example, with its Seal; of an audit, the key is
                                           <model>/<goal>/<attack>/<shard>
    records/_transfer/<source>/<goal>/<attack>/<target>/<shard>.parquet   what they do to other models
    records/_certified/<model>/<shard>.parquet                            what a model proves of itself
    images/<key>.safetensors               of an audit: "images": adversarial [n, C, H, W], rows as in the
                                           Parquet shard; where only some are kept, "rows": [n], their places
    images/<model>/clean/<shard>           "images": the originals
    .../<shard>/<start>-<stop>.*           the same of a part of the shard, until all of it is there
    report.html                            derived; can be deleted and rebuilt

Images are uint8 where 8 bits hold a whole shard exactly (k / 255), otherwise float32 in [0, 1]. How many of them are
kept, the manifest says: ``Kept``.
"""

import json
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load

from brittle.errors import BrittleError
from brittle.places import content_of
from brittle.records.manifest import AttackSpec, Manifest, ModelRecord, View
from brittle.records.migrations import manifest_now, table_now
from brittle.records.schema import CERTIFICATES, CERTIFIED, RECORD, SCHEMA_VERSION, SCHEMAS, TRANSFERRED, TRANSFERS
from brittle.records.seals import Stamp, content_digest, is_intact, seal_of, version_of
from brittle.types import Images

MANIFEST = "manifest.json"
_AGAIN = "the same command again makes it anew"


def read_manifest(directory: Path) -> Manifest:
    """The manifest of a run directory, also of an older version; BrittleError where there is none that can be read."""
    path = directory / MANIFEST
    if not path.is_file():
        raise BrittleError(f"expected a run directory with manifest.json, got {str(directory)!r}")
    try:
        return Manifest.model_validate(manifest_now(json.loads(path.read_text(encoding="utf-8")), path))
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
    records: pd.DataFrame = record_table(directory, manifest).to_pandas()
    return records


def record_table(directory: Path, manifest: Manifest) -> pa.Table:
    """The same as a table of Arrow."""
    return _read(record_files(directory, manifest), SCHEMAS.get(manifest.study))


def read_transfers(directory: Path, manifest: Manifest) -> pd.DataFrame:
    """What the changes of an audit do to its other models: ``TRANSFERRED`` rows by source, goal, attack and target."""
    folders = [
        directory / "records" / transfer_slug(view, spec, target)
        for view in manifest.views()
        for spec in view.attacks
        for target in manifest.models
    ]
    transfers: pd.DataFrame = _read(_parquet(folders), TRANSFERRED).to_pandas()
    return transfers


def read_certificates(directory: Path, manifest: Manifest) -> pd.DataFrame:
    """What the models of an audit have proved of themselves: ``CERTIFIED`` rows by model."""
    folders = [directory / "records" / certificate_slug(model) for model in manifest.models]
    certificates: pd.DataFrame = _read(_parquet(folders), CERTIFIED).to_pandas()
    return certificates


def _read(paths: Sequence[Path], schema: pa.Schema | None) -> pa.Table:
    """The rows of some shards, in their order. Several threads wait for the disk, or for a storage, and decode."""
    with ThreadPoolExecutor() as pool:
        tables = list(pool.map(partial(read_shard, schema=schema), paths))
    empty = RECORD if schema is None else schema
    return pa.concat_tables(tables) if tables else empty.empty_table()


def certificate_slug(model: ModelRecord) -> str:
    """The folder of the records of what a model has proved of itself."""
    return f"{CERTIFICATES}/{model.slug}"


def transfer_slug(view: View, attack: AttackSpec, target: ModelRecord) -> str:
    """The folder of the records of what was made for one model and is graded on another."""
    return f"{TRANSFERS}/{view.slug(attack)}/{target.slug}"


def record_files(directory: Path, manifest: Manifest) -> list[Path]:
    """The files of the records themselves; of a shard its parts only where the whole is not there."""
    folders = [directory / "records"]
    if manifest.study == "audit":
        folders = [folders[0] / view.slug(spec) for view in manifest.views() for spec in view.attacks]
    return _parquet(folders)


def _parquet(folders: Sequence[Path]) -> list[Path]:
    """Record files in some folders; of a shard its parts only where the whole is not there."""
    paths = [path for folder in folders for path in sorted(folder.rglob("*.parquet"))]
    return [path for path in paths if not path.parent.with_name(f"{path.parent.name}.parquet").exists()]


def read_shard(path: Path, schema: pa.Schema | None = RECORD) -> pa.Table:
    """One record shard, also of an older version, checked against its own seal, and the schema, if there is one."""
    try:
        table = pq.read_table(pa.BufferReader(content_of(path)), use_threads=False)
        sealed = seal_of(table.schema).records == content_digest(table)
        version = version_of(table.schema)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BrittleError(f"{path} is not a record shard ({_line(error)}); {_AGAIN}") from None
    if not sealed:
        raise BrittleError(f"{path} is not a record shard (its content is not what was written); {_AGAIN}")
    table = table_now(table, version, path)
    if schema is not None and table.schema.remove_metadata() != schema.remove_metadata():
        raise BrittleError(f"{path} does not follow record schema {SCHEMA_VERSION}; {_AGAIN}")
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


def part_paths(directory: Path, key: str) -> list[Path]:
    """The record files of the parts of a unit, in order; see ``span_of``."""
    return sorted(record_path(directory, key).with_suffix("").glob("*.parquet"))


def span_of(path: Path) -> tuple[int, int]:
    """(start, stop) of the examples that a part is about, from the name of its file."""
    start, _, stop = path.stem.partition("-")
    return int(start), int(stop)


def shard_key(slug: str, shard: int) -> str:
    """The key of a shard; slug: ``view.slug(attack)``, or ``view.originals``."""
    return f"{slug}/{shard:05d}"


def image_file(key: str) -> str:
    """Where an audit keeps the images of a unit, below its directory."""
    return f"images/{key}.safetensors"


def image_place(directory: Path, slug: str, position: int, size: int) -> tuple[str, int]:
    """The file that holds the image of an example, below the directory, and the position of its first.

    size: of the shards. It is that of the shard, or of a part of it as long as there is no more.
    """
    key = shard_key(slug, position // size)
    whole = image_file(key)
    if not (directory / whole).exists():
        for path in (directory / whole).with_suffix("").glob("*.safetensors"):
            start, stop = span_of(path)
            if start <= position < stop:
                return f"{whole.removesuffix('.safetensors')}/{path.name}", start
    return whole, position // size * size


def pixels_of(stored: torch.Tensor) -> Images:
    """float32 in ``[0, 1]`` of images as a file holds them."""
    return stored.float() / 255 if stored.dtype == torch.uint8 else stored


def damaged_images(directory: Path, manifest: Manifest, shown: Collection[tuple[str, int]]) -> list[Path]:
    """Files that are missing or not what the records say: all are held against their size, those shown against their
    content too.

    shown: (slug, position) of adversarial images that are about to be shown beside their originals.
    """
    stamps: dict[str, Stamp] = {}
    for path in record_files(directory, manifest):
        stamps |= seal_of(pq.read_schema(pa.BufferReader(content_of(path)))).files
    originals = {view.record.slug: view.originals for view in manifest.views()}
    looked_at = {
        image_place(directory, folder, position, manifest.shard_size)[0]
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
        name, start = image_place(directory, slug, position, view.manifest.shard_size)
        try:
            stored = load(content_of(directory / name))
        except (OSError, SafetensorError):
            raise LookupError(f"{directory / name} is not there, or damaged") from None
        row = position - start
        if "rows" in stored:
            row = _index(stored["rows"].tolist(), row)
        out.append(pixels_of(stored["images"][row]))
    return torch.stack(out) if out else torch.empty(0, *view.image_shape)


def stored_images(directory: Path, slug: str, view: View, positions: Collection[int]) -> tuple[Images, list[int]]:
    """What is kept of the images at some positions, ``[n, C, H, W]``, and the positions of those, in order.

    uint8 where every file of them is, otherwise float32 in ``[0, 1]``; slug: as for ``read_images``. The files must be
    whole: see ``damaged_images``.
    """
    size, wanted = view.manifest.shard_size, set(positions)
    images, places = [torch.empty(0, *view.image_shape, dtype=torch.uint8)], []
    files = {image_place(directory, slug, position, size): None for position in sorted(wanted)}
    for name, start in files:
        stored = load(content_of(directory / name))
        kept = stored["rows"].tolist() if "rows" in stored else range(len(stored["images"]))
        rows = [row for row, kept_row in enumerate(kept) if start + kept_row in wanted]
        images.append(stored["images"][rows])
        places += [start + kept[row] for row in rows]
    if any(one.dtype != torch.uint8 for one in images[1:]):
        images = [pixels_of(one) for one in images]
    return torch.cat(images), places


def _index(rows: list[int], row: int) -> int:
    if row not in rows:
        raise LookupError(f"row {row} is not kept")
    return rows.index(row)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
