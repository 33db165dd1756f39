"""How far the nearest boundary seems to be: the first steps of DeepFool, and what makes them long."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, final

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from torch import Tensor

from brittle.geometry.box import clip
from brittle.geometry.norms import L2, per_row
from brittle.measure import Curve, Sized, Told, rate, thin
from brittle.measure.attack import mean, median
from brittle.models.classifier import Classifier
from brittle.records import Manifest
from brittle.run.sources import Shard
from brittle.studies.per_image import PerImageSpec, register_per_image
from brittle.text import counted, percent, significant
from brittle.types import Images, Labels

_POINTS = 200
_ROW = "step {}"


@final
class FirstStepSpec(PerImageSpec):
    """How long the first steps to a boundary are, how flat the network is there, and what of them stays in the box.

    steps: how many, each from where the last one ended, beyond the pixels' range as the method's authors go. overshoot:
    as of DeepFool. candidates: classes whose boundary is looked at, nearest by logit.
    """

    study: Literal["first-step"] = "first-step"
    steps: int = Field(default=2, ge=1)
    overshoot: float = Field(default=0.01, ge=0)
    candidates: int = Field(default=9, ge=1)


def work(spec: FirstStepSpec, classifier: Classifier, shard: Shard) -> Mapping[str, Sequence[Any]]:
    """A row for each step of each image, until its class has changed; of one that is wrong already, one of zeros."""
    right = shard.prediction == shard.labels
    wrong, rows = (~right).nonzero().squeeze(1), right.nonzero().squeeze(1)
    nothing: dict[str, Any] = {name: [0.0] * len(wrong) for name in _NUMBERS}
    nothing |= {name: [False] * len(wrong) for name in _TRUTHS}
    ids = {"example": [shard.ids[row] for row in wrong.tolist()], "label": shard.labels[wrong].tolist()}
    made = [{**nothing, **ids, "step": [1] * len(wrong)}]
    images = shard.images[rows]
    for step in range(1, spec.steps + 1):
        if not len(rows):
            break
        labels = shard.labels[rows]
        sure, gap, normal = _nearest(classifier, images, labels, spec.candidates)
        slope = L2.measure(normal)
        move = (1 + spec.overshoot) * normal * per_row(torch.where(slope > 0, gap / slope.square(), 0.0), images)
        beyond, inside = images + move, clip(images + move)
        crossed = classifier.logits(beyond, plain=True).argmax(1) != labels
        found = {
            "label": labels,
            "right": torch.ones_like(crossed),
            "saturated": sure,
            "gap": gap.double(),
            "slope": slope.double(),
            "length": torch.where(slope > 0, L2.measure(move), torch.inf).double(),
            "inside": L2.measure(inside - images).double(),
            "crossed": crossed,
            "crossed_inside": classifier.logits(inside, plain=True).argmax(1) != labels,
        }
        known = {name: column.tolist() for name, column in found.items()}
        made.append({"example": [shard.ids[row] for row in rows.tolist()], "step": [step] * len(rows), **known})
        rows, images = rows[~crossed], beyond[~crossed]
    columns = {name: [one for part in made for one in part[name]] for name in COLUMNS}
    order = sorted(range(len(columns["example"])), key=lambda row: shard.ids.index(columns["example"][row]))
    return {name: [column[row] for row in order] for name, column in columns.items()}


_NUMBERS, _TRUTHS = ("gap", "slope", "length", "inside"), ("right", "saturated", "crossed", "crossed_inside")
COLUMNS = ("example", "step", "label", *_TRUTHS, *_NUMBERS)


def _nearest(classifier: Classifier, images: Images, labels: Labels, candidates: int) -> tuple[Tensor, Tensor, Images]:
    """Whether the softmax is saturated; gap and normal of the plane that seems nearest (DeepFool's equation 8)."""
    parts = [_nearest_of(classifier, images[part], labels[part], candidates) for part in classifier.chunks(len(images))]
    sure, gap, normal = (torch.cat(column) for column in zip(*parts, strict=True))
    return sure, gap, normal


def _nearest_of(
    classifier: Classifier, images: Images, labels: Labels, candidates: int
) -> tuple[Tensor, Tensor, Images]:
    logits, pullback = classifier.linearize(images)
    own = logits.gather(1, labels.unsqueeze(1))
    others = logits.scatter(1, labels.unsqueeze(1), -torch.inf).sort(dim=1, descending=True, stable=True)
    last = min(candidates, logits.shape[1] - 1)
    gap, normal = torch.zeros_like(own[:, 0]), torch.zeros_like(images)
    nearest = torch.full_like(gap, torch.inf)
    for rank in range(last):
        ways = torch.zeros_like(logits).scatter_(1, others.indices[:, rank : rank + 1], 1.0)
        w = pullback(ways.scatter_(1, labels.unsqueeze(1), -1.0), more=rank < last - 1)
        far, size = own[:, 0] - others.values[:, rank], L2.measure(w)
        distance = torch.where(size > 0, far / size, torch.inf)
        nearer = (distance < nearest) | (rank == 0)
        gap, normal = torch.where(nearer, far, gap), torch.where(per_row(nearer, w), w, normal)
        nearest = torch.where(nearer, distance, nearest)
    # In float32 the probability is 1 and the cross-entropy's gradient 0: see the decision about log-odds.
    return logits.softmax(1).gather(1, labels.unsqueeze(1))[:, 0] == 1, gap, normal


def tell(manifest: Manifest, records: pd.DataFrame) -> Told:
    """A row for each model and step; how the first steps' lengths are spread as curves."""
    rows: list[tuple[Any, ...]] = []
    sentences, curves = [f"How far the nearest boundary seems, on {counted(manifest.examples, 'image')}."], []
    right = records[records["right"]]
    for (model, step), mine in right.groupby(["model", "step"], sort=False):
        saturated = rate(int(mine["saturated"].sum()), len(mine))
        numbers = [
            Sized(mean(mine["gap"]), "logits"),
            Sized(mean(mine["slope"]), "logits"),
            Sized(mean(mine["length"]), "distance"),
            Sized(median(mine["length"]), "distance"),
            Sized(mean(mine["inside"]), "distance"),
        ]
        crossed = [rate(int(mine[name].sum()), len(mine)) for name in ("crossed", "crossed_inside")]
        rows.append((str(model), _ROW.format(step), saturated, *numbers, *crossed))
        if step == 1:
            length, middle, inside = (significant(one.measured.value or 0.0, 3) for one in numbers[2:])
            sentences.append(
                f"{model}: the first step is {length} long on average, {middle} in the middle, of which {inside} stay"
                f" within the pixels' range; the softmax is saturated on {percent(saturated.value or 0.0)} of images."
            )
            ends = np.sort(mine["length"][np.isfinite(mine["length"])].to_numpy())
            x, y = thin(ends, 1 - np.arange(1, len(ends) + 1) / len(mine), _POINTS)
            curves.append(Curve(str(model), tuple(map(float, x)), tuple(map(float, y))))
    x_axis, y_axis = "length of the first step, L2", "images whose step is longer, share"
    return Told(tuple(sentences), x_axis, y_axis, tuple(curves), HEADS, tuple(rows))


HEADS = (
    "model",
    "step",
    "saturated share",
    "logit gap",
    "slope",
    "length",
    "median length",
    "length in the box",
    "crossed rate",
    "crossed in the box rate",
)

register_per_image("first-step", FirstStepSpec, work, tell)
