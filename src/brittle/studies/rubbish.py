"""Rubbish: how sure classifiers are of images that show nothing at all."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, final

import pandas as pd

from brittle.measure import Told, rate
from brittle.measure.attack import mean
from brittle.measure.told import Cell
from brittle.models.classifier import Classifier
from brittle.records import Manifest
from brittle.rng import Rng
from brittle.run.sources import Shard
from brittle.studies.per_image import PerImageSpec, register_per_image
from brittle.text import counted, percent

SURE = 0.5


@final
class RubbishSpec(PerImageSpec):
    """How sure classifiers are of normal noise, in which there is nothing to be seen.

    data: say how large an image is, and how many are drawn.
    """

    study: Literal["rubbish"] = "rubbish"


def work(spec: RubbishSpec, classifier: Classifier, shard: Shard) -> Mapping[str, Sequence[Any]]:
    """One draw for each image: every value from N(0, 1), as it is (Goodfellow et al. 2015, arXiv:1412.6572, appendix).

    It is beyond the valid pixels, as the source has it: nothing is clipped.
    """
    drawn = Rng(spec.seed, shard.ids).normal("rubbish", shard.images)
    confidence, prediction = classifier.logits(drawn, plain=True).softmax(1).max(1)
    return {"example": list(shard.ids), "prediction": prediction.tolist(), "confidence": confidence.tolist()}


def tell(manifest: Manifest, records: pd.DataFrame) -> Told:
    """How often a class has more than half of the probability, and how much it has then."""
    rows, sentences = list[tuple[Cell, ...]](), list[str]()
    for name, mine in records.groupby("model", sort=False):
        sure = mine[mine["confidence"] > SURE]
        found, confidence = rate(len(sure), len(mine)), mean(sure["confidence"])
        rows.append((str(name), found, confidence))
        seen = next(one for one in manifest.models if one.name == name).class_names[mine["prediction"].mode().iloc[0]]
        sentences.append(
            f"{name} gives a class more than half of the probability in {percent(found.value or 0.0)} of"
            f" {counted(len(mine), 'image')} of normal noise; most often it sees {seen}."
        )
    return Told(tuple(sentences), heads=("network", "error", "confidence"), rows=tuple(rows))


register_per_image("rubbish", RubbishSpec, work, tell)
