"""The records of a run: their schema, and reading a run directory, all that passes from running to reporting.

Layout of a run directory::

    manifest.json                          Manifest: everything needed to repeat the run
    records/<attack slug>/00000.parquet    one row per example, one file per shard
    images/<attack slug>/00000.safetensors "images": adversarial [n, C, H, W], rows as in the Parquet shard
    images/clean/00000.safetensors         "images": the originals
    report.html                            derived; can be deleted and rebuilt

Images are uint8 where 8 bits hold a whole shard exactly (k / 255), otherwise float32 in [0, 1].
"""

import json
import re
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.torch import load_file

from brittle.types import BrittleError, Images

SCHEMA_VERSION = 1

RECORD = pa.schema(
    [
        pa.field("attack", pa.string(), nullable=False),  # label of the attack, as in the manifest
        pa.field("example", pa.string(), nullable=False),  # the example's id
        pa.field("position", pa.int64(), nullable=False),  # its place in the data of this run
        pa.field("goal", pa.string(), nullable=False),  # "untargeted" or "targeted"
        pa.field("label", pa.int64(), nullable=False),  # true class (or own prediction for unlabelled data)
        pa.field("target", pa.int64()),  # class to reach; null when untargeted
        pa.field("clean_prediction", pa.int64(), nullable=False),
        pa.field("clean_confidence", pa.float32(), nullable=False),  # softmax probability of clean_prediction
        pa.field("adversarial_prediction", pa.int64(), nullable=False),  # fresh forward pass on the stored image
        pa.field("adversarial_confidence", pa.float32(), nullable=False),
        pa.field("clean_margin", pa.float32(), nullable=False),  # logits missing to the goal before the attack
        pa.field("adversarial_margin", pa.float32(), nullable=False),  # and after it; negative where the goal is met
        pa.field("claimed", pa.bool_(), nullable=False),  # the attack says that it met the goal
        pa.field("fooled", pa.bool_(), nullable=False),  # goal met by a fresh forward pass, inside box and budget
        pa.field("fooled_8bit", pa.bool_(), nullable=False),  # the same after rounding to 8-bit pixels
        pa.field("l0", pa.int64(), nullable=False),  # changed pixels (a pixel is all channels of a position)
        pa.field("l1", pa.float64(), nullable=False),
        pa.field("l2", pa.float64(), nullable=False),
        pa.field("linf", pa.float64(), nullable=False),
        pa.field("relative_l2", pa.float64(), nullable=False),  # l2 of the perturbation / l2 of the image
        pa.field("longer_ratio", pa.float64()),  # what a longer run leaves of the distance; null where none was made
        pa.field("steps", pa.int64(), nullable=False),
        pa.field("forwards", pa.int64(), nullable=False),
        pa.field("backwards", pa.int64(), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),  # the attack's time, shared out by passes
        pa.field("flags", pa.list_(pa.string()), nullable=False),  # codes: see docs/flags.md
    ],
    metadata={"brittle_schema": str(SCHEMA_VERSION)},
)


class AttackSpec(BaseModel):
    """One attack of a run, completely specified."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str  # unique in the run: "deepfool(norm=linf)"
    name: str  # registered name: "deepfool"
    slug: str  # folder name
    kind: Literal["budget", "minimal"]
    norm: str  # the norm it works in: "l2"
    paper: str
    config: dict[str, Any]  # every field, defaults included


class FlagRecord(BaseModel):
    """A preflight flag as stored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    message: str


class Manifest(BaseModel):
    """Everything needed to repeat a run and to trust it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int
    created: str  # ISO 8601, UTC
    command: str | None  # shell command that made the run; None from Python
    seed: int
    goal: Literal["untargeted", "targeted"]
    attacks: list[AttackSpec]
    model: str  # spec or class name, for people
    model_fingerprint: str  # sha256 over weights, normalisation and architecture text
    data: str  # spec, for people
    data_fingerprint: str
    labelled: bool  # False: labels are the classifier's own predictions
    examples: int
    shard_size: int
    image_shape: tuple[int, int, int]  # C, H, W
    class_names: list[str]
    device: str
    versions: dict[str, str]  # brittle, python, torch, platform, git commit where known
    options: dict[str, Any]  # output-neutral options, such as the batch size
    flags: list[FlagRecord]  # preflight


def slug_of(label: str) -> str:
    """A folder name for an attack label: ``fgsm(eps=0.01)`` -> ``fgsm-eps-0.01``."""
    return re.sub(r"[^a-z0-9.]+", "-", label.lower()).strip("-")


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
        raise BrittleError(f"{path} is not a manifest: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise BrittleError(f"{path} is not a manifest: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


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
    """One record shard, checked against the schema."""
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise BrittleError(f"{path} is not a record shard ({error}); delete it and run the audit again") from None
    if table.schema.remove_metadata() != RECORD.remove_metadata():
        raise BrittleError(f"{path} does not follow record schema {SCHEMA_VERSION}; delete it and run the audit again")
    return table


def read_images(directory: Path, slug: str, manifest: Manifest, positions: list[int]) -> Images:
    """Stored images (slug ``"clean"`` for the originals) at positions: float32 ``[n, C, H, W]`` in ``[0, 1]``."""
    out = []
    for position in positions:
        shard, row = divmod(position, manifest.shard_size)
        image = load_file(directory / "images" / slug / f"{shard:05d}.safetensors")["images"][row]
        out.append(image.float() / 255 if image.dtype == torch.uint8 else image)
    return torch.stack(out) if out else torch.empty(0, *manifest.image_shape)
