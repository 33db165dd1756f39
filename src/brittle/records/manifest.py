"""The manifest: everything that is needed to repeat a run and to trust it."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, final, get_args

import pandas as pd
from pydantic import BaseModel, ConfigDict

from brittle.errors import BrittleError, did_you_mean
from brittle.records.rows import rows_where
from brittle.types import ACCESSES, Access

_SLUG = 100

Kept: TypeAlias = Literal["all", "fooled", "8bit", "none"]
"""What a run keeps of its adversarial images: each as it was graded, only those that fooled, each rounded to 8 bits, or
no image at all, not even the originals."""


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AttackSpec(_Plain):
    """One attack of a run, completely specified."""

    label: str  # unique in the run: "deepfool(norm=linf)"
    name: str  # registered name: "deepfool"
    slug: str  # folder name
    kind: str  # "budget", "minimal" or another of the catalog's
    norm: str  # the norm it works in: "l2"
    access: Access = "decision"  # the most that it asks a classifier for
    eps: float | None = None  # of a budget attack
    paper: str
    config: dict[str, Any]  # every field, defaults included


class Probe(_Plain):
    """The network's logits on a few fixed images: a run is resumed by the same function only."""

    classes: int
    logits: str  # float32 [N, classes] in base64: on four synthetic images, then on the first few of the data
    noise: float  # what two passes of this network over the same images differ by


class FlagRecord(_Plain):
    """A preflight flag as stored."""

    code: str
    message: str


class ModelRecord(_Plain):
    """One classifier of a run, and the data as it sees them."""

    name: str  # unique in the run: what records say
    slug: str  # folder name
    fingerprint: str  # sha256 over weights, normalisation and architecture text
    probe: Probe
    class_names: list[str]
    access: Access = "gradient"  # the most that it gives to attacks
    trained_on: str | None = None  # what its training images are called; the same name, the same images
    reject: int | None = None  # class by which the network refuses to answer
    defends: str | None = None  # of one behind defences: the name of the same model without
    defences: list[str] = []  # their labels, in the order in which an image meets them
    passes: int = 1  # of the model without, for one answer
    fitted_on: str | None = None  # clean images that its defences have seen, and their fingerprint
    image_shape: tuple[int, int, int]  # C, H, W
    data_fingerprint: str  # with labels counted as this network counts its classes
    device: str
    precision: str = "fp32"  # what attacks have seen it multiply; but for minimal ones, and grades
    batch_size: int  # without effect on results
    flags: list[FlagRecord] = []  # preflight


class Manifest(_Plain):
    """Everything needed to repeat a run of any study and to trust it. A study leaves empty what it has not."""

    schema_version: int
    study: str  # registered name: "audit"
    created: str  # ISO 8601, UTC
    command: str | None  # shell command that made the run; None from Python
    spec: dict[str, Any] | None  # what a TOML file says; None where live objects were given
    seed: int
    models: list[ModelRecord]
    goals: list[str] = []  # "untargeted", "least-likely", ..., or a class
    attacks: list[AttackSpec] = []
    data: str  # spec, for people
    labelled: bool = True  # False: labels are the classifier's own predictions
    examples: int
    shard_size: int
    images: Kept = "none"
    transfer: dict[str, list[float]] | None = None  # changes graded on the other models, also at these sizes, by norm
    levels: int | None = None  # 256: every attack ended on what a file of 8 bits can hold
    settings: dict[str, Any] = {}  # of this kind of study
    versions: dict[str, str]  # brittle, python, torch, platform, git commit where known

    def views(self) -> "Iterator[View]":
        """What the run has of each model and goal."""
        for model in self.models:
            for goal in self.goals or ["untargeted"]:
                yield View(self, model, goal)


@final
@dataclass(frozen=True, slots=True)
class View:
    """A run as one of its models under one of its goals sees it."""

    manifest: Manifest
    record: ModelRecord
    goal: str

    @property
    def name(self) -> str:
        """The model; with several goals, and the goal."""
        several = len(self.manifest.goals) > 1
        return f"{self.record.name}, {self.goal}" if several else self.record.name

    def of(self, records: pd.DataFrame) -> pd.DataFrame:
        """The rows that are about this model and goal."""
        return rows_where(records, (records["model"] == self.model) & (records["goal"] == self.goal))

    @property
    def model(self) -> str:
        return self.record.name

    @property
    def model_fingerprint(self) -> str:
        return self.record.fingerprint

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.record.image_shape

    @property
    def class_names(self) -> list[str]:
        return self.record.class_names

    def class_name(self, index: int) -> str:
        """The name of a class, or its number where it has none."""
        names = self.record.class_names
        return names[index] if 0 <= index < len(names) else f"class {index}"

    @property
    def flags(self) -> list[FlagRecord]:
        return self.record.flags

    @property
    def device(self) -> str:
        return self.record.device

    @property
    def data_fingerprint(self) -> str:
        return self.record.data_fingerprint

    @property
    def attacks(self) -> list[AttackSpec]:
        """Those that the model gives enough for: all, but in a run with transfer."""
        return [spec for spec in self.manifest.attacks if takes(self.record, spec)]

    @property
    def examples(self) -> int:
        return self.manifest.examples

    @property
    def labelled(self) -> bool:
        return self.manifest.labelled

    @property
    def data(self) -> str:
        return self.manifest.data

    @property
    def images(self) -> Kept:
        return self.manifest.images

    @property
    def levels(self) -> int | None:
        return self.manifest.levels

    @property
    def schema_version(self) -> int:
        return self.manifest.schema_version

    @property
    def seed(self) -> int:
        return self.manifest.seed

    @property
    def created(self) -> str:
        return self.manifest.created

    @property
    def command(self) -> str | None:
        return self.manifest.command

    @property
    def versions(self) -> dict[str, str]:
        return self.manifest.versions

    def slug(self, attack: AttackSpec) -> str:
        """The folder of an attack's records, and of its images, below ``records`` and ``images``."""
        goals = self.manifest.goals or [self.goal]
        return f"{self.record.slug}/{slugs_of(goals)[goals.index(self.goal)]}/{attack.slug}"

    @property
    def originals(self) -> str:
        """The folder of the originals below ``images``."""
        return f"{self.record.slug}/{ORIGINALS}"


def takes(model: ModelRecord, attack: AttackSpec) -> bool:
    """Whether a model gives what an attack asks for."""
    return ACCESSES.index(attack.access) <= ACCESSES.index(model.access)


UNTARGETED = "untargeted"
ORIGINALS = "clean"


def slugs_of(labels: Sequence[str]) -> list[str]:
    """Folder names for labels: ``fgsm(eps=0.01)`` -> ``fgsm-eps-0.01``.

    A label beyond 100 characters, which a file system may refuse, and labels that differ only in punctuation get the
    beginning of their hash behind the beginning of their name: different labels, different folders. None of them ends
    as a file of records does, as a label may that is a file's name.
    """
    plain = [re.sub(r"[^a-z0-9.]+", "-", label.lower()).strip("-.") or "unnamed" for label in labels]
    plain = [re.sub(r"\.(parquet|safetensors)$", r"-\1", slug) for slug in plain]
    return [
        f"{slug[:_SLUG]}-{hashlib.sha256(label.encode('utf-8', 'surrogatepass')).hexdigest()[:10]}"
        if len(label) > _SLUG or len({one for one, other in zip(labels, plain, strict=True) if other == slug}) > 1
        else slug
        for label, slug in zip(labels, plain, strict=True)
    ]


def kept_of(text: str) -> Kept:
    """What to keep of the images, checked."""
    if text not in get_args(Kept):
        raise BrittleError(
            f"expected images as {', '.join(get_args(Kept)[:-1])} or none, got {text!r}"
            f"{did_you_mean(str(text), get_args(Kept))}"
        )
    return text  # type: ignore[return-value]
