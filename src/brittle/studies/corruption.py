"""Robustness to what no adversary chooses: how accurate classifiers stay on corrupted images."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, final

import pandas as pd
import torch
from pydantic import AfterValidator, Field

from brittle.checks import distinct
from brittle.corruption import CORRUPTIONS, SEVERITIES, corruption_named
from brittle.errors import BrittleError
from brittle.measure import Curve, Told, rate
from brittle.measure.attack import mean
from brittle.models.classifier import Classifier
from brittle.records import Manifest
from brittle.run.sources import Shard
from brittle.studies.per_image import PerImageSpec, register_per_image
from brittle.text import counted, percent

CLEAN = "none"
ALL = "all"


def _known(name: str) -> str:
    return corruption_named(name).name


def _severity(severity: int) -> int:
    if severity not in SEVERITIES:
        raise BrittleError(f"expected severities from 1 to 5, got {severity}")
    return severity


Known = Annotated[str, AfterValidator(_known)]
Severity = Annotated[int, AfterValidator(_severity)]


@final
class CorruptionSpec(PerImageSpec):
    """Accuracy on corrupted images: noise, blur, weather, files, colours, style, each at five severities.

    corruptions: see `brittle corruptions`; those of colours do not apply to grey images.
    """

    study: Literal["corruption"] = "corruption"
    corruptions: Annotated[list[Known], AfterValidator(distinct)] = Field(default=[*CORRUPTIONS], min_length=1)
    severities: Annotated[list[Severity], AfterValidator(distinct)] = Field(default=[*SEVERITIES], min_length=1)


def work(spec: CorruptionSpec, classifier: Classifier, shard: Shard) -> Mapping[str, Sequence[Any]]:
    """Each image as it is, and under each corruption at each severity."""
    grey = shard.images.shape[1] == 1
    asked = [
        (name, severity)
        for name in spec.corruptions
        for severity in spec.severities
        if not (grey and CORRUPTIONS[name].colour)
    ]
    predicted = [classifier.logits(shard.images, plain=True).argmax(1)]
    for name, severity in asked:
        images = CORRUPTIONS[name](shard.images, severity, seed=spec.seed, ids=shard.ids)
        predicted.append(classifier.logits(images, plain=True).argmax(1))
    every = [(CLEAN, 0), *asked]
    return {
        "example": [one for one in shard.ids for _ in every],
        "corruption": [name for name, _ in every] * len(shard.ids),
        "severity": [severity for _, severity in every] * len(shard.ids),
        "label": shard.labels.repeat_interleave(len(every)).tolist(),
        "prediction": torch.stack(predicted, 1).flatten().tolist(),
    }


def tell(manifest: Manifest, records: pd.DataFrame) -> Told:
    """Accuracy by corruption and severity for each model; a curve for each, or for each group of a single one."""
    right = records.assign(right=records["prediction"] == records["label"])
    found = right.groupby(["model", "corruption", "severity"], sort=False)["right"].agg(["sum", "count"])
    rates = {key: rate(int(good), int(of)) for key, (good, of) in found.iterrows()}
    models = list(dict.fromkeys(records["model"]))
    names = [name for name in dict.fromkeys(records["corruption"]) if name != CLEAN]
    severities = sorted(set(records["severity"]) - {0})
    rows = tuple(
        (model, name, CORRUPTIONS[name].group, *(rates[model, name, severity] for severity in severities))
        for model in models
        for name in names
    )
    corrupted = right[right["corruption"] != CLEAN]
    each = corrupted.groupby(["model", "severity", "example"])["right"].mean()
    rows += tuple(
        (model, ALL, "mean", *(mean(each[model, severity].to_numpy()) for severity in severities)) for model in models
    )
    clean = {model: rates[model, CLEAN, 0].value or 0.0 for model in models}
    if len(models) == 1:
        parts = corrupted.assign(part=corrupted["corruption"].map(lambda name: CORRUPTIONS[name].group))
    else:
        parts = corrupted.assign(part=corrupted["model"])
    means = parts.groupby(["model", "part", "severity"], sort=False)["right"].mean()
    curves = tuple(
        Curve(
            str(part),
            (0.0, *map(float, severities)),
            (clean[model], *(float(mine[model, part, s]) for s in severities)),
        )
        for (model, part), mine in means.groupby(["model", "part"], sort=False)
    )
    sentences = [
        f"{model}: {percent(clean[model])} right as the images are, {percent(float(mean))} on average over"
        f" {counted(len(names), 'corruption')} at {counted(len(severities), 'level')} of severity;"
        f" the hardest is {_hardest(corrupted[corrupted['model'] == model])}."
        for model, mean in corrupted.groupby("model", sort=False)["right"].mean().items()
    ]
    heads = ("model", "corruption", "kind", *(f"severity {one}" for one in severities))
    return Told(tuple(sentences), "severity", "accuracy", curves, heads, rows)


def _hardest(records: pd.DataFrame) -> str:
    means = records.groupby("corruption", sort=False)["right"].mean()
    return f"{means.idxmin()} ({percent(float(means.min()))})"


register_per_image("corruption", CorruptionSpec, work, tell)
