"""What passes from running to reporting: schemas, manifest, and reading a run directory. Nothing here writes."""

from brittle.records.manifest import AttackSpec, FlagRecord, Kept, Manifest, Probe, kept_of, slugs_of
from brittle.records.reading import (
    damaged_images,
    read_images,
    read_manifest,
    read_records,
    read_shard,
    readable_shard,
    shard_path,
)
from brittle.records.schema import RECORD, SCHEMA_VERSION

__all__ = [
    "RECORD",
    "SCHEMA_VERSION",
    "AttackSpec",
    "FlagRecord",
    "Kept",
    "Manifest",
    "Probe",
    "damaged_images",
    "kept_of",
    "read_images",
    "read_manifest",
    "read_records",
    "read_shard",
    "readable_shard",
    "shard_path",
    "slugs_of",
]
