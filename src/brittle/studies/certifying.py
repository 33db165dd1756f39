"""One unit of an audit of a defence that proves something: what it certifies of some images."""

from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa

from brittle.defend import Smoothed
from brittle.models.classifier import Classifier
from brittle.records import CERTIFIED, Manifest, certificate_slug, shard_key
from brittle.run.sources import Shard, Sources
from brittle.run.study import Unit


class Certifying(NamedTuple):
    """Where such a unit stands."""

    model: str
    shard: int


def certifying_units(manifest: Manifest, sources: Sources) -> Iterator[Unit]:
    """One for each shard of each model that certifies."""
    for model in manifest.models:
        classifier = sources.of[model.name].classifier if model.name in sources.of else None
        if isinstance(classifier, Smoothed):
            for number, start, stop in sources.spans(manifest):
                yield Unit(
                    key=shard_key(certificate_slug(model), number),
                    group=f"{model.name}, certified",
                    start=start,
                    stop=stop,
                    at=Certifying(model.name, number),
                    guess=classifier.how.certify * sources.pace(model.name),
                )


def certified(name: str, classifier: Classifier, shard: Shard) -> pa.Table:
    """The records of a unit."""
    assert isinstance(classifier, Smoothed)
    found = classifier.certificate(shard.images)
    rows = len(shard.ids)
    columns = {
        "model": [name] * rows,
        "example": list(shard.ids),
        "position": list(range(shard.start, shard.start + rows)),
        "label": shard.labels.tolist(),
        "prediction": [one if one >= 0 else None for one in found.prediction.tolist()],
        "radius": found.radius.double().tolist(),
    }
    return pa.table({field.name: pa.array(columns[field.name], type=field.type) for field in CERTIFIED}, CERTIFIED)
