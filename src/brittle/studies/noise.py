"""Noise robustness: how accurate classifiers stay under random noise of growing norm."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, final

import pandas as pd
import torch
from pydantic import AfterValidator, Field

from brittle.checks import distinct
from brittle.geometry.box import clip
from brittle.geometry.norms import norm_named
from brittle.measure import Curve, Told, rate
from brittle.models.classifier import Classifier
from brittle.pages.words import norm_text
from brittle.records import Manifest
from brittle.rng import Rng
from brittle.run.sources import Shard
from brittle.studies.per_image import PerImageSpec, register_per_image
from brittle.text import counted


@final
class NoiseSpec(PerImageSpec):
    """Accuracy under random noise of growing norm: a control for every attack, which needs far less.

    norm: "rms" is L2 by the root of how many values an image has, so that a size says the same of images of any size.
    """

    study: Literal["noise"] = "noise"
    norm: Literal["l1", "l2", "linf", "rms"] = "l2"
    sizes: Annotated[list[float], AfterValidator(distinct)] = Field(default=[0.0, 1.0, 2.0, 4.0, 8.0], min_length=1)


def work(spec: NoiseSpec, classifier: Classifier, shard: Shard) -> Mapping[str, Sequence[Any]]:
    """One draw for each image, scaled to every size, added and clipped."""
    norm = norm_named("l2" if spec.norm == "rms" else spec.norm)
    draws = Rng(spec.seed, shard.ids).normal("noise", shard.images)
    draws /= norm.measure(draws).view(-1, 1, 1, 1)
    if spec.norm == "rms":
        draws *= math.sqrt(draws[0].numel())
    predicted = [classifier.logits(clip(shard.images + size * draws), plain=True).argmax(1) for size in spec.sizes]
    return {
        "example": [one for one in shard.ids for _ in spec.sizes],
        "size": [*spec.sizes] * len(shard.ids),
        "label": shard.labels.repeat_interleave(len(spec.sizes)).tolist(),
        "prediction": torch.stack(predicted, 1).flatten().tolist(),
    }


def tell(manifest: Manifest, records: pd.DataFrame) -> Told:
    """A curve for each model, and the same as a table with intervals."""
    right = records.assign(right=records["prediction"] == records["label"])
    found = right.groupby(["model", "size"], sort=False)["right"].agg(["sum", "count"])
    rows = [(str(name), float(size), rate(int(good), int(of))) for (name, size), (good, of) in found.iterrows()]
    names = dict.fromkeys(name for name, _, _ in rows)
    points = {name: [(size, one.value or 0.0) for other, size, one in rows if other == name] for name in names}
    curves = [Curve(name, *map(tuple, zip(*mine, strict=True))) for name, mine in points.items()]
    sentence = (
        f"How accurate {' and '.join(names)} stay on {counted(manifest.examples, 'image')}, as random noise grows."
    )
    kind = manifest.settings["norm"]
    axis = f"{'root mean square' if kind == 'rms' else f'{norm_text(kind)} norm'} of the noise"
    return Told((sentence,), axis, "accuracy", tuple(curves), ("model", axis, "accuracy"), tuple(rows))


register_per_image("noise", NoiseSpec, work, tell)
