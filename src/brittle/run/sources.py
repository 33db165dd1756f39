"""What most studies are about: classifiers, and examples as each of them sees them."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor

from brittle.checks import text, whole
from brittle.data.ahead import Ahead
from brittle.data.examples import Examples
from brittle.errors import BrittleError
from brittle.models.classifier import Classifier, checked_classifier
from brittle.models.preflight import check_compatible, preflight
from brittle.records import FlagRecord, Manifest, ModelRecord, slugs_of
from brittle.run.image_shards import encoded
from brittle.run.labels import check_class_count, in_classes_of
from brittle.run.plan import shard_size_of
from brittle.run.probe import take_probe
from brittle.run.study import Unit
from brittle.types import Images, Labels, Logits

_PROBE = 64
_PACED = 16


@final
@dataclass(frozen=True, slots=True)
class Shard:
    """Some consecutive examples, and what a classifier says of them; rows as in the data.

    images: on the classifier's device. labels: the classifier's own predictions where the data have none.
    """

    ids: tuple[str, ...]
    start: int
    images: Images
    labels: Labels
    logits: Logits

    @property
    def prediction(self) -> Labels:
        return self.logits.argmax(1)

    @property
    def confidence(self) -> Tensor:
        return self.logits.softmax(1).amax(1)

    def part(self, start: int, stop: int) -> "Shard":
        """Some of them."""
        rows = slice(start - self.start, stop - self.start)
        return Shard(self.ids[rows], start, self.images[rows], self.labels[rows], self.logits[rows])


@final
@dataclass(frozen=True, slots=True)
class Source:
    """One classifier, and the data, fitted to it, with labels counted as it counts its classes."""

    classifier: Classifier
    examples: Examples


@final
@dataclass(frozen=True, slots=True)
class Sources:
    """Classifiers by name, each with the same examples.

    Kept are the last shard that was asked for with its content, the last digest, and the seconds that a pass of an
    example has taken.
    """

    of: Mapping[str, Source]
    _last: dict[tuple[str, int, int], Shard] = field(default_factory=dict, repr=False, compare=False)
    _content: dict[tuple[str, int, int], bytes] = field(default_factory=dict, repr=False, compare=False)
    _given: dict[tuple[str, int, int], str] = field(default_factory=dict, repr=False, compare=False)
    _pace: dict[str, float] = field(default_factory=dict, repr=False, compare=False)
    _ahead: Ahead = field(default_factory=Ahead, repr=False, compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return Sources, (dict(self.of),)

    @staticmethod
    def made_of(classifiers: Mapping[str, Classifier], examples: Mapping[str, Examples]) -> "Sources":
        """By the same names. Raises BrittleError for no classifier, no examples, and data that differ."""
        if not classifiers:
            raise BrittleError("expected at least one classifier, got none")
        sources = {}
        for name, classifier in classifiers.items():
            text("a model's name", name, "mine")
            checked_classifier(classifier)
            data = examples[name]
            if not len(data):
                raise BrittleError(f"expected at least one example, got none from {data.source}")
            sources[name] = Source(classifier, in_classes_of(classifier.class_names, data))
        first = next(iter(sources.values())).examples
        for name, one in sources.items():
            if one.examples.ids != first.ids:
                raise BrittleError(f"expected the same examples for each model, got others for {name}")
        return Sources(sources)

    @property
    def first(self) -> Source:
        return next(iter(self.of.values()))

    @property
    def image_shape(self) -> tuple[int, ...]:
        """``(C, H, W)`` of the first one's images."""
        return tuple(self.first.examples.images(0, 1).shape[1:])

    def facts(self, stored: Manifest | None, shard_size: int | None) -> dict[str, Any]:
        """What a manifest says of them, after every check that can refuse them; a stored run keeps flags and shards."""
        examples = self.first.examples
        models = self.records(stored)
        if shard_size is not None:
            whole("shard_size", shard_size, least=1)
        if shard_size is None:
            shard_size = min(shard_size_of(one.image_shape) for one in models) if stored is None else stored.shard_size
        return {
            "models": models,
            "data": examples.source,
            "labelled": examples.labels is not None,
            "examples": len(examples),
            "shard_size": shard_size,
        }

    def records(self, stored: Manifest | None) -> list[ModelRecord]:
        """The classifiers as a manifest has them; those of a stored run are not examined once more."""
        flags = {} if stored is None else {one.name: one.flags for one in stored.models}
        slugs = slugs_of(list(self.of))
        records = []
        for slug, (name, source) in zip(slugs, self.of.items(), strict=True):
            records.append(_record(name, slug, source, flags.get(name)))
            self._pace[name] = _pace_of(source)
        return records

    def spans(self, manifest: Manifest) -> Sequence[tuple[int, int, int]]:
        """(number, start, stop) of each shard."""
        size, count = manifest.shard_size, manifest.examples
        return [(number, start, min(start + size, count)) for number, start in enumerate(range(0, count, size))]

    def pace(self, name: str) -> float:
        """Seconds that a pass of one example takes, by those with which the classifier was examined; 0 before."""
        return self._pace.get(name, 0.0)

    def shard(self, name: str, unit: Unit, manifest: Manifest) -> Shard:
        """A unit's examples, asked for with the rest of their shard, as other units will want it; BrittleError where
        the network's logits on one are not finite."""
        key = (name, *self._around(unit, manifest))
        if key not in self._last:
            self._last.clear()
            self._last[key] = _read(self.of[name], *key[1:], self._ahead)
        return self._last[key].part(*unit.span)

    def content(self, name: str, unit: Unit, manifest: Manifest) -> bytes:
        """What a file of the originals of a unit's shard holds, without any pass."""
        key = (name, *self._around(unit, manifest))
        if key not in self._content:
            images = self._last[key].images if key in self._last else self.of[name].examples.images(*key[1:])
            self._content.clear()
            self._content[key] = encoded(images)
        return self._content[key]

    def _around(self, unit: Unit, manifest: Manifest) -> tuple[int, int]:
        start = unit.start // manifest.shard_size * manifest.shard_size
        return start, min(start + manifest.shard_size, len(self.first.examples))

    def given(self, name: str, unit: Unit) -> str:
        """sha256 of a unit's examples: ids, labels and pixels. The attacks of a shard ask one after another."""
        key = (name, *unit.span)
        if key not in self._given:
            self._given.clear()
            self._given[key] = self._digest(name, unit)
        return self._given[key]

    def _digest(self, name: str, unit: Unit) -> str:
        examples, (start, stop) = self.of[name].examples, unit.span
        labels = None if examples.labels is None else examples.labels[start:stop].tolist()
        sha = hashlib.sha256(f"{examples.ids[start:stop]}\0{labels}\0".encode("utf-8", "surrogatepass"))
        last = next((one for (of, *_), one in self._last.items() if of == name and _holds(one, unit)), None)
        images = examples.images(start, stop) if last is None else last.part(start, stop).images
        sha.update(encoded(images))
        return sha.hexdigest()


def _pace_of(source: Source) -> float:
    images = source.examples.images(0, _PACED).to(source.classifier.device)
    started = time.perf_counter()
    source.classifier.logits(images)
    return (time.perf_counter() - started) / len(images)


def _holds(shard: Shard, unit: Unit) -> bool:
    return shard.start <= unit.start and unit.stop <= shard.start + len(shard.ids)


def _read(source: Source, start: int, stop: int, ahead: Ahead) -> Shard:
    classifier, examples = source.classifier, source.examples
    images = ahead.images(examples, start, stop, classifier.device)
    logits = classifier.logits(images, plain=True)
    if not logits.isfinite().all():
        row = int((~logits.isfinite().all(1)).nonzero()[0])
        raise BrittleError(f"the network's logits are not finite on example {examples.ids[start + row]!r}")
    labels = _own(logits, classifier) if examples.labels is None else examples.labels[start:stop].to(images.device)
    return Shard(examples.ids[start:stop], start, images, labels, logits)


def _own(logits: Logits, classifier: Classifier) -> Labels:
    """What stands in for labels: the likeliest class that is an answer, so that to refuse one is not to be right."""
    if classifier.reject is not None:
        logits = logits.clone()
        logits[:, classifier.reject] = -torch.inf
    return logits.argmax(1)


def _record(name: str, slug: str, source: Source, flags: list[FlagRecord] | None) -> ModelRecord:
    classifier, examples = source.classifier, source.examples
    images = examples.images(0, _PROBE).to(classifier.device)
    labels = examples.labels
    logits = check_compatible(classifier, images, labels)
    check_class_count(classifier.class_names, classifier.num_classes, examples, classifier.reject)
    if flags is None:
        known = None if labels is None else labels[: len(images)]
        found = preflight(classifier, images, known, logits=logits)
        flags = [FlagRecord(code=flag.code, message=flag.message) for flag in found]
    return model_record(name, slug, classifier, examples, flags=flags)


def model_record(
    name: str, slug: str, classifier: Classifier, examples: Examples, *, flags: list[FlagRecord] | None = None
) -> ModelRecord:
    """A classifier as a manifest has it, known again by what it says of fixed images in the size of these."""
    channels, height, width = examples.images(0, 1).shape[1:]
    probe = take_probe(classifier, examples, (channels, height, width))
    return ModelRecord(
        name=name,
        slug=slug,
        fingerprint=classifier.fingerprint,
        probe=probe,
        class_names=list(classifier.class_names or examples.class_names or (str(k) for k in range(probe.classes))),
        access=classifier.access,
        reject=classifier.reject,
        image_shape=(channels, height, width),
        data_fingerprint=examples.fingerprint,
        device=classifier.device.type,
        precision=classifier.precision,
        batch_size=classifier.batch_size,
        flags=flags or [],
    )
