"""What a run is: its manifest, and when two runs are the same."""

import math
import platform
import subprocess
from collections.abc import Sequence
from datetime import datetime, timezone
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from brittle.attacks import Attack
from brittle.catalog import config_of, entry_of, held_by, label_of, traits_of
from brittle.data.examples import Examples
from brittle.errors import BrittleError, Flag
from brittle.goals import Untargeted
from brittle.models.classifier import Classifier
from brittle.records import SCHEMA_VERSION, AttackSpec, FlagRecord, Kept, Manifest, slugs_of
from brittle.run.attack import check_access, check_goal
from brittle.run.probe import change_between, take_probe

_SHARD_BYTES = 32 * 2**20
_SHARD_LEAST, _SHARD_MOST = 16, 256

# Output-neutral, so not part of what a run is: when and how it was started, the batch size (an example's result does
# not depend on its batch, which the laws test), and flags and versions, which say how but not what. The probe has a
# tolerance of its own.
_NEUTRAL = {"created", "command", "versions", "options", "flags", "model", "data", "probe"}


def plan(
    classifier: Classifier,
    examples: Examples,
    attacks: Sequence[Attack],
    *,
    seed: int,
    image_shape: tuple[int, int, int],
    images: Kept,
    flags: Sequence[Flag],
    model: str,
    command: str | None,
    shard_size: int | None,
) -> Manifest:
    """The manifest of a run to come. Raises BrittleError for no, repeated, or unsuited attacks (goal, access)."""
    if not attacks:
        raise BrittleError("expected at least one attack, got none")
    for method in attacks:
        check_goal(method, Untargeted)
        check_access(method, classifier)
    labels = [label_of(method) for method in attacks]
    for label in labels:
        if labels.count(label) > 1:
            raise BrittleError(f"expected different attacks, got {label!r} {labels.count(label)} times")
    specs = [_spec(method, slug) for method, slug in zip(attacks, slugs_of(labels), strict=True)]
    probe = take_probe(classifier, examples, image_shape)
    return Manifest(
        schema_version=SCHEMA_VERSION,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        command=command,
        seed=seed,
        goal="untargeted",
        reject=classifier.reject,
        attacks=specs,
        model=model,
        model_fingerprint=classifier.fingerprint,
        probe=probe,
        data=examples.source,
        data_fingerprint=examples.fingerprint,
        labelled=examples.labels is not None,
        examples=len(examples),
        shard_size=shard_size or _shard_size(image_shape),
        image_shape=image_shape,
        images=images,
        class_names=list(classifier.class_names or examples.class_names or (str(k) for k in range(probe.classes))),
        device=classifier.device.type,
        versions=_versions(),
        options={"batch_size": classifier.batch_size},
        flags=[FlagRecord(code=flag.code, message=flag.message) for flag in flags],
    )


def differences(stored: Manifest, wanted: Manifest, *, mended: bool = False) -> list[str]:
    """What makes two manifests different runs, one line for each field; none means that one may resume the other.

    mended: the data may have changed since.
    """
    if mended:
        wanted = wanted.model_copy(update={"data_fingerprint": stored.data_fingerprint})
    old, new = stored.model_dump(exclude=_NEUTRAL), wanted.model_dump(exclude=_NEUTRAL)
    lines = []
    for key in old:
        if old[key] == new[key]:
            continue
        if key == "attacks":
            lines.append(_attack_difference(stored.attacks, wanted.attacks))
        elif key.endswith("_fingerprint"):
            what = key.removesuffix("_fingerprint")
            lines.append(f"{what}: there {_shown(stored, what, old[key])}; now {_shown(wanted, what, new[key])}")
        else:
            there, now = (_shortened(str(side[key])) for side in (old, new))
            lines.append(f"{key.replace('_', ' ')}: there {there}; now {now}")
    if stored.model_fingerprint == wanted.model_fingerprint:
        change = change_between(stored.probe, wanted.probe, synthetic_only=mended)
        if change is not None:
            lines.append(
                "answers: with the same weights, the network's logits on a few fixed images differ by"
                f" {change:.2g} of their size: its code, or an attribute that it reads, is another"
            )
    return lines


def _attack_difference(old: Sequence[AttackSpec], new: Sequence[AttackSpec]) -> str:
    before, after = ([spec.label for spec in specs] for specs in (old, new))
    if before != after:
        return f"attacks: there {', '.join(before)}; now {', '.join(after)}"
    one, other = next((one, other) for one, other in zip(old, new, strict=True) if one != other)
    there, now = one.model_dump() | one.config, other.model_dump() | other.config
    changed = next(key for key in {**there, **now} if key != "config" and there.get(key) != now.get(key))
    return f"{changed} of {one.label}: there {there.get(changed)}; now {now.get(changed)}"


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


def _shown(manifest: Manifest, what: str, fingerprint: str) -> str:
    return f"{getattr(manifest, what)} ({fingerprint[:12]})"


def _spec(method: Any, slug: str) -> AttackSpec:
    entry, config = entry_of(method), config_of(method)
    traits = traits_of(method)
    for one in (method, *held_by(method)):
        for key, value in config_of(one).items():
            if isinstance(value, float) and not math.isfinite(value):  # no attack means it, and JSON has no word for it
                raise BrittleError(f"expected a finite {key} for {entry_of(one).name}, got {value}")
    return AttackSpec(
        label=label_of(method),
        name=entry.name,
        slug=slug,
        kind=traits.kind,
        norm=traits.norm.name,
        paper=entry.paper,
        config=config,
    )


def _shard_size(image_shape: tuple[int, int, int]) -> int:
    channels, height, width = image_shape
    return max(_SHARD_LEAST, min(_SHARD_MOST, _SHARD_BYTES // (4 * channels * height * width)))


def _versions() -> dict[str, str]:
    versions = {name: version(name) for name in ("brittle", "torch", "torchvision", "numpy")}
    versions |= {"python": platform.python_version(), "platform": platform.platform()}
    return versions | _commit()


@cache
def _commit() -> dict[str, str]:
    """The commit of brittle's own checkout, ``+changes`` where files differ from it; nothing for an installed copy."""
    here = Path(__file__)
    git = ["git", "-C", str(here.parent)]
    asked = (
        ["ls-files", "--error-unmatch", here.name],
        ["rev-parse", "--short=12", "HEAD"],
        ["status", "--porcelain", "."],
    )
    answers = []
    try:
        for question in asked:
            answer = subprocess.run([*git, *question], capture_output=True, text=True, timeout=5)
            if answer.returncode:  # no git, or an installed copy that lies within somebody else's repository
                return {}
            answers.append(answer.stdout.strip())
    except (OSError, subprocess.TimeoutExpired):
        return {}
    _, head, changes = answers
    return {"commit": head + ("+changes" if changes else "")}
