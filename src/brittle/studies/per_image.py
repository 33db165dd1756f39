"""Studies that ask each classifier something about each image: all that is left to write is what."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, final

import pandas as pd
import pyarrow as pa

from brittle.measure import Told
from brittle.models.classifier import Classifier
from brittle.records import Manifest, shard_key
from brittle.run.plan import about, grown
from brittle.run.sources import Shard, Sources
from brittle.run.spec import ModelSpec, Spec
from brittle.run.study import Done, Files, Unit
from brittle.studies.opening import opened_sources
from brittle.studies.registry import Tell, register_study
from brittle.types import Images

Columns = Mapping[str, Sequence[Any]]
"""Of records, image by image, in rows as many as wished for each."""


class Drawn(NamedTuple):
    """Columns, and files by their names below ``pictures/<model>/``; an image's files have its position in theirs."""

    columns: Columns
    files: Mapping[str, bytes]


Work = Callable[[Any, Classifier, Shard], Columns | Drawn]
"""(spec, classifier, some images) -> what is to be written down of them."""

Once = Callable[[Any, Classifier, Images], Columns]
"""(spec, classifier, an image ``[1, C, H, W]`` for its shape) -> columns of records: the same ones, of the classifier
itself."""

_WORK: dict[str, tuple[Work, Once | None]] = {}
UNLABELLED = "These images have no labels: what a network answers to each as it is counts as right."
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


def register_per_image(name: str, spec: type[PerImageSpec], work: Work, tell: Tell, once: Once | None = None) -> None:
    """Enrols a study: it is run, resumed, shared among workers, and reported as all others are.

    once: what there is to say of a classifier before any image; a unit of its own.
    """
    _WORK[name] = work, once

    def told(manifest: Manifest, records: pd.DataFrame) -> Told:
        said = tell(manifest, records)
        return said if manifest.labelled else replace(said, sentences=(UNLABELLED, *said.sentences))

    register_study(name, spec, told)


class Place(NamedTuple):
    """Where a unit stands: the model, and whether it is about that alone."""

    model: str
    once: bool


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
        """Model by model, what is done once, and shards."""
        once = _WORK[self.name][1] is not None
        return [
            unit
            for model in manifest.models
            if model.name in self.sources.of
            for unit in [
                *([Unit(f"{model.slug}/once", model.name, 0, 1, Place(model.name, True))] if once else []),
                *(
                    Unit(
                        shard_key(model.slug, number),
                        model.name,
                        start,
                        stop,
                        Place(model.name, False),
                        guess=_GUESS * self.sources.pace(model.name),
                    )
                    for number, start, stop in self.sources.spans(manifest)
                ),
            ]
        ]

    def given(self, unit: Unit) -> str:
        return self.sources.given(unit.at.model, unit)

    def shared(self, unit: Unit, manifest: Manifest) -> Mapping[str, bytes]:
        """Nothing."""
        return {}

    def do(self, unit: Unit, manifest: Manifest, files: Files) -> Done:
        """The work on one shard of one model, or on the model alone."""
        (work, once), model = _WORK[self.name], unit.at.model
        classifier, shard = self.sources.of[model].classifier, self.sources.shard(model, unit, manifest)
        if unit.at.once:
            assert once is not None
            made: Columns | Drawn = once(self.spec, classifier, shard.images)
        else:
            made = work(self.spec, classifier, shard)
        columns, drawn = made if isinstance(made, Drawn) else (made, {})
        rows = len(next(iter(columns.values())))
        slug = next(one.slug for one in manifest.models if one.name == model)
        pictures = {f"pictures/{slug}/{name}": content for name, content in drawn.items()}
        return Done(pa.table({"model": [model] * rows, **columns}), pictures)

    def joined(self, unit: Unit, parts: Sequence[tuple[Unit, Done]]) -> Mapping[str, bytes]:
        """All pictures."""
        return {name: content for _, done in parts for name, content in done.files.items()}

    def count(self, table: pa.Table) -> int:
        """Rows, as there is nothing that all such studies would count."""
        return len(table)
