"""What is written down of a crafted result: JSON for people, a record, and where its pictures are."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from brittle.catalog import config_of, entry_of
from brittle.crafting.crafted import Crafted
from brittle.records import Manifest
from brittle.studies.crafter import Aim
from brittle.studies.photographs import Photograph
from brittle.studies.ways import Way


def repeated(manifest: Manifest) -> dict[str, Any]:
    """Everything that is needed to repeat it, beside the photograph and the wish."""
    (model,) = manifest.models
    return {
        "brittle": manifest.versions["brittle"],
        "torch": manifest.versions["torch"],
        "model": model.name,
        "model_fingerprint": model.fingerprint,
        "confidence_wanted": manifest.settings["confidence"],
        "seed": manifest.seed,
        "command": manifest.command,
    }


def numbers_of(crafted: Crafted) -> dict[str, Any]:
    """A result as plain JSON values, without its pictures."""
    before, after = ([{"class": name, "probability": p} for name, p in top] for top in (crafted.before, crafted.after))
    return {
        "photograph": crafted.photo,
        "wish": crafted.wish,
        "by": crafted.attack,
        "target": crafted.target,
        "target_name": crafted.target_name,
        "reached": crafted.reached,
        "confidence": crafted.confidence,
        "before": before,
        "after": after,
        "visibility": crafted.visibility._asdict(),
        "steps": crafted.steps,
        "forward_passes": crafted.passes,
        "seconds": round(crafted.seconds, 3),
    }


def text_of(values: dict[str, Any]) -> str:
    """JSON for people."""
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def row_of(
    one: Crafted, photograph: Photograph, position: int, wish: int, folder: str, amplification: int
) -> dict[str, Any]:
    """A result as a record."""
    numbers = numbers_of(one)
    return {
        **{key: numbers[key] for key in ("photograph", "target", "target_name", "reached", "confidence", "steps")},
        "before": numbers["before"],
        "after": numbers["after"],
        **one.visibility._asdict(),
        "photograph_sha256": photograph.sha256,
        "position": position,
        "attack": one.attack,
        "goal": one.wish,
        "wish": wish,
        "label": one.label_before,
        "wanted": one.wanted,
        "claimed": one.claimed,
        "fooled": one.fooled,
        "noise_amplification": amplification,
        "forwards": one.passes,
        "backwards": one.backwards,
        "seconds": one.seconds,
        "flags": list(one.flags),
        "folder": folder,
    }


def config_of_way(way: Way) -> dict[str, Any]:
    """An attack with every setting, as JSON."""
    return {"name": entry_of(way.attack).name, **config_of(way.attack)}


def folders_of(
    photographs: Sequence[Photograph], ways: Sequence[Way], wishes: Sequence[str], aims: Sequence[Sequence[Aim]]
) -> dict[tuple[int, int, int], str]:
    """By photograph, way and wish; a number behind those of the same name; none for a single result."""
    folders, taken = dict[tuple[int, int, int], str](), set[str]()
    single = len(photographs) == len(wishes) == len(ways) == 1
    for number, photograph in enumerate(photographs):
        for way, one in enumerate(ways):
            above = f"{_slug(one.name)}/" if len(ways) > 1 else ""
            free = [aim.target is None for aim in aims[number]]
            for wish in sorted(range(len(wishes)), key=free.__getitem__):
                named = f"{above}{_slug(Path(photograph.name).stem)}/{_slug(wishes[wish])}"
                folders[number, way, wish] = "" if single else _free(named, taken)
    return folders


def _slug(text: str) -> str:
    """A name that any file system takes."""
    return re.sub(r"[^a-z0-9]+", "-", text.casefold()).strip("-")[:60] or "unnamed"


def _free(place: str, taken: set[str]) -> str:
    """The place, or with a number behind it if another result has it."""
    number, free = 1, place
    while free in taken:
        number += 1
        free = f"{place}-{number}"
    taken.add(free)
    return free
