"""What crafting leaves behind: a PNG to keep, pictures to look at, numbers, and a page where there are several."""

import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from brittle.catalog import config_of, entry_of
from brittle.craft.crafted import Crafted
from brittle.craft.crafting import Crafter, Photograph
from brittle.craft.page import matrix_page
from brittle.craft.pictures import comparison, noise_picture, write_png
from brittle.types import BrittleError

OnDone = Callable[[Crafted], None]


def check_out(out: Path) -> None:
    """Refuses, before any work, a place that cannot be written to or has something in it."""
    try:
        if out.is_dir():
            if any(out.iterdir()):
                raise BrittleError(f"{str(out)!r} is not empty; choose another --out, or remove it")
            writable = out
        elif out.exists() or out.is_symlink():
            raise BrittleError(f"expected a directory for --out, got the file {str(out)!r}")
        else:
            writable = next(parent for parent in out.absolute().parents if parent.exists())
        if not writable.is_dir() or not os.access(writable, os.W_OK | os.X_OK):
            raise BrittleError(
                f"cannot write to {str(out)!r}: {str(writable)!r} is no directory that may be written to"
            )
    except OSError as error:
        raise BrittleError(f"cannot write to {str(out)!r}: {error.strerror}") from None


def craft_to(
    out: Path,
    crafter: Crafter,
    photographs: Sequence[Photograph],
    wishes: Sequence[str],
    *,
    settings: dict[str, Any] | None = None,
    on_done: OnDone | None = None,
) -> list[Crafted]:
    """Crafts every photograph for every wish, and writes to the directory ``out``, which must be new or empty.

    Of one photograph and one wish: perturbed.png, noise.png, comparison.png, craft.json. Of several: a directory with
    those for each, ``photograph/wish``, and index.html and craft.json above them. A directory is there whole or not at
    all. settings: what else craft.json shall say of how to repeat it. on_done: told of each as it is done.
    Raises BrittleError before anything is written where a wish cannot come true.
    """
    check_out(out)
    aims = [crafter.aim(photograph, wishes) for photograph in photographs]
    single = len(photographs) == len(wishes) == 1
    about = _about(crafter) | (settings or {})
    taken: set[Path] = set()
    done = []
    try:
        for photograph, wanted in zip(photographs, aims, strict=True):
            for crafted, png in crafter.craft(photograph, wanted):
                place = out if single else _free(out / _slug(Path(photograph.name).stem) / _slug(crafted.wish), taken)
                _write(place, crafted, png, about | {"photograph_sha256": photograph.sha256})
                done.append(crafted)
                if on_done is not None:
                    on_done(crafted)
        if not single:
            (out / "craft.json").write_text(
                _text(about | {"crafted": [_numbers(one) for one in done]}), encoding="utf-8"
            )
            (out / "index.html").write_text(matrix_page(done), encoding="utf-8")
    except OSError as error:
        raise BrittleError(f"cannot write to {str(out)!r}: {error.strerror}") from None
    return done


def _about(crafter: Crafter) -> dict[str, Any]:
    """Everything that is needed to repeat it, beside the photograph and the wish."""
    classifier = crafter.classifier
    return {
        "brittle": version("brittle"),
        "torch": torch.__version__,
        "model": classifier.name,
        "model_fingerprint": classifier.fingerprint,
        "attack": {"name": entry_of(crafter.method).name, **config_of(crafter.method)},
        "confidence_wanted": crafter.confidence,
        "seed": crafter.seed,
    }


def _write(place: Path, crafted: Crafted, png: bytes, about: dict[str, Any]) -> None:
    temporary = place.with_name(f".writing-{place.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        noise, amplification = noise_picture(crafted.original, crafted.perturbed)
        (temporary / "perturbed.png").write_bytes(png)
        write_png(noise, temporary / "noise.png")
        write_png(comparison(crafted), temporary / "comparison.png")
        numbers = about | _numbers(crafted) | {"noise_amplification": amplification}
        (temporary / "craft.json").write_text(_text(numbers), encoding="utf-8")
        if place.is_dir():
            place.rmdir()  # it is empty
        os.replace(temporary, place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _numbers(crafted: Crafted) -> dict[str, Any]:
    """A result as plain JSON values, without its pictures."""
    before, after = ([{"class": name, "probability": p} for name, p in top] for top in (crafted.before, crafted.after))
    return {
        "photograph": crafted.photo,
        "wish": crafted.wish,
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


def _text(values: dict[str, Any]) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def _slug(text: str) -> str:
    """A name that any file system takes."""
    return re.sub(r"[^a-z0-9]+", "-", text.casefold()).strip("-")[:60] or "unnamed"


def _free(place: Path, taken: set[Path]) -> Path:
    """The place, or with a number behind it if another result has it."""
    number, free = 1, place
    while free in taken:
        number += 1
        free = place.with_name(f"{place.name}-{number}")
    taken.add(free)
    return free
