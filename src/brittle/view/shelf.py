"""The runs below some folders, by number: what a browser may ask for has no paths in it."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from brittle.errors import BrittleError
from brittle.measure.ledger import Ledger
from brittle.records import MANIFEST, Manifest, View, read_manifest
from brittle.repeat import LEDGER, PAGE

PAGES = ("report.html", "index.html")
SHOWN = {".html": "text/html", ".png": "image/png", ".jpg": "image/jpeg", ".gif": "image/gif", ".svg": "image/svg+xml"}
"""Files of a run that a browser may have, and what they are; no others."""


@final
@dataclass(frozen=True, slots=True)
class Shelved:
    """A run. name: its path below the folder that it was found in. written: when its manifest was, in nanoseconds."""

    number: int
    name: str
    place: Path
    manifest: Manifest
    written: int

    @property
    def page(self) -> str | None:
        """The file of its page, below it."""
        return next((name for name in PAGES if (self.place / name).is_file()), None)

    def stamp(self) -> tuple[int, ...]:
        """Another where a run has grown since: when its manifest, and the folders of its records, were written to."""
        folders = (Path(folder) for folder, _, _ in os.walk(self.place / "records"))
        return tuple(one.stat().st_mtime_ns for one in (self.place / MANIFEST, *folders) if one.exists())

    def view(self, model: int, goal: int) -> View:
        """What it has of a model and a goal, by their places; LookupError where there is none."""
        goals = self.manifest.goals
        if not (0 <= model < len(self.manifest.models) and 0 <= goal < len(goals)):
            raise LookupError("no such model or goal")
        return View(self.manifest, self.manifest.models[model], goals[goal])

    def told(self) -> dict[str, Any]:
        """What a list says of it."""
        one = self.manifest
        return {
            "run": self.number,
            "name": self.name,
            "study": one.study,
            "models": [model.name for model in one.models],
            "goals": one.goals,
            "attacks": [attack.label for attack in one.attacks],
            "examples": one.examples,
            "data": one.data,
            "created": one.created,
            "page": self.page,
            "images": one.images,
            "tries": one.study == "audit" and one.spec is not None and one.images != "none",
        }


@final
@dataclass(frozen=True, slots=True)
class Study:
    """A published experiment, repeated. ledger: its claims with their verdicts."""

    number: int
    name: str
    place: Path
    ledger: Ledger

    def told(self) -> dict[str, Any]:
        """What a list says of it."""
        return {
            "number": self.number,
            "name": self.name,
            "title": self.ledger.title,
            "scale": self.ledger.scale,
            "verdicts": self.ledger.counts,
            "doubts": len(self.ledger.doubts),
            "page": PAGE if (self.place / PAGE).is_file() else None,
        }


def page_file(folder: Path, path: str) -> tuple[Path, str]:
    """A file of the pages in a folder and its kind; LookupError for any other, and for whatever lies outside of it."""
    try:
        place = (folder / path).resolve()
        kind = SHOWN.get(place.suffix.lower())
        if kind is not None and place.is_relative_to(folder.resolve()) and place.is_file():
            return place, kind
    except (OSError, ValueError):  # no name that a file could have
        pass
    raise LookupError("no such file")


def studies_in(folders: Sequence[Path]) -> list[Study]:
    """Published experiments that were repeated below some folders, as far as their claims have been judged."""
    found: list[Study] = []
    for place, name in _named(folders, LEDGER):
        try:
            ledger = Ledger.model_validate_json((place / LEDGER).read_bytes())
        except (ValueError, OSError):
            continue
        found.append(Study(len(found), name, place, ledger))
    return found


def shelved(folders: Sequence[Path]) -> list[Shelved]:
    """All of them, by name; BrittleError for a folder that is none, and where there is no run at all."""
    for folder in folders:
        if not folder.is_dir():
            raise BrittleError(f"expected a folder with runs, got {str(folder)!r}")
    found = shelved_anew(folders, ())
    if not found:
        raise BrittleError(f"expected runs below {', '.join(map(str, folders))}, got none")
    return found


def shelved_anew(folders: Sequence[Path], known: Sequence[Shelved]) -> list[Shelved]:
    """The known ones as they are now, under their numbers, and after them those that have come since.

    A manifest is read again only where it has been written to.
    """
    there = {one.place: one for one in known}
    found = {one.number: one for one in known}
    for place, name in _named(folders, MANIFEST):
        old = there.get(place)
        if old is None or old.name != name or old.written != _written(place):
            one = shelf_of(place, name, len(found) if old is None else old.number)
            found |= {one.number: one} if one else {}
    return [found[number] for number in sorted(found)]


def shelf_of(place: Path, name: str, number: int) -> Shelved | None:
    """One run; None where its manifest cannot be read."""
    written = _written(place)  # before it is read: what is written meanwhile is read again
    try:
        return Shelved(number, name, place.resolve(), read_manifest(place), written)
    except (BrittleError, OSError):
        return None


def _written(place: Path) -> int:
    """0 where there is none."""
    try:
        return (place / MANIFEST).stat().st_mtime_ns
    except OSError:
        return 0


def _named(folders: Sequence[Path], file: str) -> list[tuple[Path, str]]:
    """Where there is a file of this name below some folders, each place once, and what it is called there.

    By its path below the folder; where two would be called the same, by its whole path.
    """
    names: dict[Path, str] = {}
    for folder in folders:
        for path in sorted(folder.rglob(file)):
            name = folder.resolve().name if path.parent == folder else str(path.parent.relative_to(folder))
            names.setdefault(path.parent.resolve(), name)
    count = Counter(names.values())
    return [(place, shown(name if count[name] == 1 else str(place))) for place, name in names.items()]


def shown(name: str) -> str:
    """A path as text; bytes that are none are replaced."""
    return os.fsencode(name).decode("utf-8", "replace")
