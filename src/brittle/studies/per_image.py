"""Studies that ask each classifier something about each image: all that is left to write is what."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import pyarrow as pa

from brittle.models.classifier import Classifier
from brittle.records import Manifest, shard_key
from brittle.run.plan import about, grown
from brittle.run.sources import Shard, Sources
from brittle.run.spec import ModelSpec, Spec
from brittle.run.study import Done, Files, Unit
from brittle.studies.opening import opened_sources
from brittle.studies.registry import Tell, register_study

Work = Callable[[Any, Classifier, Shard], Mapping[str, Sequence[Any]]]
"""(spec, classifier, some images) -> columns of records, image by image, in rows as many as wished for each."""

_WORK: dict[str, Work] = {}
_GUESS = 100.0  # passes for an image, before any has been seen


class PerImageSpec(Spec):
    """What every such study is asked; a study adds options of its own."""

    models: list[ModelSpec]
    data: str
    limit: int | None = None
    seed: int = 0
    batch_size: int | None = None
    device: str = "auto"

    def open(self) -> "PerImage":
        """The study, with its models and data loaded."""
        return PerImage(
            opened_sources(self.models, self.data, self.limit, self.device, self.batch_size, self.seed), self
        )


def register_per_image(name: str, spec: type[PerImageSpec], work: Work, tell: Tell) -> None:
    """Enrols a study: it is run, resumed, shared among workers, and reported as all others are."""
    _WORK[name] = work
    register_study(name, spec, tell)


@final
@dataclass(frozen=True, slots=True)
class PerImage:
    """The study: for every model, and every shard of the images, the work."""

    sources: Sources
    spec: PerImageSpec

    @property
    def name(self) -> str:
        return self.spec.study

    def plan(self, stored: Manifest | None, command: str | None) -> Manifest:
        """The manifest; its settings are what the study is asked beyond models, data and seed."""
        asked = self.spec.model_dump(mode="json", exclude=set(PerImageSpec.model_fields))
        facts = self.sources.facts(stored, None) | about(command)
        wanted = Manifest(study=self.name, spec=self.spec.toml(), seed=self.spec.seed, settings=asked, **facts)
        return wanted if stored is None else grown(stored, wanted)

    def units(self, manifest: Manifest) -> Sequence[Unit]:
        """Shards, model by model."""
        return [
            Unit(
                shard_key(model.slug, number),
                model.name,
                start,
                stop,
                model.name,
                guess=_GUESS * self.sources.pace(model.name),
            )
            for model in manifest.models
            if model.name in self.sources.of
            for number, start, stop in self.sources.spans(manifest)
        ]

    def given(self, unit: Unit) -> str:
        return self.sources.given(unit.at, unit)

    def shared(self, unit: Unit, manifest: Manifest) -> Mapping[str, bytes]:
        """Nothing."""
        return {}

    def do(self, unit: Unit, manifest: Manifest, files: Files) -> Done:
        """The work on one shard of one model."""
        columns = _WORK[self.name](
            self.spec, self.sources.of[unit.at].classifier, self.sources.shard(unit.at, unit, manifest)
        )
        rows = len(next(iter(columns.values())))
        return Done(pa.table({"model": [unit.at] * rows, **columns}), {})

    def joined(self, unit: Unit, parts: Sequence[tuple[Unit, Done]]) -> Mapping[str, bytes]:
        """Nothing."""
        return {}

    def count(self, table: pa.Table) -> int:
        """Rows, as there is nothing that all such studies would count."""
        return len(table)
