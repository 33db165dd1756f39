"""Seals: what a record shard says of itself and of its files, so that damage on disk cannot pass for results."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from brittle.places import content_of
from brittle.records.schema import SCHEMA_VERSION

_KEY, _VERSION = b"brittle_seal", b"brittle_schema"
_UNSAID = 3
"""The last version of which not every shard says that it is of it."""


class Stamp(BaseModel):
    """What a file is known by."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    sha256: str


class Seal(BaseModel):
    """What a record shard says, in the metadata of its schema: of itself, its files, and what it was made from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    records: str  # sha256 over all columns
    span: tuple[int, int]  # of the examples that they are about, by position
    given: str  # sha256 of those, as they were
    files: dict[str, Stamp]  # by path below the run directory


def sealed(table: pa.Table, span: tuple[int, int], given: str, files: Mapping[str, Stamp]) -> pa.Table:
    """Records with their version, and the seal that says what they, their files, and what they were made from are."""
    seal = Seal(records=content_digest(table), span=span, given=given, files=dict(files))
    said = {_VERSION: str(SCHEMA_VERSION), _KEY: seal.model_dump_json()}
    return table.replace_schema_metadata({**(table.schema.metadata or {}), **said})


def unsealed(table: pa.Table) -> pa.Table:
    """Records without their version and seal, as they were made."""
    rest = {key: value for key, value in (table.schema.metadata or {}).items() if key not in (_KEY, _VERSION)}
    return table.replace_schema_metadata(rest or None)


def seal_of(schema: pa.Schema) -> Seal:
    """The seal of a record shard; a ValueError where it has none that can be read."""
    return Seal.model_validate_json((schema.metadata or {}).get(_KEY, b""))


def version_of(schema: pa.Schema) -> int:
    """The version of the records of a shard; a ValueError where it cannot be read."""
    return int((schema.metadata or {}).get(_VERSION, _UNSAID))


def content_digest(table: pa.Table) -> str:
    """sha256 hex over the values of all columns, however they are encoded."""
    sha = hashlib.sha256()
    for column in table.columns:
        values = column.combine_chunks().to_numpy(zero_copy_only=False)
        sha.update(json.dumps(column.to_pylist()).encode() if values.dtype.hasobject else values.tobytes())
    return sha.hexdigest()


def stamp_of(content: bytes) -> Stamp:
    """What a file of this content is known by."""
    return Stamp(size=len(content), sha256=hashlib.sha256(content).hexdigest())


def is_intact(path: Path, stamp: Stamp) -> bool:
    """Whether a file is the one that was written; its size is looked at first, its content only where that fits."""
    try:
        return path.stat().st_size == stamp.size and stamp_of(content_of(path)) == stamp
    except OSError:
        return False
