"""How good generated images are: whether an independent classifier sees what was asked for, and how real they look."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, final

import numpy as np
import pandas as pd

from brittle.data import load_data
from brittle.data.examples import Examples
from brittle.data.fit import Fit
from brittle.data.limit import ALL
from brittle.errors import BrittleError
from brittle.measure import Measured, Sized, Told, rate
from brittle.measure.attack import number
from brittle.measure.kid import BLOCK, kid
from brittle.models.classifier import Classifier
from brittle.models.features import features_of
from brittle.records import Manifest
from brittle.run.sources import Shard
from brittle.studies.per_image import PerImage, PerImageSpec, register_per_image
from brittle.text import counted, percent


@final
class GeneratedSpec(PerImageSpec):
    """Generated images, judged by classifiers that had no part in making them.

    data: the images, with the classes that were asked for as labels. real: as many real ones, or more, of which those
    that are taken are spread over the source.
    """

    study: Literal["generated"] = "generated"
    real: str

    def open(self) -> PerImage:
        """The study, with its models and both kinds of data loaded."""
        study = super().open()
        for name, source in study.sources.of.items():
            count, there = len(source.examples), len(_real(self.real, source.classifier.fit))
            if there < count:
                raise BrittleError(f"expected at least {count} real images beside {count} generated, got {there}")
            features_of(source.classifier, source.examples.images(0, 1))  # or it is refused
            if source.examples.labels is None:
                raise BrittleError(f"expected the classes that were asked for of {name}, got images without labels")
        return study


@lru_cache(maxsize=2)
def _real(spec: str, fit: Fit | None) -> Examples:
    return load_data(spec, limit=ALL, fit=fit)


def work(spec: GeneratedSpec, classifier: Classifier, shard: Shard) -> Mapping[str, Sequence[Any]]:
    """What the classifier sees in generated images and, at the same places, in real ones."""
    stop = shard.start + len(shard.ids)
    real = _real(spec.real, classifier.fit).images(shard.start, stop).to(shard.images.device)
    return {
        "example": list(shard.ids),
        "label": shard.labels.tolist(),
        "prediction": shard.prediction.tolist(),
        "features": features_of(classifier, shard.images).tolist(),
        "real_features": features_of(classifier, real).tolist(),
    }


def tell(manifest: Manifest, records: pd.DataFrame) -> Told:
    """For each judge how often it agrees, and the distance from real images beside that of real ones from another."""
    rows, sentences = [], []
    for name, mine in records.groupby("model", sort=False):
        agrees = rate(int((mine["prediction"] == mine["label"]).sum()), len(mine))
        made, real = (np.stack(mine[column].to_list()) for column in ("features", "real_features"))
        apart, alike = _apart(made, real), _apart(real[::2], real[1::2])
        rows.append((str(name), agrees, Sized(apart, ""), Sized(alike, "")))
        sentences.append(
            f"{name} sees the class that was asked for in {percent(agrees.value or 0.0)} of"
            f" {counted(len(mine), 'generated image')}."
        )
    heads = ("judge", "agreement", "KID", "KID of real images")
    return Told(tuple(sentences), heads=heads, rows=tuple(rows))


def _apart(one: Any, other: Any) -> Measured:
    """The distance of two sets, shuffled, as both may stand in the order of classes; none of less than a block."""
    if min(len(one), len(other)) < BLOCK:
        return number(float("nan"))
    order = np.random.default_rng(0)
    return kid(order.permutation(one), order.permutation(other))


register_per_image("generated", GeneratedSpec, work, tell)
