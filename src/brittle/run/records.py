"""The records of a run: their schema, and reading a run directory, all that passes from running to reporting.

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

import hashlib
import json
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file

from brittle.run.seals import Stamp, content_digest, is_intact, seal_of
from brittle.types import BrittleError, Images, did_you_mean

SCHEMA_VERSION = 2
_SLUG = 100
_AGAIN = "the same audit again makes it anew"

Kept: TypeAlias = Literal["all", "fooled", "8bit", "none"]
"""What a run keeps of its adversarial images: each as it was graded, only those that fooled, each rounded to 8 bits, or
no image at all, not even the originals."""

RECORD = pa.schema(
    [
        pa.field("attack", pa.string(), nullable=False),  # label of the attack, as in the manifest
        pa.field("example", pa.string(), nullable=False),  # the example's id
        pa.field("position", pa.int64(), nullable=False),  # its place in the data of this run
        pa.field("goal", pa.string(), nullable=False),  # "untargeted" or "targeted"
        pa.field("label", pa.int64(), nullable=False),  # true class (or own prediction for unlabelled data)
        pa.field("target", pa.int64()),  # class to reach; null when untargeted
        pa.field("reject", pa.int64()),  # class by which the network refuses to answer; null: none
        pa.field("clean_prediction", pa.int64(), nullable=False),
        pa.field("clean_confidence", pa.float32(), nullable=False),  # softmax probability of clean_prediction
        pa.field(
            "adversarial_prediction", pa.int64(), nullable=False
        ),  # fresh forward pass, before the image is stored
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


class Probe(BaseModel):
    """The network's logits on a few fixed images: a run is resumed by the same function only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: int
    logits: str  # float32 [N, classes] in base64: on four synthetic images, then on the first few of the data
    noise: float  # what two passes of this network over the same images differ by


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
    reject: int | None = None  # class by which the network refuses to answer
    attacks: list[AttackSpec]
    model: str  # spec or class name, for people
    model_fingerprint: str  # sha256 over weights, normalisation and architecture text
    probe: Probe
    data: str  # spec, for people
    data_fingerprint: str
    labelled: bool  # False: labels are the classifier's own predictions
    examples: int
    shard_size: int
    image_shape: tuple[int, int, int]  # C, H, W
    images: Kept
    class_names: list[str]
    device: str
    versions: dict[str, str]  # brittle, python, torch, platform, git commit where known
    options: dict[str, Any]  # output-neutral options, such as the batch size
    flags: list[FlagRecord]  # preflight


def slugs_of(labels: Sequence[str]) -> list[str]:
    """Folder names for the labels of a run's attacks: ``fgsm(eps=0.01)`` -> ``fgsm-eps-0.01``.

    A label beyond 100 characters, which a file system may refuse, and labels that differ only in punctuation get the
    beginning of their hash behind the beginning of their name: different labels, different folders.
    """
    plain = [re.sub(r"[^a-z0-9.]+", "-", label.lower()).strip("-") for label in labels]
    return [
        f"{slug[:_SLUG]}-{hashlib.sha256(label.encode()).hexdigest()[:10]}"
        if len(label) > _SLUG or len({one for one, other in zip(labels, plain, strict=True) if other == slug}) > 1
        else slug
        for label, slug in zip(labels, plain, strict=True)
    ]


def kept_of(text: str) -> Kept:
    """What to keep of the images, checked."""
    if text not in get_args(Kept):
        raise BrittleError(
            f"expected images as {', '.join(get_args(Kept)[:-1])} or none, got {text!r}"
            f"{did_you_mean(text, get_args(Kept))}"
        )
    return text  # type: ignore[return-value]


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
