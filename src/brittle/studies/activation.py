"""Activation maximisation as a study: images that excite what a network has learnt, and what networks say of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, final

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field
from torch import Tensor

from brittle.catalog import label_of
from brittle.errors import BrittleError, Unsupported
from brittle.explain.activation import ASCENTS, Ascent
from brittle.explain.inside import layers_of, network_of
from brittle.explain.objective import Asked, Objective, objectives_of
from brittle.explain.prior import Prior, prior_of
from brittle.models.classifier import Classifier
from brittle.pages.pictures import photograph, png_with_texts
from brittle.records import Manifest, slugs_of
from brittle.rng import Rng
from brittle.run.plan import about, grown
from brittle.run.sources import Sources
from brittle.run.spec import ModelSpec, Spec
from brittle.run.study import Done, Files, Unit
from brittle.studies.activation_told import tell
from brittle.studies.crossing import resizing
from brittle.studies.opening import opened_models, opened_sources
from brittle.studies.registry import register_study
from brittle.types import Images

_VALUES, _MOST = 2_000_000, 16  # of the images, and images, that are made together


@final
class ActivationSpec(Spec):
    """Images that excite classes, channels, units or directions of networks the most.

    judges: networks that had no part in it, asked what they see. data: images to take the mean, colours and frequencies
    of. objectives: "class", "class:cat", "class:0-9", or channel, unit or direction of a layer, as "channel:conv1:0-7".
    ascents: ways up, with their options.
    """

    study: Literal["activation"] = "activation"
    models: list[ModelSpec]
    judges: list[ModelSpec] = Field(default=[])
    data: str
    limit: int = Field(default=256, ge=2)
    objectives: list[str] = Field(default=["class"], min_length=1)
    ascents: list[str] = Field(default=["fourier"], min_length=1)
    seed: int = 0
    batch_size: int | None = None
    device: str = "auto"

    def open(self) -> "Activating":
        """The study, with its models, judges and data loaded."""
        ascents = [one for text in self.ascents for one in ASCENTS.read(text)]
        sources = opened_sources(self.models, self.data, self.limit, self.device, self.batch_size)
        judges = opened_models(self.judges, self.device, self.batch_size) if self.judges else {}
        return Activating(sources, judges, tuple(self.objectives), tuple(ascents), self.seed, self.toml())


class Place(NamedTuple):
    """Where a unit stands: its model, and its way up."""

    model: str
    ascent: int


@final
@dataclass(frozen=True)
class Activating:
    """Every objective of every model by every ascent.

    Of each, ``pictures/<model>/<ascent>/<objective>.png`` in the run directory, and a record for each network that was
    asked about that file: the model itself, and the judges.
    """

    sources: Sources
    judges: Mapping[str, Classifier]
    objectives: tuple[str, ...]
    ascents: tuple[Ascent, ...]
    seed: int = 0
    spec: dict[str, Any] | None = None
    _found: dict[str, tuple[Objective, ...]] = field(default_factory=dict, compare=False, repr=False)
    _seen: dict[str, tuple[Images, Prior]] = field(default_factory=dict, compare=False, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return Activating, (self.sources, self.judges, self.objectives, self.ascents, self.seed, self.spec)

    @property
    def name(self) -> str:
        return "activation"

    def plan(self, stored: Manifest | None, command: str | None) -> Manifest:
        """The manifest; BrittleError for what a network has not, judges of other classes or the same name, and ascents
        that repeat, Unsupported for a model without gradients."""
        labels = [label_of(one) for one in self.ascents]
        for label in labels:
            if labels.count(label) > 1:
                raise BrittleError(f"expected different ascents, got {label!r} {labels.count(label)} times")
        facts = self.sources.facts(stored, None) | about(command)
        for name, source in self.sources.of.items():
            if source.classifier.access != "gradient":
                raise Unsupported(f"expected a network with gradients to climb, got {name}, which gives none")
            for judge, classifier in self.judges.items():
                self._check_judge(judge, classifier, name)
            self.wanted(name)
        settings = {
            "objectives": list(self.objectives),
            "ascents": labels,
            "judges": {name: one.fingerprint for name, one in self.judges.items()},
            "images": facts["examples"],  # more of them would be another prior
        }
        made = Manifest(study=self.name, spec=self.spec, seed=self.seed, settings=settings, **facts)
        return made if stored is None else grown(stored, made)

    def wanted(self, model: str) -> tuple[Objective, ...]:
        """What is asked of a model, those of one layer behind each other."""
        if model not in self._found:
            source = self.sources.of[model]
            classifier, image = source.classifier, source.examples.images(0, 1)
            classes = classifier.logits(image.to(classifier.device)).shape[1]
            found = objectives_of(
                self.objectives,
                classifier.class_names or source.examples.class_names,
                classes,
                lambda: layers_of(network_of(classifier), image.to(classifier.device)),
            )
            order = list(dict.fromkeys(one.layer for one in found))
            self._found[model] = tuple(sorted(found, key=lambda one: order.index(one.layer)))
        return self._found[model]

    def units(self, manifest: Manifest) -> Sequence[Unit]:
        """Objectives of one layer, or classes, a few at a time."""
        units = []
        for model in manifest.models:
            wanted = self.wanted(model.name)
            at_once = max(min(_VALUES // (3 * model.image_shape[1] * model.image_shape[2]), _MOST), 1)
            for ascent, slug in enumerate(slugs_of(manifest.settings["ascents"])):
                start = 0
                while start < len(wanted):
                    alike = sum(one.layer == wanted[start].layer for one in wanted[start : start + at_once])
                    key, group = f"{model.slug}/{slug}/{start:05d}", manifest.settings["ascents"][ascent]
                    units.append(Unit(key, group, start, start + alike, Place(model.name, ascent)))
                    start += alike
        return units

    def given(self, unit: Unit) -> str:
        return self.sources.of[unit.at.model].examples.fingerprint

    def shared(self, unit: Unit, manifest: Manifest) -> Mapping[str, bytes]:
        """Nothing."""
        return {}

    def do(self, unit: Unit, manifest: Manifest, files: Files) -> Done:
        """Images, as files of 8 bits, and what is said of these."""
        place: Place = unit.at
        classifier, ascent = self.sources.of[place.model].classifier, self.ascents[place.ascent]
        objectives = self.wanted(place.model)[unit.start : unit.stop]
        images, prior = self._ordinary(place.model)
        asked = Asked(classifier, objectives, ascent.odds)
        ordinary = asked.values(images)
        spread = ordinary.std(0)
        rng = Rng(self.seed, tuple(one.name for one in objectives))
        made = ascent(asked, prior, spread.where(spread > 0, spread.new_ones(())), rng)
        levels = (255 * made.images).round().byte()
        shown = levels.float() / 255
        names = self._files(manifest, place, unit)
        told = {
            "objective": [one.name for one in objectives],
            "kind": [one.kind for one in objectives],
            "layer": [one.layer for one in objectives],
            "index": [one.index for one in objectives],
            "steps": made.steps.tolist(),
            "value": asked.values(shown).diagonal().tolist(),
            "best": ordinary.amax(0).tolist(),
            "picture": names,
        }
        tables = [
            pa.table({"model": [place.model] * len(names), "ascent": [unit.group] * len(names), **told, **said})
            for said in self._said(place.model, shown, objectives)
        ]
        pictures = {
            name: png_with_texts(photograph(one)) for name, one in zip(names, levels.cpu().numpy(), strict=True)
        }
        return Done(pa.concat_tables(tables), pictures)

    def joined(self, unit: Unit, parts: Sequence[tuple[Unit, Done]]) -> Mapping[str, bytes]:
        """All pictures."""
        return {name: content for _, done in parts for name, content in done.files.items()}

    def count(self, table: pa.Table) -> int:
        """Pictures in which the network itself sees the class that was asked for."""
        own = table.filter(pc.equal(table["by"], table["model"]))
        return int(pc.sum(own["agrees"]).as_py() or 0)

    def _said(self, model: str, shown: Images, objectives: Sequence[Objective]) -> list[dict[str, Any]]:
        """What the model, and then each judge, sees in the pictures."""
        asked = {model: self.sources.of[model].classifier, **self.judges}
        said = []
        for name, classifier in asked.items():
            probabilities = _as_seen(classifier, shown).logits(shown.to(classifier.device), plain=True).softmax(1)
            said.append({"by": [name] * len(shown), **_columns(probabilities, objectives)})
        return said

    def _check_judge(self, judge: str, classifier: Classifier, model: str) -> None:
        """BrittleError for a judge that cannot be asked about a model's pictures."""
        source = self.sources.of[model]
        if judge == model:
            raise BrittleError(f"expected judges that had no part in it, got a judge and a model called {judge!r}")
        image = source.examples.images(0, 1)
        own = source.classifier.logits(image.to(source.classifier.device)).shape[1]
        if classifier.channels not in (None, image.shape[1]):
            count, taken = image.shape[1], classifier.channels
            raise BrittleError(f"expected a judge of images with {count} channels, got {judge}, which takes {taken}")
        others = _as_seen(classifier, image).logits(image.to(classifier.device)).shape[1]
        names, theirs = source.classifier.class_names, classifier.class_names
        if own != others or (names and theirs and names != theirs):
            raise BrittleError(
                f"expected a judge of the classes of {model} ({own}), got {judge} with others ({others})"
            )

    def _ordinary(self, model: str) -> tuple[Images, Prior]:
        if model not in self._seen:
            source = self.sources.of[model]
            images = source.examples.images(0, len(source.examples)).to(source.classifier.device)
            self._seen[model] = images, prior_of(images)
        return self._seen[model]

    def _files(self, manifest: Manifest, place: Place, unit: Unit) -> list[str]:
        model = next(one.slug for one in manifest.models if one.name == place.model)
        ascent = slugs_of(manifest.settings["ascents"])[place.ascent]
        slugs = slugs_of([one.name for one in self.wanted(place.model)])[unit.start : unit.stop]
        return [f"pictures/{model}/{ascent}/{slug}.png" for slug in slugs]


def _as_seen(classifier: Classifier, images: Images) -> Classifier:
    """A judge for images of this size, which resizes them where it takes another."""
    channels, height, width = images.shape[1:]
    fit = classifier.fit
    taken = (channels, height, width) if fit is None else (fit.channels, fit.height, fit.width)
    return resizing(classifier, (channels, height, width), taken)


def _columns(probabilities: Tensor, objectives: Sequence[Objective]) -> dict[str, list[Any]]:
    confidence, prediction = (one.tolist() for one in probabilities.max(1))
    is_class = [one.kind == "class" for one in objectives]
    own = [
        float(row[one.index]) if yes else None
        for row, one, yes in zip(probabilities, objectives, is_class, strict=True)
    ]
    agrees = [
        there == one.index if yes else None for there, one, yes in zip(prediction, objectives, is_class, strict=True)
    ]
    return {
        "prediction": prediction,
        "confidence": confidence,
        "asked_confidence": pa.array(own, pa.float64()),
        "agrees": pa.array(agrees, pa.bool_()),
    }


register_study("activation", ActivationSpec, tell)
