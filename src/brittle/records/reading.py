"""Reading a run directory, all that passes from running to reporting.

Layout of a run directory::

    manifest.json                          Manifest: everything needed to repeat the run
    records/<attack slug>/00000.parquet    one row per example, one file per shard, with its Seal
    images/<attack slug>/00000.safetensors "images": adversarial [n, C, H, W], rows as in the Parquet shard; where only
                                           some are kept, "rows": [n], their places in it
    images/clean/00000.safetensors         "images": the originals
    report.html                            derived; can be deleted and rebuilt

Images are uint8 where 8 bits hold a whole shard exactly (k / 255), otherwise float32 in [0, 1]. How many of them are
kept, the manifest says: ``Kept``.
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file

from brittle.errors import BrittleError
from brittle.records.manifest import Manifest
from brittle.records.schema import RECORD, SCHEMA_VERSION
from brittle.records.seals import Stamp, content_digest, is_intact, seal_of
from brittle.types import Images

_AGAIN = "the same audit again makes it anew"


def read_manifest(directory: Path) -> Manifest:
    """The manifest of a run directory; BrittleError where there is none, or one of another schema."""
    path = directory / "manifest.json"
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
        f"{path} is not a manifest: {reason}; restore it from a copy, or delete {str(directory)!r} and run the audit"
        " again: without it nothing says what the records are of"
    )


def read_records(directory: Path, manifest: Manifest | None = None) -> pd.DataFrame:
    """All records of a run directory, one row per example and attack, ordered by attack and position.

    A run that was interrupted gives the rows that exist; count them against ``manifest.examples``.
    """
    manifest = manifest or read_manifest(directory)
    tables = []
    for attack in manifest.attacks:
        for path in sorted((directory / "records" / attack.slug).glob("*.parquet")):
            tables.append(read_shard(path))
    records: pd.DataFrame = (pa.concat_tables(tables) if tables else RECORD.empty_table()).to_pandas()
    return records


def read_shard(path: Path) -> pa.Table:
    """One record shard, checked against the schema and against its own seal."""
    try:
        table = pq.read_table(path)
        sealed = seal_of(table.schema).records == content_digest(table)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BrittleError(f"{path} is not a record shard ({_line(error)}); {_AGAIN}") from None
    if table.schema.remove_metadata() != RECORD.remove_metadata():
        raise BrittleError(f"{path} does not follow record schema {SCHEMA_VERSION}; {_AGAIN}")
    if not sealed:
        raise BrittleError(f"{path} is not a record shard (its content is not what was written); {_AGAIN}")
    return table


def readable_shard(path: Path) -> pa.Table | None:
    """One record shard; None where there is none, or a damaged one, which is as good as none."""
    try:
        return read_shard(path) if path.exists() else None
    except BrittleError:
        return None


def shard_path(directory: Path, kind: Literal["records", "images"], slug: str, shard: int) -> Path:
    """Where a shard lives: ``records/<slug>/00000.parquet`` or ``images/<slug>/00000.safetensors``."""
    suffix = "parquet" if kind == "records" else "safetensors"
    return directory / kind / slug / f"{shard:05d}.{suffix}"


def damaged_images(directory: Path, manifest: Manifest, shown: Collection[tuple[str, int]]) -> list[Path]:
    """Image files that are missing or not what the records say: all are held against their size, those shown against
    their content too.

    shown: (slug, position) of adversarial images that are about to be shown beside their originals.
    """
    stamps: dict[Path, Stamp] = {}
    for spec in manifest.attacks:
        for path in (directory / "records" / spec.slug).glob("*.parquet"):
            seal = seal_of(pq.read_schema(path))
            for slug, stamp in (("clean", seal.clean), (spec.slug, seal.adversarial)):
                if stamp is not None and manifest.images != "none":
                    stamps[shard_path(directory, "images", slug, int(path.stem))] = stamp
    looked_at = {
        shard_path(directory, "images", slug, position // manifest.shard_size)
        for attack, position in shown
        for slug in (attack, "clean")
    }
    return sorted(path for path, stamp in stamps.items() if not _fits(path, stamp, by_content=path in looked_at))


def _fits(path: Path, stamp: Stamp, *, by_content: bool) -> bool:
    try:
        return is_intact(path, stamp) if by_content else path.stat().st_size == stamp.size
    except OSError:
        return False


def read_images(directory: Path, slug: str, manifest: Manifest, positions: list[int]) -> Images:
    """Stored images (slug ``"clean"`` for the originals) at positions: float32 ``[n, C, H, W]`` in ``[0, 1]``.

    Raises LookupError for one that is not stored, or not whole.
    """
    out = []
    for position in positions:
        shard, row = divmod(position, manifest.shard_size)
        path = shard_path(directory, "images", slug, shard)
        try:
            stored = load_file(path)
        except (OSError, SafetensorError):
            raise LookupError(f"{path} is not there, or damaged") from None
        if "rows" in stored:
            row = _index(stored["rows"].tolist(), row)
        image = stored["images"][row]
        out.append(image.float() / 255 if image.dtype == torch.uint8 else image)
    return torch.stack(out) if out else torch.empty(0, *manifest.image_shape)


def _index(rows: list[int], row: int) -> int:
    if row not in rows:
        raise LookupError(f"row {row} is not kept")
    return rows.index(row)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
