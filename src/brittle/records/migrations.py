"""Steps from each version of records to the next, so that a run of an older brittle is read as if this one had made it.

A manifest and every record shard say which version they are of, and each is brought here by itself: a run that an older
brittle began and this one went on with holds both. Nothing is written again until it is made again.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from brittle.errors import BrittleError
from brittle.records.schema import SCHEMA_VERSION


class Step(NamedTuple):
    """From one version to the next. Pure functions, of a manifest's JSON and of the table of a shard of any study."""

    manifest: Callable[[dict[str, Any]], dict[str, Any]] = lambda content: content
    table: Callable[[pa.Table], pa.Table] = lambda table: table


def _robust_and_stopped(table: pa.Table) -> pa.Table:
    """Of a training, how robust its network was and why it ended early were at first not written down."""
    if not {"network", "epoch", "held_out"}.issubset(table.column_names):
        return table
    if "robust" not in table.column_names:
        place = table.column_names.index("held_out_right")
        table = table.add_column(place, pa.field("robust", pa.float64()), pa.nulls(len(table), pa.float64()))
    if "stopped" not in table.column_names:
        table = table.append_column(pa.field("stopped", pa.string()), pa.nulls(len(table), pa.string()))
    return table


STEPS: Mapping[int, Step] = {3: Step(table=_robust_and_stopped)}
"""By the version that each begins with; from the oldest that is read to the last but one, without a gap."""


def manifest_now(content: Any, place: object) -> dict[str, Any]:
    """The JSON of a manifest, as this version writes it. place: for errors.

    BrittleError for a version that is newer, older than all steps, or none at all.
    """
    version = content.get("schema_version") if isinstance(content, dict) else None
    for step in _steps(version, place):
        content = step.manifest(content)
    return {**content, "schema_version": SCHEMA_VERSION}


def table_now(table: pa.Table, version: object, place: object) -> pa.Table:
    """The records of a shard, as this version writes them; its metadata, with the seal, stay. Errors as above."""
    metadata = table.schema.metadata
    for step in _steps(version, place):
        table = step.table(table)
    return table.replace_schema_metadata(metadata)


def _steps(version: object, place: object) -> list[Step]:
    if type(version) is not int or version < min(STEPS, default=SCHEMA_VERSION):
        do = "make it anew, or read it with the brittle that made it"
    elif version > SCHEMA_VERSION:
        do = "a newer one made it: pip install --upgrade brittle"
    else:
        return [STEPS[number] for number in range(version, SCHEMA_VERSION)]
    oldest = min(STEPS, default=SCHEMA_VERSION)
    raise BrittleError(
        f"{place} has schema version {version}; this brittle reads versions {oldest} to {SCHEMA_VERSION}; {do}"
    )
