"""Densities as a study: how likely images are as they are, attacked, under noise as large, and of other data."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, final

import pyarrow as pa
import torch
from pydantic import Field
from safetensors.torch import load, save
from torch import Tensor, nn

from brittle.attacks import Attack
from brittle.catalog import attacks_from, label_of
from brittle.data import load_data
from brittle.data.examples import Examples
from brittle.data.limit import ALL
from brittle.errors import BrittleError
from brittle.records import Manifest, shard_key, slugs_of
from brittle.run.attack import check_access
from brittle.run.plan import about, grown
from brittle.run.sources import Sources
from brittle.run.spec import ModelSpec, Spec
from brittle.run.study import Done, Files, Unit
from brittle.studies.changed import beside_noise
from brittle.studies.control import NOISE
from brittle.studies.density_told import CLEAN, OTHER, tell
from brittle.studies.opening import device_of, opened_sources
from brittle.studies.registry import register_study
from brittle.train.batches import Pixels
from brittle.train.densities import DENSITIES, Density
from brittle.types import Images

_SCHEMA = pa.schema(
    [
        pa.field("model", pa.string()),  # that the change was made for; "" of other data
        pa.field("density", pa.string()),
        pa.field("what", pa.string()),  # clean, an attack, noise beside it, or other data
        pa.field("example", pa.string()),
        pa.field("position", pa.int64()),
        pa.field("value", pa.float64()),  # log density
        pa.field("fooled", pa.bool_()),  # by the attack, or the attack that the noise stands beside
    ]
)


@final
class DensitySpec(Spec):
    """How likely adversarial examples are by densities that are fitted to training images.

    train_data: what the densities are fitted to, train_limit of them. densities: with their options. attacks: noise of
    the same size stands beside each. others: other data, which no density has seen.
    """

    study: Literal["density"] = "density"
    models: list[ModelSpec]
    data: str
    limit: int | None = None
    train_data: str
    train_limit: int | None = Field(default=10_000, ge=2)
    densities: list[str] = Field(default=["pca-gaussian", "vae", "pixel-cnn"], min_length=1)
    attacks: list[str] = Field(default=["minimal,norm=l2"], min_length=1)
    others: list[str] = Field(default=[])
    seed: int = 0
    batch_size: int | None = None
    device: str = "auto"

    def open(self) -> "Likelihoods":
        """The study, with its models and data loaded; BrittleError for models of images that differ in size."""
        densities = tuple(one for text in self.densities for one in DENSITIES.read(text))
        attacks = tuple(one for text in self.attacks for one in attacks_from(text))
        sources = opened_sources(self.models, self.data, self.limit, self.device, self.batch_size, self.seed)
        first = sources.first
        limit = ALL if self.train_limit is None else self.train_limit
        train = load_data(self.train_data, limit=limit, fit=first.classifier.fit)
        others = {one: load_data(one, limit=len(first.examples), fit=first.classifier.fit) for one in self.others}
        return Likelihoods(sources, train, others, densities, attacks, self.seed, device_of(self.device), self.toml())


class Place(NamedTuple):
    """Where a unit stands: a density that is fitted, a model whose images are looked at, or other data."""

    kind: Literal["fit", "model", "other"]
    name: str


@final
@dataclass(frozen=True)
class Likelihoods:
    """Densities first, fitted and kept as files; then what each gives for every image of every kind."""

    sources: Sources
    train: Examples
    others: Mapping[str, Examples]
    densities: tuple[Density, ...]
    attacks: tuple[Attack, ...]
    seed: int = 0
    device: str = "cpu"
    spec: dict[str, Any] | None = None
    _fitted: dict[str, nn.Module] = field(default_factory=dict, compare=False, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        given = (self.sources, self.train, self.others, self.densities, self.attacks)
        return Likelihoods, (*given, self.seed, self.device, self.spec)

    @property
    def name(self) -> str:
        return "density"

    @property
    def labels(self) -> list[str]:
        """Of the densities."""
        return [label_of(one) for one in self.densities]

    def plan(self, stored: Manifest | None, command: str | None) -> Manifest:
        """The manifest; BrittleError for images that differ in size, Unsupported for an attack that a model gives too
        little for."""
        for noun, labels in (("densities", self.labels), ("attacks", [label_of(one) for one in self.attacks])):
            for label in labels:
                if labels.count(label) > 1:
                    raise BrittleError(f"expected different {noun}, got {label!r} {labels.count(label)} times")
        shape = self.sources.image_shape
        shapes = {name: tuple(one.examples.images(0, 1).shape[1:]) for name, one in self.sources.of.items()}
        shapes |= {one.source: tuple(one.images(0, 1).shape[1:]) for one in (self.train, *self.others.values())}
        for name, found in shapes.items():
            if found != shape:
                raise BrittleError(
                    f"expected images of {_said(shape)}, as densities are of one size, got {_said(found)} from {name}"
                )
        called = [_called(one) for one in self.others.values()]
        if len(set(called)) < len(called):
            raise BrittleError(f"expected other data of different names, got {', '.join(called)}")
        for source in self.sources.of.values():
            for method in self.attacks:
                check_access(method, source.classifier)
        if self.train.labels is None:
            raise BrittleError(f"expected labelled images to fit densities to, got {self.train.source}")
        settings = {
            "densities": self.labels,
            "attacks": [label_of(one) for one in self.attacks],
            "fitted to": f"{self.train.source}, {len(self.train)} images",
            "training images": self.train.fingerprint,
            "others": [one.source for one in self.others.values()],
        }
        facts = self.sources.facts(stored, None) | about(command)
        made = Manifest(study=self.name, spec=self.spec, seed=self.seed, settings=settings, **facts)
        return made if stored is None else grown(stored, made)

    def units(self, manifest: Manifest) -> Sequence[Unit]:
        """The fits, and then each model's images and other data, shard by shard."""
        fits = [
            Unit(f"fitted/{slug}", label, 0, len(self.train), Place("fit", label))
            for slug, label in zip(slugs_of(self.labels), self.labels, strict=True)
        ]
        groups = [(model.slug, model.name, Place("model", model.name), manifest.examples) for model in manifest.models]
        groups += [
            (f"others/{slug}", name, Place("other", name), min(len(one), manifest.examples))
            for slug, (name, one) in zip(slugs_of(list(self.others)), self.others.items(), strict=True)
        ]
        size = manifest.shard_size
        shards = [
            Unit(shard_key(slug, start // size), group, start, min(start + size, count), place, stage=1)
            for slug, group, place, count in groups
            for start in range(0, count, size)
        ]
        return [*fits, *shards]

    def given(self, unit: Unit) -> str:
        if unit.at.kind == "model":
            return self.sources.given(unit.at.name, unit)
        data = self.train if unit.at.kind == "fit" else self.others[unit.at.name]
        return hashlib.sha256(f"{data.fingerprint} {unit.span}".encode()).hexdigest()

    def shared(self, unit: Unit, manifest: Manifest) -> Mapping[str, bytes]:
        """Nothing."""
        return {}

    def do(self, unit: Unit, manifest: Manifest, files: Files) -> Done:
        """A density; or what all densities give for some images."""
        if unit.at.kind == "fit":
            return Done(_SCHEMA.empty_table(), {file_of(unit.at.name, self.labels): self._fit(unit, files)})
        if unit.at.kind == "other":
            data = self.others[unit.at.name]
            images = {_called(data): data.images(*unit.span)}
            return self._told("", images, data.ids[unit.start : unit.stop], unit, torch.ones(len(unit)).bool(), files)
        classifier = self.sources.of[unit.at.name].classifier
        shard = self.sources.shard(unit.at.name, unit, manifest)
        right = shard.prediction == shard.labels
        done = self._told(unit.at.name, {CLEAN: shard.images}, shard.ids, unit, right, files)
        for label, found, noisy in beside_noise(classifier, shard, self.attacks, self.seed):
            kinds = {label: found.images, f"{NOISE}{label}": noisy}
            more = self._told(unit.at.name, kinds, shard.ids, unit, right & found.fooled, files)
            done = Done(pa.concat_tables([done.table, more.table]), {})
        return done

    def joined(self, unit: Unit, parts: Sequence[tuple[Unit, Done]]) -> Mapping[str, bytes]:
        """What a fit has left."""
        return {name: content for _, done in parts for name, content in done.files.items()}

    def count(self, table: pa.Table) -> int:
        """Nothing is fooled that an audit would not count better."""
        return 0

    def _fit(self, unit: Unit, files: Files) -> bytes:
        density = self.densities[self.labels.index(unit.at.name)]
        pixels = Pixels.of(self.train, range(len(self.train)))
        made = density.fitted(pixels, self.seed, self.device, files.scratch(unit))
        return save({name: one.contiguous() for name, one in made.state_dict().items()})

    def _told(
        self, model: str, kinds: Mapping[str, Images], ids: Sequence[str], unit: Unit, fooled: Tensor, files: Files
    ) -> Done:
        columns: dict[str, list[Any]] = {name: [] for name in _SCHEMA.names}
        for label in self.labels:
            net = self._density(label, files)
            for what, images in kinds.items():
                columns["value"] += values_of(net, images.to(self.device)).tolist()
                columns["model"] += [model] * len(ids)
                columns["density"] += [label] * len(ids)
                columns["what"] += [what] * len(ids)
                columns["example"] += list(ids)
                columns["position"] += list(range(unit.start, unit.stop))
                columns["fooled"] += fooled.tolist()
        return Done(pa.table(columns, schema=_SCHEMA), {})

    def _density(self, label: str, files: Files) -> nn.Module:
        if label not in self._fitted:
            net = self.densities[self.labels.index(label)].build(self.sources.image_shape)  # type: ignore[arg-type]
            net.load_state_dict(load(files.read(file_of(label, self.labels))))
            self._fitted[label] = net.to(self.device).eval()
        return self._fitted[label]


def file_of(label: str, labels: Sequence[str]) -> str:
    """Where a run keeps a density."""
    return f"densities/{slugs_of(list(labels))[list(labels).index(label)]}.safetensors"


def values_of(net: nn.Module, images: Images) -> Tensor:
    """Log densities, float64 ``[N]``, one image at a time: then no result depends on others."""
    with torch.no_grad():
        return torch.cat([net(images[k : k + 1]).double().cpu() for k in range(len(images))])


def _called(data: Examples) -> str:
    """In records and quantities, whose parts slashes separate."""
    return OTHER + data.source.rpartition("/")[2]


def _said(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


register_study("density", DensitySpec, tell)
