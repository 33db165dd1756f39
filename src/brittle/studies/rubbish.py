"""Rubbish: how confidently classifiers see classes in noise, which shows none."""

from collections.abc import Sequence
from typing import Any, Literal, final

import pandas as pd
from pydantic import Field

from brittle.catalog import ATTACKS, label_of, refuse_goal, traits_of
from brittle.geometry.box import clip
from brittle.goals import Targeted
from brittle.measure import Told, rate
from brittle.measure.attack import mean
from brittle.measure.told import Cell, Shelf, Tile
from brittle.models.classifier import Classifier
from brittle.pages.pictures import photograph, png_with_texts
from brittle.records import Manifest
from brittle.rng import Rng
from brittle.run.attack import check_access
from brittle.run.sources import Shard
from brittle.studies.per_image import Drawn, PerImage, PerImageSpec, register_per_image
from brittle.text import counted, percent
from brittle.types import Images

FREE, BOXED = "normal noise", "normal noise clipped"
"""Of N(0, 1), as published, with values that no image has; and the same within the box."""
SURE = 0.5
"""A classifier that gives a class more than this has taken noise for it."""


@final
class RubbishSpec(PerImageSpec):
    """Noise that classifiers take for a class, and with what confidence; and how easily it is turned into a class.

    data: of which only the images' shape is asked, and their number. attacks: from noise within the box towards a class
    drawn for each image. pictures: of so many of these.
    """

    study: Literal["rubbish"] = "rubbish"
    limit: int | None = 1000
    attacks: list[str] = Field(default=["fgsm,eps=0.1", "pgd,eps=1,steps=20"])
    pictures: int = Field(default=4, ge=0)

    def open(self) -> PerImage:
        """The study, with its models and data loaded; BrittleError for an attack that a model gives too little for."""
        methods = [ATTACKS.one(text) for text in self.attacks]
        for method in methods:
            refuse_goal(method, Targeted, traits_of(method).goals)
        study = PerImageSpec.open(self)
        for source in study.sources.of.values():
            for method in methods:
                check_access(method, source.classifier)
        return study


def work(spec: RubbishSpec, classifier: Classifier, shard: Shard) -> Drawn:
    """A draw for each image: as it is, within the box, and after each attack. The image itself is not asked about."""
    rng = Rng(spec.seed, shard.ids)
    noise = rng.normal("rubbish", shard.images)
    seen = {FREE: noise, BOXED: clip(noise)}
    classes = shard.logits.shape[1]
    drawn = (rng.uniform("class", shard.images[:, 0, 0, 0]) * classes).long().clamp_max(classes - 1)
    logits = classifier.logits(seen[BOXED], plain=True)
    for text in spec.attacks:
        method = ATTACKS.one(text)
        with classifier.settled(seen[BOXED], logits) as rounding:
            outcome = method(classifier, seen[BOXED], Targeted(drawn, rounding), rng=rng)
        seen[label_of(method)] = outcome.images
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    answers = {kind: classifier.logits(one, plain=True).softmax(1).max(1) for kind, one in seen.items()}
    for row, example in enumerate(shard.ids):
        for number, (kind, (confidence, prediction)) in enumerate(answers.items()):
            target = int(drawn[row]) if number > 1 else -1
            values = (example, shard.start + row, kind, target, int(prediction[row]), float(confidence[row]))
            for name, value in zip(COLUMNS, values, strict=True):
                columns[name].append(value)
    shown = range(min(len(shard.ids), max(0, spec.pictures - shard.start)))
    return Drawn(
        columns,
        {
            f"{shard.start + row:06d}-{number}.png": _png(one[row])
            for row in shown
            for number, one in enumerate(list(seen.values())[1:])
        },
    )


COLUMNS = ("example", "position", "kind", "target", "prediction", "confidence")
"""target: the class that was drawn; -1 of noise as it is."""


def _png(image: Images) -> bytes:
    return png_with_texts(photograph(image.cpu().numpy()))


HEADS = (
    "model",
    "kind",
    "sure",
    "confidence of these",
    "confidence",
    "taken for the class drawn",
)


def tell(manifest: Manifest, records: pd.DataFrame) -> Told:
    """Shares and means for each kind of noise."""
    rows, sentences = list[tuple[Cell, ...]](), list[str]()
    names = {model.name: model.class_names for model in manifest.models}
    for (model, kind), mine in records.groupby(["model", "kind"], sort=False):
        sure = mine[mine["confidence"] > SURE]
        asked = mine[mine["target"] >= 0]
        reached = rate(int((asked["prediction"] == asked["target"]).sum()), len(asked))
        common = int(mine["prediction"].mode().iloc[0])
        share = percent(float((mine["prediction"] == common).mean()))
        over = rate(len(sure), len(mine))
        of_sure, of_all = (mean(one["confidence"]) for one in (sure, mine))
        rows.append((str(model), str(kind), over, of_sure, of_all, reached))
        if kind in (FREE, BOXED):
            sentences.append(
                f"{model} takes {percent(over.value or 0.0)} of {counted(len(mine), 'draw')} of {kind} for a class with"
                f" more confidence than one half; its commonest answer is {names[str(model)][common]} ({share})."
            )
    sentences.append("Attacks go from noise within the box towards a class that is drawn for each image.")
    return Told(tuple(sentences), heads=HEADS, rows=tuple(rows), shelves=_shelves(manifest, records))


def _shelves(manifest: Manifest, records: pd.DataFrame) -> tuple[Shelf, ...]:
    shelves, shown = [], records[records["position"] < manifest.settings["pictures"]]
    for model in manifest.models:
        for position, mine in shown[shown["model"] == model.name].groupby("position", sort=True):
            tiles: Sequence[Tile] = [
                Tile(
                    str(one["kind"]),
                    f"pictures/{model.slug}/{int(str(position)):06d}-{number}.png",
                    (f"{model.class_names[one['prediction']]}, {percent(one['confidence'])}",),
                )
                for number, (_, one) in enumerate(mine.iloc[1:].iterrows())
            ]
            shelves.append(Shelf(f"{model.name}, draw {int(str(position)) + 1}", tuple(tiles)))
    return tuple(shelves)


register_per_image("rubbish", RubbishSpec, work, tell)
