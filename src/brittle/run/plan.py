"""What a run is: the parts of its manifest, and when two runs are the same."""

import platform
import subprocess
from collections.abc import Sequence
from datetime import datetime, timezone
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from brittle.catalog import config_of, label_of, listed, traits_of
from brittle.errors import BrittleError
from brittle.records import SCHEMA_VERSION, AttackSpec, Manifest, ModelRecord, slugs_of
from brittle.run.probe import change_between

_SHARD_BYTES = 32 * 2**20
_SHARD_LEAST, _SHARD_MOST = 16, 256

# Output-neutral, so not part of what a run is: when and how it was started, and versions and flags, which say how but
# not what. Of models, the batch size (an example's result does not depend on its batch, which the laws test), and the
# probe, which has a tolerance of its own.
_NEUTRAL = {"created", "command", "spec", "versions", "models", "data"}
_NEUTRAL_OF_MODEL = {"probe", "flags", "batch_size", "slug", "access", "trained_on"}


def about(command: str | None) -> dict[str, Any]:
    """What every manifest says of when and with what it was made."""
    return {
        "schema_version": SCHEMA_VERSION,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": command,
        "versions": versions(),
    }


def attack_specs(attacks: Sequence[Any]) -> list[AttackSpec]:
    """Attacks as a manifest has them; BrittleError for none, repeated ones, and settings that are not finite."""
    if not attacks:
        raise BrittleError("expected at least one attack, got none")
    labels = [label_of(method) for method in attacks]
    for label in labels:
        if labels.count(label) > 1:
            raise BrittleError(f"expected different attacks, got {label!r} {labels.count(label)} times")
    return [_spec(method, slug) for method, slug in zip(attacks, slugs_of(labels), strict=True)]


def grown(stored: Manifest, wanted: Manifest) -> Manifest:
    """A stored run with what is wanted beside what it has: its attacks, models and goals, and then the new ones.

    What both name is as it is wanted now, so that ``differences`` tells where that is a contradiction.
    """
    attacks = {one.label: one for one in (*stored.attacks, *wanted.attacks)}
    models = {one.name: one for one in (*stored.models, *wanted.models)}
    goals = list(dict.fromkeys((*stored.goals, *wanted.goals)))
    if stored.data != wanted.data and len(models) == len(stored.models) + len(wanted.models):
        raise BrittleError(
            f"the run that is to grow is of other data ({stored.data}; now {wanted.data}), as far as its name tells;"
            f" choose another --out directory, or name its model {stored.models[0].name} again"
        )
    _check_more(stored, wanted)
    whole = (len(attacks), len(models), len(goals)) == (len(wanted.attacks), len(wanted.models), len(wanted.goals))
    return wanted.model_copy(
        update={
            "attacks": _placed(stored.attacks, list(attacks.values())),
            "models": _placed(stored.models, list(models.values())),
            "goals": goals,
            "transfer": stored.transfer if wanted.transfer is None else wanted.transfer,
            "created": stored.created,
            "command": wanted.command if whole else _both(stored.command, wanted.command),
            "spec": _grown_spec(stored.spec, wanted.spec),
        }
    )


def _check_more(stored: Manifest, wanted: Manifest) -> None:
    """Refuses more examples for a part of a run: the rest would be left with fewer."""
    if wanted.examples <= stored.examples:
        return
    for noun, there, now in (
        ("attack", [one.label for one in stored.attacks], [one.label for one in wanted.attacks]),
        ("model", [one.name for one in stored.models], [one.name for one in wanted.models]),
        ("goal", stored.goals, wanted.goals),
    ):
        missing = [one for one in there if one not in now]
        if missing:
            raise BrittleError(
                f"the run that is to grow from {stored.examples:,} to {wanted.examples:,} examples has the {noun}"
                f" {missing[0]!r} too; name all that it has, so that all are of the same examples"
            )


def _placed(stored: Sequence[Any], now: Sequence[Any]) -> list[Any]:
    """Each with the folder that it has; a new one's is one that no other has."""
    taken = [one.slug for one in stored]
    placed = [one.model_copy(update={"slug": slug}) for one, slug in zip(now, taken, strict=False)]
    for one in now[len(taken) :]:
        slug, number = one.slug, 1
        while slug in taken:
            number += 1
            slug = f"{one.slug}-{number}"
        taken.append(slug)
        placed.append(one.model_copy(update={"slug": slug}))
    return placed


def _both(before: str | None, now: str | None) -> str | None:
    """Commands that together make a run, one a line."""
    lines = list(dict.fromkeys(line for text in (before, now) if text for line in text.splitlines()))
    return "\n".join(lines) or None


def _grown_spec(before: dict[str, Any] | None, now: dict[str, Any] | None) -> dict[str, Any] | None:
    """Both specs in one; None where one of them cannot be said."""
    if before is None or now is None:
        return None
    lists = {key for key in (*before, *now) if isinstance(before.get(key, now.get(key)), list)}
    merged = {key: [*before.get(key, [])] for key in lists}
    for key, values in merged.items():
        values += [one for one in now.get(key, []) if one not in values]
    return {**before, **now, **merged}


def differences(stored: Manifest, wanted: Manifest, *, mended: bool = False) -> list[str]:
    """What contradicts a stored run, one line for each field; none means that the other may resume it, or extend it.

    wanted: has all that the stored one has, and may have more attacks, models and goals behind it.
    mended: the data may have changed since, or be more.
    """
    old, new = stored.model_dump(exclude=_NEUTRAL), wanted.model_dump(exclude=_NEUTRAL)
    lines = []
    for key in old:
        if key == "attacks":
            lines += _attack_differences(stored.attacks, wanted.attacks)
        elif key == "transfer" and old[key] is None:
            continue  # a run may get one later
        elif key == "examples" and mended and old[key] < new[key]:
            continue
        elif old[key] != (new[key][: len(old[key])] if key == "goals" else new[key]):
            there, now = (_shortened(str(side[key])) for side in (old, new))
            lines.append(f"{key.replace('_', ' ')}: there {there}; now {now}")
    before, after = ([model.name for model in one.models] for one in (stored, wanted))
    if before != after[: len(before)]:
        return [*lines, f"models: there {', '.join(before)}; now {', '.join(after)}"]
    for one, other in zip(stored.models, wanted.models, strict=False):
        lines += _model_differences(one, other, stored.data, wanted.data, mended)
    return lines


def _model_differences(
    stored: ModelRecord, wanted: ModelRecord, data_there: str, data_now: str, mended: bool
) -> list[str]:
    old, new = stored.model_dump(exclude=_NEUTRAL_OF_MODEL), wanted.model_dump(exclude=_NEUTRAL_OF_MODEL)
    if mended:
        new["data_fingerprint"] = old["data_fingerprint"]
    lines = []
    for key in old:
        if old[key] == new[key]:
            continue
        if key == "fingerprint":
            there, now = (f"{one.name} ({one.fingerprint[:12]})" for one in (stored, wanted))
            lines.append(f"model: there {there}; now {now}")
        elif key == "data_fingerprint":
            lines.append(f"data: there {data_there} ({old[key][:12]}); now {data_now} ({new[key][:12]})")
        else:
            there, now = (_shortened(str(side[key])) for side in (old, new))
            lines.append(f"{key.replace('_', ' ')}: there {there}; now {now}")
    if stored.fingerprint == wanted.fingerprint:
        change = change_between(stored.probe, wanted.probe, synthetic_only=mended)
        if change is not None:
            lines.append(
                "answers: with the same weights, the network's logits on a few fixed images differ by"
                f" {change:.2g} of their size: its code, or an attribute that it reads, is another"
            )
    return lines


def _attack_differences(old: Sequence[AttackSpec], new: Sequence[AttackSpec]) -> list[str]:
    before, after = ([spec.label for spec in specs] for specs in (old, new))
    if before != after[: len(before)]:
        return [f"attacks: there {', '.join(before)}; now {', '.join(after)}"]
    for one, other in zip(old, new, strict=False):
        there, now = (side.model_dump(exclude={"access"}) | side.config for side in (one, other))
        changed = [key for key in {**there, **now} if key != "config" and there.get(key) != now.get(key)]
        if changed:
            return [f"{changed[0]} of {one.label}: there {there.get(changed[0])}; now {now.get(changed[0])}"]
    return []


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


def _spec(method: Any, slug: str) -> AttackSpec:
    entry, config, traits = listed(method), config_of(method), traits_of(method)
    return AttackSpec(
        label=label_of(method),
        name=entry.name,
        slug=slug,
        kind=traits.kind,
        norm=traits.norm.name,
        access=traits.access,
        eps=traits.eps,
        paper=entry.paper,
        config=config,
    )


def shard_size_of(image_shape: tuple[int, int, int]) -> int:
    """Examples of a unit of work: what fits into 32 MB."""
    channels, height, width = image_shape
    return max(_SHARD_LEAST, min(_SHARD_MOST, _SHARD_BYTES // (4 * channels * height * width)))


def versions() -> dict[str, str]:
    """Of what results may depend on."""
    found = {name: version(name) for name in ("brittle", "torch", "torchvision", "numpy")}
    found |= {"python": platform.python_version(), "platform": platform.platform()}
    return found | _commit()


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
