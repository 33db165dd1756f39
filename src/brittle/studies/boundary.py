"""Boundaries as a study: maps of decisions around images, and how the boundary turns on its way."""

import math
from collections.abc import Sequence
from typing import Any, Literal, final

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from brittle.catalog import ATTACKS, label_of
from brittle.explain.boundary import basis, crossing, linear_distance, map_of, turning
from brittle.goals import Untargeted
from brittle.measure import Curve, Told
from brittle.measure.told import Cell, Shelf, Tile
from brittle.models.classifier import Classifier
from brittle.pages.decisions import Mark, decisions_picture
from brittle.pages.pictures import photograph, png_with_texts
from brittle.records import Manifest
from brittle.rng import Rng
from brittle.run.attack import check_access
from brittle.run.sources import Shard
from brittle.studies.per_image import Drawn, PerImage, PerImageSpec, register_per_image
from brittle.text import counted, significant

REACHES = (0.125, 0.25, 0.5, 1.0, 2.0)
"""Along the boundary, times the distance to it."""
_TANGENTS = 4
_AROUND = 4.0  # times the way to the adversarial example, from the image to the edges of a map
_FINER = 3  # pixels of a picture for each point that is asked about


@final
class BoundarySpec(PerImageSpec):
    """Maps of the decisions around images, and how the boundary turns along the way.

    attacks: one, and another for a second map; the first is to be a minimal one. size: points of a map's side.
    """

    study: Literal["boundary"] = "boundary"
    limit: int | None = 4
    attacks: list[str] = Field(default=["deepfool", "deepfool,norm=linf"], min_length=1, max_length=2)
    size: int = Field(default=49, ge=9, le=257)

    def open(self) -> PerImage:
        """The study, with its models and data loaded; BrittleError for attacks that a model gives too little for."""
        methods = [ATTACKS.one(text) for text in self.attacks]
        study = PerImageSpec.open(self)
        for source in study.sources.of.values():
            for method in methods:
                check_access(method, source.classifier)
        return study


def work(spec: BoundarySpec, classifier: Classifier, shard: Shard) -> Drawn:
    """Each image by itself: its adversarial examples, its maps, and the boundary about the nearest one."""
    methods = [ATTACKS.one(text) for text in spec.attacks]
    rng = Rng(spec.seed, shard.ids)
    found = list[Tensor]()
    for method in methods:
        goal = Untargeted(shard.labels, classifier.reject)
        found.append(method(classifier, shard.images, goal, rng=rng).images)
    columns: dict[str, list[Any]] = {key: [] for key in _COLUMNS}
    files = dict[str, bytes]()
    right = shard.prediction == shard.labels
    answers = [classifier.logits(one, plain=True).argmax(1) for one in found]
    random = rng.normal("plane", shard.images)
    tangents = rng.normal("tangents", shard.images.new_empty(len(shard.ids), _TANGENTS, *shard.images.shape[1:]))
    for row, example in enumerate(shard.ids):
        image, label = shard.images[row], int(shard.labels[row])
        usable = bool(right[row]) and all(int(answer[row]) != label for answer in answers)
        rows = [_nothing(reach) for reach in REACHES]
        position = shard.start + row
        names = [f"{position:06d}-{number}.png" for number in range(len(methods))] if usable else []
        if usable:
            rows = _turns(classifier, image, found[0][row], label, tangents[row])
            pictures = _maps(spec, classifier, image, label, [one[row] for one in found], random[row])
            files |= dict(zip(names, pictures, strict=True))
            files[f"{position:06d}-image.png"] = png_with_texts(photograph(image.cpu().numpy()))
        for values in rows:
            columns["example"].append(example)
            columns["position"].append(position)
            columns["label"].append(label)
            columns["pictures"].append(len(names))
            for key, value in values.items():
                columns[key].append(value)
    return Drawn(columns, files)


_COLUMNS = (
    *("example", "position", "label", "pictures"),
    *("other", "distance", "linear", "reach", "along", "angle", "points"),
)


def _nothing(reach: float) -> dict[str, Any]:
    """Of an image that is not classified as its label says, or that an attack did not fool."""
    unknown = dict.fromkeys(("distance", "linear", "along", "angle"), math.nan)
    return {"other": -1, "reach": reach, "points": 0, **unknown}


def _turns(classifier: Classifier, image: Tensor, beyond: Tensor, label: int, tangents: Tensor) -> list[dict[str, Any]]:
    """A row for each reach: the mean turn over the tangents along which the boundary was found."""
    labels = torch.tensor([label], device=image.device)
    met = crossing(classifier, image[None], beyond[None], labels)
    other, point = int(met.others[0]), met.points[0]
    distance = float((point - image).norm())
    linear = float(linear_distance(classifier, image[None], labels, met.others)[0])
    logits = classifier.logits(image[None], plain=True)[0]
    gap = float(logits[label] - logits[other])
    found = turning(classifier, point, label, other, tangents, [reach * distance for reach in REACHES], gap)
    rows = []
    for column, reach in enumerate(REACHES):
        there = ~found.angles[:, column].isnan()
        points = int(there.sum())
        along, angle = (
            float(one[:, column][there].mean()) if points else math.nan for one in (found.distances, found.angles)
        )
        rows.append(
            {
                "other": other,
                "distance": distance,
                "linear": linear,
                "reach": reach,
                "along": along,
                "angle": math.degrees(angle),
                "points": points,
            }
        )
    return rows


def _maps(
    spec: BoundarySpec, classifier: Classifier, image: Tensor, label: int, found: Sequence[Tensor], random: Tensor
) -> list[bytes]:
    """The first attack's direction with a random one, and with that of the second attack."""
    changes = [one - image for one in found]
    planes = [(random, "a random direction"), *((change, label_of_attack(spec, 1)) for change in changes[1:])]
    drawn = list[tuple[Tensor, list[Mark], float, str]]()
    for second, name in planes:
        axes = basis(changes[0], second)
        places = [torch.einsum("kchw,chw->k", axes, change).tolist() for change in changes[: len(drawn) + 1]]
        reach = _AROUND * max(max(abs(one) for one in place) for place in places)
        logits = map_of(classifier, image, axes, reach, spec.size)
        drawn.append((logits, [Mark(x / reach, y / reach, "adversarial") for x, y in places], reach, name))
    named = _named(classifier, label, [logits for logits, *_ in drawn])
    return [
        png_with_texts(
            decisions_picture(
                *_decided(logits),
                named,
                [Mark(0, 0, "image"), *marks],
                (f"{label_of_attack(spec, 0)}, edge {significant(reach)} away", name),
            )
        )
        for logits, marks, reach, name in drawn
    ]


def label_of_attack(spec: BoundarySpec, number: int) -> str:
    """As records call it."""
    return label_of(ATTACKS.one(spec.attacks[number]))


def _decided(logits: Tensor) -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
    """Classes, and how much likelier than the next the first one is, between the points that were asked about too."""
    size = _FINER * (len(logits) - 1) + 1
    fine = functional.interpolate(logits.permute(2, 0, 1)[None], (size, size), mode="bilinear", align_corners=True)[0]
    first, second = fine.topk(2, 0).values
    return fine.argmax(0).cpu().numpy(), torch.tanh((first - second) / 4).double().cpu().numpy()


def _named(classifier: Classifier, label: int, maps: Sequence[Tensor]) -> dict[int, str]:
    """The classes of all maps of an image: its own, and then by how much of them they have."""
    counts = torch.cat([one.flatten(0, 1) for one in maps]).argmax(1).bincount()
    order = [label, *(k for k in counts.argsort(descending=True, stable=True).tolist() if counts[k] and k != label)]
    fine = {int(k) for one in maps for k in np.unique(_decided(one)[0])}  # what only stands between points
    order += sorted(fine - set(order))
    return {k: classifier.class_names[k] if classifier.class_names else str(k) for k in order}


def tell(manifest: Manifest, records: pd.DataFrame) -> Told:
    """How flat the boundaries are, and the maps."""
    curves, rows, sentences = [], list[tuple[Cell, ...]](), []
    names = [model.name for model in manifest.models]
    for name in names:
        mine = records[(records["model"] == name) & (records["points"] > 0)]
        if not len(mine):
            sentences.append(f"No boundary of {name} was reached: no image that it got right fooled it under attack.")
            continue
        turns = mine.groupby("reach")["angle"].median()
        curves.append(Curve(name, tuple(map(float, turns.index)), tuple(map(float, turns))))
        images = mine.drop_duplicates("example")
        ratio = float((images["distance"] / images["linear"]).median())
        whole = mine.loc[mine["reach"] == 1.0, "angle"]
        sentences.append(
            f"Along as much of the boundary of {name} as it is away from an image, "
            + (
                f"it turns by {significant(float(whole.median()), 2)} degrees (median of"
                f" {counted(len(whole), 'image')})."
                if len(whole)
                else "none of it was found: it has turned away by then."
            )
        )
        sentences.append(
            f"The boundary of {name} is {significant(ratio)} times as far away as it seems by the slope at the image."
        )
        for reach, some in mine.groupby("reach"):
            curvature = float((np.radians(some["angle"]) / some["along"]).median())
            rows.append((name, float(reach), str(len(some)), float(some["angle"].median()), curvature))
    x, y = "way along the boundary, times the distance to it", "degrees by which its normal turns"
    heads = ("network", x, "images", y, "radians for each unit of L2")
    sentences.append(
        "Chance is a right angle. A map is plane also where it leaves the valid pixels; asked is a grid of points, and"
        " what lies between them is interpolated. Darker is surer."
    )
    return Told(tuple(sentences), x, y, tuple(curves), heads, tuple(rows), shelves=_shelves(manifest, records))


def _shelves(manifest: Manifest, records: pd.DataFrame) -> tuple[Shelf, ...]:
    names = {model.name: model for model in manifest.models}
    first = records.drop_duplicates(["model", "example"])
    attacks = manifest.settings["attacks"]
    planes = [f"{attacks[0]} and chance", *(f"{attacks[0]} and {other}" for other in attacks[1:])]
    shelves = []
    for (position, example), mine in first.groupby(["position", "example"], sort=False):
        tiles = [
            Tile(
                f"{one['model']}: {planes[number]}",
                f"pictures/{names[one['model']].slug}/{int(position):06d}-{number}.png",
                (f"boundary {significant(one['distance'])} away, to {names[one['model']].class_names[one['other']]}",),
            )
            for _, one in mine.iterrows()
            for number in range(one["pictures"])
        ]
        if tiles:
            label = next(iter(names.values())).class_names[mine.iloc[0]["label"]]
            image = Tile("the image", tiles[0].file.rpartition("-")[0] + "-image.png", (str(label),))
            shelves.append(Shelf(f"{label}, image {example}", (image, *tiles)))
    return tuple(shelves)


register_per_image("boundary", BoundarySpec, work, tell)
