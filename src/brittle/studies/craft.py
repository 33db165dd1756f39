"""Crafting as a study: photographs, wishes and ways, each result as its saved file shows it."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, final

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from brittle.catalog import config_of, entry_of
from brittle.craft.crafted import Crafted
from brittle.craft.sheet import comparison
from brittle.craft.view import see
from brittle.data.examples import examples_of
from brittle.data.fit import Fit
from brittle.errors import BrittleError
from brittle.models.classifier import Classifier
from brittle.pages.pictures import noise_picture, png_with_texts
from brittle.records import CRAFTED, UNTARGETED, Manifest, ModelRecord, slugs_of
from brittle.run.attack import check_access
from brittle.run.plan import about, attack_specs
from brittle.run.probe import take_probe
from brittle.run.spec import ModelSpec, Spec
from brittle.run.study import Done, Files, Unit
from brittle.studies.crafter import Aim, Crafter, OnLook, Photograph, png_of, read_photograph
from brittle.studies.opening import opened_models
from brittle.studies.registry import register_study
from brittle.studies.ways import Way, ways_from

_AT_ONCE = 4_000_000  # pixels of the targets that are crafted together


@final
class CraftSpec(Spec):
    """What crafting is asked to do.

    targets: class names or indices, "least-likely", "next-best", "random" or
    "untargeted"; attacks: as on the command line, or presets."""

    study: Literal["craft"] = "craft"
    models: list[ModelSpec]
    photographs: list[Path]
    targets: list[str] = Field(default=[UNTARGETED], min_length=1)
    attacks: list[str] = Field(default=["craft"], min_length=1)
    confidence: float = 0.99
    seed: int = 0
    device: str = "auto"

    def open(self) -> "Crafting":
        """The study, with its model and photographs loaded."""
        ways = ways_from(self.attacks, self.confidence)
        if len(self.models) != 1:
            raise BrittleError(f"expected one model to craft for, got {len(self.models)}")
        ((name, loaded),) = opened_models(self.models, self.device).items()
        photographs = [read_photograph(path, loaded.fit) for path in self.photographs]
        return Crafting(
            loaded.classifier,
            loaded.fit,
            photographs,
            self.targets,
            ways,
            confidence=self.confidence,
            seed=self.seed,
            model=name,
            spec={"study": "craft", **self.toml()},
        )


class Place(NamedTuple):
    """Where a unit stands: its photograph and way, and whether it is about the wishes with a target."""

    photograph: int
    way: int
    targeted: bool


@final
@dataclass(frozen=True, kw_only=True)
class _Facts:
    """What is found out once, before any work: the aims of each photograph, and the folders of the results."""

    aims: list[list[Aim]]
    folders: dict[tuple[int, int, int], str]


@final
@dataclass(frozen=True)
class Crafting:
    """Every photograph for every wish in every way.

    Of one photograph, wish and way: perturbed.png, noise.png, comparison.png and craft.json in the run directory. Of
    several: a folder with those for each, ``photograph/wish``, below one for each way if there are several ways.
    confidence: at which a wish counts as come true. on_look: told after each pass how far it is, in this process only.
    """

    classifier: Classifier
    fit: Fit | None
    photographs: Sequence[Photograph]
    wishes: Sequence[str]
    ways: Sequence[Way]
    confidence: float = 0.99
    seed: int = 0
    model: str = ""
    spec: dict[str, Any] | None = None
    on_look: OnLook | None = field(default=None, compare=False)
    _facts: list[_Facts] = field(default_factory=list, compare=False, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        given = (self.classifier, self.fit, self.photographs, self.wishes, self.ways, self.confidence, self.seed)
        return Crafting, (*given, self.model, self.spec, None, self._facts)

    @property
    def name(self) -> str:
        return "craft"

    @property
    def single(self) -> bool:
        """Whether there is one result, whose pictures need no folder of their own."""
        return len(self.photographs) == len(self.wishes) == len(self.ways) == 1

    def crafter(self, way: int) -> Crafter:
        """Whoever crafts in one of the ways."""
        return Crafter(
            classifier=self.classifier,
            fit=self.fit,
            way=self.ways[way],
            confidence=self.confidence,
            seed=self.seed,
            on_look=self.on_look,
        )

    def plan(self, stored: Manifest | None, command: str | None) -> Manifest:
        """The manifest; BrittleError where a wish cannot come true, or a way asks for more than the network gives."""
        if not self.photographs:
            raise BrittleError("expected at least one photograph, got none")
        for way in self.ways:
            check_access(way.attack, self.classifier)
        aims = [self.crafter(0).aim(photograph, self.wishes) for photograph in self.photographs]
        self._facts[:] = [_Facts(aims=aims, folders=self._folders(aims))]
        specs = attack_specs([way.attack for way in self.ways])
        names = [way.name for way in self.ways]
        return Manifest(
            study=self.name,
            spec=self.spec,
            seed=self.seed,
            models=[self._record()],
            goals=list(self.wishes),
            attacks=[
                spec.model_copy(update={"label": name, "slug": slug})
                for spec, name, slug in zip(specs, names, slugs_of(names), strict=True)
            ],
            data=", ".join(photograph.name for photograph in self.photographs),
            labelled=False,
            examples=len(self.photographs),
            shard_size=1,
            images="8bit",
            settings={
                "confidence": self.confidence,
                "photographs": [photograph.sha256 for photograph in self.photographs],
            },
            **about(command),
        )

    def units(self, manifest: Manifest) -> Sequence[Unit]:
        """A photograph in one way, for wishes that go through the attack together; of a large one's a few at a time."""
        (facts,) = self._facts
        slugs = slugs_of([f"{number:03d}-{one.name}" for number, one in enumerate(self.photographs)])
        units = []
        for number, photograph in enumerate(self.photographs):
            at_once = max(_AT_ONCE // photograph.pixels[0].numel(), 1)
            for way, spec in enumerate(manifest.attacks):
                for targeted in (True, False):
                    count = sum((aim.target is not None) == targeted for aim in facts.aims[number])
                    units += [
                        Unit(
                            key=f"{spec.slug}/{slugs[number]}/{'targeted' if targeted else 'untargeted'}-{start:03d}",
                            group=spec.label,
                            start=start,
                            stop=min(start + at_once, count),
                            at=Place(number, way, targeted),
                        )
                        for start in range(0, count, at_once)
                    ]
        return units

    def given(self, unit: Unit) -> str:
        place: Place = unit.at
        return self.photographs[place.photograph].sha256

    def shared(self, unit: Unit, manifest: Manifest) -> Mapping[str, bytes]:
        """The photograph as the network was shown it: with it, pages can be made again from the directory alone."""
        number = unit.at.photograph
        return {original_of(number): png_of(self.photographs[number].pixels)}

    def do(self, unit: Unit, manifest: Manifest, files: Files) -> Done:
        """What has become of a photograph for some wishes."""
        place: Place = unit.at
        (facts,) = self._facts
        photograph, crafter = self.photographs[place.photograph], self.crafter(place.way)
        alike = [
            (number, aim)
            for number, aim in enumerate(facts.aims[place.photograph])
            if (aim.target is not None) == place.targeted
        ][unit.start : unit.stop]
        rows, made = list[dict[str, Any]](), dict(self.shared(unit, manifest))
        how = self._how(manifest, place.way) | {"photograph_sha256": photograph.sha256}
        crafted = crafter.craft(photograph, [aim for _, aim in alike])
        for (number, _), (one, png) in zip(alike, crafted, strict=True):
            folder = facts.folders[place.photograph, place.way, number]
            noise, amplification = noise_picture(one.original, one.perturbed)
            numbers = how | numbers_of(one) | {"noise_amplification": amplification}
            for name, content in {
                "perturbed.png": png,
                "noise.png": png_with_texts(noise),
                "comparison.png": png_with_texts(comparison(one)),
                "craft.json": text_of(numbers).encode("utf-8", "surrogatepass"),
            }.items():
                made[f"{folder}/{name}" if folder else name] = content
            rows.append(_row(one, photograph, place.photograph, number, folder, amplification))
        return Done(pa.Table.from_pylist(rows, schema=CRAFTED), made)

    def count(self, table: pa.Table) -> int:
        """Wishes that have come true."""
        return int(pc.sum(table["reached"]).as_py() or 0)

    def _record(self) -> ModelRecord:
        """The network, known by what it says of the first photograph."""
        first = self.photographs[0]
        seen = examples_of(see(first.pixels.unsqueeze(0), self.fit), ids=[first.sha256])
        channels, height, width = seen.images(0, 1).shape[1:]
        names = self.classifier.class_names
        probe = take_probe(self.classifier, seen, (channels, height, width))
        return ModelRecord(
            name=self.model or self.classifier.name,
            slug=slugs_of([self.model or self.classifier.name])[0],
            fingerprint=self.classifier.fingerprint,
            probe=probe,
            class_names=list(names or (str(k) for k in range(probe.classes))),
            reject=self.classifier.reject,
            image_shape=(channels, height, width),
            data_fingerprint=hashlib.sha256("".join(one.sha256 for one in self.photographs).encode()).hexdigest(),
            device=self.classifier.device.type,
            batch_size=self.classifier.batch_size,
        )

    def _how(self, manifest: Manifest, way: int) -> dict[str, Any]:
        return repeated(manifest) | {"attack": _config(self.ways[way])}

    def _folders(self, aims: Sequence[Sequence[Aim]]) -> dict[tuple[int, int, int], str]:
        """By photograph, way and wish; a number behind those of the same name."""
        folders, taken = dict[tuple[int, int, int], str](), set[str]()
        for number, photograph in enumerate(self.photographs):
            for way, one in enumerate(self.ways):
                above = f"{_slug(one.name)}/" if len(self.ways) > 1 else ""
                free = [aim.target is None for aim in aims[number]]
                for wish in sorted(range(len(self.wishes)), key=free.__getitem__):
                    named = f"{above}{_slug(Path(photograph.name).stem)}/{_slug(self.wishes[wish])}"
                    folders[number, way, wish] = "" if self.single else _free(named, taken)
        return folders


def original_of(number: int) -> str:
    """Where a photograph is kept, below the run directory."""
    return f"photographs/{number:03d}.png"


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


def _row(
    one: Crafted, photograph: Photograph, position: int, wish: int, folder: str, amplification: int
) -> dict[str, Any]:
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


def _config(way: Way) -> dict[str, Any]:
    return {"name": entry_of(way.attack).name, **config_of(way.attack)}


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


register_study("craft", CraftSpec)
