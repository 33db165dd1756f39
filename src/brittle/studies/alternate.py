"""Images pushed towards an alternate label, and noise of the same norm: gradients, and accuracy before and after."""

from itertools import combinations
from typing import Any, Literal, final

import pandas as pd
from pydantic import Field

from brittle.attacks import FGSM
from brittle.geometry.norms import L2
from brittle.geometry.scaling import scaled_to
from brittle.goals import Targeted
from brittle.measure import Told, rate
from brittle.measure.intervals import mcnemar
from brittle.measure.told import Cell, Shelf, Tile
from brittle.models.classifier import Classifier
from brittle.pages.pictures import perturbation_picture, photograph, png_with_texts
from brittle.records import Manifest
from brittle.rng import Rng
from brittle.run.sources import Shard
from brittle.studies.per_image import Drawn, PerImageSpec, register_per_image
from brittle.text import NONE, counted, significant

_KINDS = {"before": "as they are", "after": "towards the alternate label", "noise": "noise of the same L2 norm"}


@final
class AlternateSpec(PerImageSpec):
    """Accuracy before and after a signed gradient step towards an alternate label, beside noise of the same norm.

    eps: of the step, in L-infinity. The alternate label is the next one, and of the last class the first. pictures: of
    so many images, with their gradients.
    """

    study: Literal["alternate"] = "alternate"
    eps: float = Field(default=8 / 255, gt=0, le=1)
    pictures: int = Field(default=8, ge=0)


def work(spec: AlternateSpec, classifier: Classifier, shard: Shard) -> Drawn:
    """One step of FGSM by the alternate label, and normal noise that is as large in L2 within the box."""
    images = shard.images
    alternate = (shard.labels + 1) % shard.logits.shape[1]
    goal, rng = Targeted(alternate), Rng(spec.seed, shard.ids)
    after = FGSM(eps=spec.eps)(classifier, images, goal, rng=rng).images
    size = L2.measure(after - images)
    noisy, _ = scaled_to(images, rng.normal("noise", images), size, L2)
    predicted = {
        "before": shard.prediction,
        "after": classifier.logits(after, plain=True).argmax(1),
        "noise": classifier.logits(noisy, plain=True).argmax(1),
    }
    files, shown = dict[str, bytes](), [shard.start + row < spec.pictures for row in range(len(images))]
    if any(shown):
        _, gradients = classifier.gradient(images, goal.loss)
        for row in range(sum(shown)):
            largest = gradients[row].abs().amax().clamp_min(1e-30)
            drawn = {
                "image": photograph(images[row].cpu().numpy()),
                "gradient": perturbation_picture((gradients[row] / largest / 2.1).cpu().numpy())[0],
                "after": photograph(after[row].cpu().numpy()),
                "noise": photograph(noisy[row].cpu().numpy()),
            }
            files |= {f"{shard.start + row:06d}-{key}.png": png_with_texts(one) for key, one in drawn.items()}
    columns: dict[str, Any] = {
        "example": list(shard.ids),
        "position": list(range(shard.start, shard.start + len(images))),
        "label": shard.labels.tolist(),
        "alternate": alternate.tolist(),
        "distance": size.double().tolist(),
        **{key: one.tolist() for key, one in predicted.items()},
        "shown": shown,
    }
    return Drawn(columns, files)


def tell(manifest: Manifest, records: pd.DataFrame) -> Told:
    """Accuracies with intervals, and whether networks differ by more than chance, image by image."""
    names = [model.name for model in manifest.models]
    rows, sentences = list[tuple[Cell, ...]](), list[str]()
    for name in names:
        mine = records[records["model"] == name]
        right = {kind: int((mine[kind] == mine["label"]).sum()) for kind in _KINDS}
        reached = int((mine["after"] == mine["alternate"]).sum())
        rows += [(name, said, rate(right[kind], len(mine)), "") for kind, said in _KINDS.items()]
        sentences.append(
            f"{name} gets {right['before']:,} of {counted(len(mine), 'image')} right, {right['after']:,} after a step"
            f" of {significant(manifest.settings['eps'])} towards an alternate label ({reached:,} taken for it), and"
            f" {right['noise']:,} under noise of the same norm."
        )
    for one, other in combinations(names, 2):
        sides = [records[records["model"] == name].set_index("example") for name in (one, other)]
        there = sides[0].index.intersection(sides[1].index)
        for kind, said in _KINDS.items():
            first, second = (side.loc[there, kind] == side.loc[there, "label"] for side in sides)
            more, fewer = int((first & ~second).sum()), int((second & ~first).sum())
            p = significant(mcnemar(more, fewer))
            text = f"right by {one} alone {more:,}, by {other} alone {fewer:,}; McNemar's p {p}"
            rows.append((f"{one} beside {other}", said, NONE, text))
    heads = ("network", "images", "accuracy", "paired test")
    return Told(tuple(sentences), heads=heads, rows=tuple(rows), shelves=_shelves(manifest, records))


def _shelves(manifest: Manifest, records: pd.DataFrame) -> tuple[Shelf, ...]:
    shelves = []
    names = {model.name: model for model in manifest.models}
    for (position, example), mine in records[records["shown"]].groupby(["position", "example"], sort=True):
        tiles = list[Tile]()
        for _, one in mine.iterrows():
            model = names[one["model"]]
            place = f"pictures/{model.slug}/{int(position):06d}"
            classes = model.class_names
            if not tiles:
                tiles.append(Tile("the image", f"{place}-image.png", (classes[one["label"]],)))
            tiles += [
                Tile(f"{model.name}: gradient", f"{place}-gradient.png", (f"towards {classes[one['alternate']]}",)),
                Tile(f"{model.name}: after", f"{place}-after.png", (f"taken for {classes[one['after']]}",)),
                Tile(f"{model.name}: noise", f"{place}-noise.png", (f"taken for {classes[one['noise']]}",)),
            ]
        shelves.append(Shelf(f"{classes[one['label']]}, image {example}", tuple(tiles)))
    return tuple(shelves)


register_per_image("alternate", AlternateSpec, work, tell)
