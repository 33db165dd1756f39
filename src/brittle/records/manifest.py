"""The manifest: everything that is needed to repeat a run and to trust it."""

import hashlib
import re
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict

from brittle.errors import BrittleError, did_you_mean

_SLUG = 100

Kept: TypeAlias = Literal["all", "fooled", "8bit", "none"]
"""What a run keeps of its adversarial images: each as it was graded, only those that fooled, each rounded to 8 bits, or
no image at all, not even the originals."""


class AttackSpec(BaseModel):
    """One attack of a run, completely specified."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str  # unique in the run: "deepfool(norm=linf)"
    name: str  # registered name: "deepfool"
    slug: str  # folder name
    kind: Literal["budget", "minimal", "faint"]
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
