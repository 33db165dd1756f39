"""Crafting as a study: photographs, wishes and ways, each result as its saved file shows it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, final

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from brittle.crafting.crafted import original_of
from brittle.crafting.sheet import comparison
from brittle.crafting.view import see
from brittle.data.examples import examples_of
from brittle.data.fit import Fit
from brittle.errors import BrittleError
from brittle.models.classifier import Classifier
from brittle.models.preflight import check_compatible
from brittle.pages.pictures import noise_picture, png_with_texts
from brittle.records import CRAFTED, UNTARGETED, Manifest, ModelRecord, slugs_of
from brittle.run.attack import check_access, check_goal
from brittle.run.plan import about, attack_specs
from brittle.run.sources import model_record
from brittle.run.spec import ModelSpec, Spec
from brittle.run.study import Done, Files, Unit
from brittle.studies.crafted_rows import (
    config_of_way,
    folders_of,
    numbers_of,
    repeated,
    row_of,
    text_of,
)
from brittle.studies.crafter import Aim, Crafter, OnLook
from brittle.studies.goals import kind_of
from brittle.studies.opening import opened_models, the_only
from brittle.studies.photographs import Photograph, png_of, read_photograph
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
        files = [read_photograph(path) for path in self.photographs]  # first, as weights may have to be fetched
        name, loaded = the_only(opened_models(self.models, self.device, seed=self.seed))
        photographs = [Photograph.of(one, loaded) for one in files]
        return Crafting(
            loaded,
            loaded.fit,
            photographs,
            self.targets,
            ways,
            confidence=self.confidence,
            seed=self.seed,
            model=name,
            spec=self.toml(),
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
            for kind in {kind_of(wish) for wish in self.wishes}:
                check_goal(way.attack, kind)
        for photograph in self.photographs:
            seen = see(photograph.pixels.unsqueeze(0), self.fit).to(self.classifier.device)
            check_compatible(self.classifier, seen, None)
        aims = [self.crafter(0).aim(photograph, self.wishes) for photograph in self.photographs]
        self._facts[:] = [_Facts(aims=aims, folders=folders_of(self.photographs, self.ways, self.wishes, aims))]
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
                "ways": names,
                "wishes": list(self.wishes),
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
        for (number, _), (one, saved) in zip(alike, crafted, strict=True):
            folder = facts.folders[place.photograph, place.way, number]
            noise, amplification = noise_picture(one.original, one.perturbed)
            numbers = how | numbers_of(one) | {"noise_amplification": amplification}
            for name, content in {
                "perturbed.png": saved,
                "noise.png": png_with_texts(noise),
                "comparison.png": png_with_texts(comparison(one)),
                "craft.json": text_of(numbers).encode("utf-8", "surrogatepass"),
            }.items():
                made[f"{folder}/{name}" if folder else name] = content
            rows.append(row_of(one, photograph, place.photograph, number, folder, amplification))
        return Done(pa.Table.from_pylist(rows, schema=CRAFTED), made)

    def joined(self, unit: Unit, parts: Sequence[tuple[Unit, Done]]) -> Mapping[str, bytes]:
        """Nothing."""
        return {}

    def count(self, table: pa.Table) -> int:
        """Wishes that have come true."""
        return int(pc.sum(table["reached"]).as_py() or 0)

    def _record(self) -> ModelRecord:
        """The network, known by what it says of the first photograph."""
        first = self.photographs[0]
        seen = examples_of(see(first.pixels.unsqueeze(0), self.fit), ids=[first.sha256])
        name = self.model or self.classifier.name
        record = model_record(name, slugs_of([name])[0], self.classifier, seen)
        every = hashlib.sha256("".join(one.sha256 for one in self.photographs).encode()).hexdigest()
        return record.model_copy(update={"data_fingerprint": every})

    def _how(self, manifest: Manifest, way: int) -> dict[str, Any]:
        return repeated(manifest) | {"attack": config_of_way(self.ways[way])}


register_study("craft", CraftSpec)
