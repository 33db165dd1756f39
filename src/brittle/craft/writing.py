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
from brittle.craft.page import comparison_page, matrix_page
from brittle.craft.presets import Way
from brittle.craft.sheet import comparison
from brittle.errors import BrittleError
from brittle.pages.pictures import noise_picture, write_png

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
    crafters: Sequence[Crafter],
    photographs: Sequence[Photograph],
    wishes: Sequence[str],
    *,
    settings: dict[str, Any] | None = None,
    on_done: OnDone | None = None,
) -> list[Crafted]:
    """Crafts every photograph for every wish in every way, and writes to the directory ``out``, new or empty.

    crafters: of the same network and seed, with different ways. Of one photograph, wish and way: perturbed.png,
    noise.png, comparison.png, craft.json. Of several: a directory with those for each, ``photograph/wish``, below one
    for each way if there are several ways, and index.html and craft.json above them: then a comparison of the ways,
    else a matrix. A directory is there whole or not at all. settings: what else craft.json shall say of how to repeat
    it. on_done: told of each as it is done. BrittleError before anything is written where a wish cannot come true.
    """
    check_out(out)
    aims = [crafters[0].aim(photograph, wishes) for photograph in photographs]
    single = len(photographs) == len(wishes) == len(crafters) == 1
    about = _about(crafters[0]) | (settings or {})
    taken: set[Path] = set()
    done: list[tuple[Way, Crafted]] = []
    try:
        for photograph, wanted in zip(photographs, aims, strict=True):
            for crafter in crafters:
                above = out / _slug(crafter.way.name) if len(crafters) > 1 else out
                for crafted, png in crafter.craft(photograph, wanted):
                    named = above / _slug(Path(photograph.name).stem) / _slug(crafted.wish)
                    how = about | {"attack": _config(crafter.way), "photograph_sha256": photograph.sha256}
                    _write(out if single else _free(named, taken), crafted, png, how)
                    done.append((crafter.way, crafted))
                    if on_done is not None:
                        on_done(crafted)
        if not single:
            ways = {"attacks": {crafter.way.name: _config(crafter.way) for crafter in crafters}}
            (out / "craft.json").write_text(
                _text(about | ways | {"crafted": [_numbers(one) for _, one in done]}), encoding="utf-8"
            )
            (out / "index.html").write_text(_page(done, compared=len(crafters) > 1), encoding="utf-8")
    except OSError as error:
        raise BrittleError(f"cannot write to {str(out)!r}: {error.strerror}") from None
    return [crafted for _, crafted in done]


def _page(done: Sequence[tuple[Way, Crafted]], *, compared: bool) -> str:
    if compared:
        return comparison_page([(*way.parts, crafted) for way, crafted in done])
    return matrix_page([crafted for _, crafted in done])


def _config(way: Way) -> dict[str, Any]:
    return {"name": entry_of(way.attack).name, **config_of(way.attack)}


def _about(crafter: Crafter) -> dict[str, Any]:
    """Everything that is needed to repeat it, beside the photograph and the wish."""
    classifier = crafter.classifier
    return {
        "brittle": version("brittle"),
        "torch": torch.__version__,
        "model": classifier.name,
        "model_fingerprint": classifier.fingerprint,
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
