"""Directions as a study: the images that excite units the most, and those that excite random directions."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pydantic import Field

from brittle.data import load_data
from brittle.data.examples import Examples
from brittle.data.limit import ALL
from brittle.errors import BrittleError, did_you_mean
from brittle.explain.directions import WHAT, What, chosen, outputs_of, values_of
from brittle.explain.inside import check_layers, layers_of, network_of
from brittle.models.classifier import Classifier
from brittle.models.network import Network
from brittle.pages.grid import grid_picture
from brittle.pages.pictures import png_with_texts
from brittle.records import Manifest, shard_key
from brittle.rng import Rng
from brittle.run.plan import about, grown
from brittle.run.sources import Sources
from brittle.run.spec import ModelSpec, Spec
from brittle.run.study import Done, Files, Unit
from brittle.studies.directions_told import excited, picture_of, tell
from brittle.studies.opening import opened_models
from brittle.studies.registry import register_study
from brittle.types import Labels

_SCHEMA = pa.schema(
    [
        pa.field("model", pa.string()),
        pa.field("what", pa.string()),  # unit, direction or chance
        pa.field("index", pa.int64()),
        pa.field("example", pa.string()),
        pa.field("position", pa.int64()),
        pa.field("label", pa.int64()),
        pa.field("value", pa.float64()),  # how much the image excites it
        pa.field("least", pa.float64()),  # the smallest value in its shard
    ]
)


@final
class DirectionsSpec(Spec):
    """Units of a layer beside random directions of it: which images excite them most, and how alike these are.

    layers: of each model that is named; otherwise what its last linear layer sees. count: of units and of directions,
    at most. top: images of each. shown: so many of each as pictures, which somebody may judge blindly.
    """

    study: Literal["directions"] = "directions"
    models: list[ModelSpec]
    data: str
    limit: int | None = None
    layers: dict[str, str] = Field(default={})
    count: int = Field(default=100, ge=2, le=4096)
    top: int = Field(default=8, ge=2, le=64)
    shown: int = Field(default=12, ge=0, le=64)
    seed: int = Field(default=0, ge=0)
    batch_size: int | None = None
    device: str = "auto"

    def open(self) -> "Directions":
        """The study, with its models and data loaded."""
        loaded = opened_models(self.models, self.device, self.batch_size, self.seed)
        unknown = [name for name in self.layers if name not in loaded]
        if unknown:
            raise BrittleError(
                f"expected layers of the models, got one of {unknown[0]!r}{did_you_mean(unknown[0], loaded)}"
            )
        limit = ALL if self.limit is None else self.limit
        data = {name: load_data(self.data, limit=limit, fit=one.fit) for name, one in loaded.items()}
        return Directions.of(loaded, data, self)


class Place(NamedTuple):
    """Where a unit of work stands: its model, and whether it is the pictures."""

    model: str
    pictures: bool


@final
@dataclass(frozen=True, slots=True)
class Directions:
    """Shard by shard the images that excite most, and then pictures of those that do so among all."""

    sources: Sources
    labels: Labels
    classes: tuple[str, ...]
    spec: DirectionsSpec

    @staticmethod
    def of(classifiers: Mapping[str, Classifier], data: Mapping[str, Examples], spec: DirectionsSpec) -> "Directions":
        """The labels are the data's own, and kept apart: no network has to know these classes."""
        first = next(iter(data.values()))
        if first.labels is None:
            raise BrittleError(f"expected images with labels, to tell how alike they are, got {first.source}")
        bare = {name: replace(one, labels=None, class_names=None) for name, one in data.items()}
        return Directions(Sources.made_of(classifiers, bare), first.labels, first.class_names or (), spec)

    @property
    def name(self) -> str:
        return "directions"

    def plan(self, stored: Manifest | None, command: str | None) -> Manifest:
        """The manifest; BrittleError for what has no layers, or no such layer, and for too few images."""
        layers = {}
        for name, source in self.sources.of.items():
            network, examples = network_of(source.classifier), source.examples
            if len(examples) < 2 * self.spec.top:
                raise BrittleError(f"expected at least {2 * self.spec.top} images to choose from, got {len(examples)}")
            image, layer = examples.images(0, 1).to(network.device), self.spec.layers.get(name, "")
            check_layers([layer] if layer else [], layers_of(network, image))
            layers[name] = layer or "what the last linear layer sees"
            outputs_of(network, image, layer)  # or it is refused
        settings = {
            "layers": [f"{name}: {layer}" for name, layer in layers.items()],
            "classes": list(self.classes),
            **{key: getattr(self.spec, key) for key in ("count", "top", "shown")},
        }
        facts = self.sources.facts(stored, None) | about(command)
        made = Manifest(study=self.name, spec=self.spec.toml(), seed=self.spec.seed, settings=settings, **facts)
        return made if stored is None else grown(stored, made)

    def units(self, manifest: Manifest) -> Sequence[Unit]:
        """Of each model its shards, and behind all of these the pictures."""
        shards = [
            Unit(shard_key(f"{model.slug}/excited", number), model.name, start, stop, Place(model.name, False))
            for model in manifest.models
            for number, start, stop in self.sources.spans(manifest)
        ]
        pictures = [
            Unit(f"{model.slug}/pictures", model.name, 0, manifest.examples, Place(model.name, True), stage=1)
            for model in manifest.models
        ]
        return [*shards, *(pictures if self.spec.shown else [])]

    def given(self, unit: Unit) -> str:
        return self.sources.of[unit.at.model].examples.fingerprint

    def shared(self, unit: Unit, manifest: Manifest) -> Mapping[str, bytes]:
        """Nothing."""
        return {}

    def do(self, unit: Unit, manifest: Manifest, files: Files) -> Done:
        """The images of a shard that excite most; or the pictures of all."""
        if unit.at.pictures:
            return Done(_SCHEMA.empty_table(), self._pictures(unit.at.model, manifest, files))
        source = self.sources.of[unit.at.model]
        network, examples = network_of(source.classifier), source.examples
        rows, ids = range(unit.start, unit.stop), examples.ids[unit.start : unit.stop]
        images = examples.images(unit.start, unit.stop).to(network.device)
        outputs = outputs_of(network, images, self.spec.layers.get(unit.at.model, ""))
        columns: dict[str, list[Any]] = {name: [] for name in _SCHEMA.names}
        for what in WHAT:
            numbers = self._numbers(what, network, outputs.shape[1])
            values = values_of(what, numbers, outputs, Rng(self.spec.seed, ids))
            top = values.topk(min(self.spec.top, len(ids)), 0)
            for column, number in enumerate(numbers):
                places = top.indices[:, column].tolist()
                columns["example"] += [ids[place] for place in places]
                columns["position"] += [rows[place] for place in places]
                columns["label"] += self.labels[[rows[place] for place in places]].tolist()
                columns["value"] += top.values[:, column].double().tolist()
                columns["least"] += [float(values[:, column].min())] * len(places)
                columns["index"] += [number] * len(places)
                columns["what"] += [what] * len(places)
        columns["model"] = [unit.at.model] * len(columns["example"])
        return Done(pa.table(columns, schema=_SCHEMA), {})

    def joined(self, unit: Unit, parts: Sequence[tuple[Unit, Done]]) -> Mapping[str, bytes]:
        """All pictures."""
        return {name: content for _, done in parts for name, content in done.files.items()}

    def count(self, table: pa.Table) -> int:
        """Nothing is fooled."""
        return 0

    def _numbers(self, what: What, network: Network, channels: int) -> list[int]:
        return chosen(what, self.spec.count, channels, self.spec.seed)

    def _pictures(self, model: str, manifest: Manifest, files: Files) -> dict[str, bytes]:
        """A grid for each of those that are shown."""
        record = next(one for one in manifest.models if one.name == model)
        keys = [one.key for one in self.units(manifest) if one.at == Place(model, False)]
        tables = [pq.read_table(io.BytesIO(files.read(f"records/{key}.parquet"))) for key in keys]
        records = pd.concat([one.to_pandas() for one in tables])
        examples, made = self.sources.of[model].examples, dict[str, bytes]()
        for what, number, mine in excited(manifest, records, model, shown=True):
            images = torch.cat([examples.images(at, at + 1) for at in mine["position"]])
            made[picture_of(record.slug, what, number)] = png_with_texts(grid_picture(images.numpy()))
        return made


register_study("directions", DirectionsSpec, tell)
