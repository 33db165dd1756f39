"""Error amplification: how large a change is behind each layer, by what is there without it (Lin et al. 2019)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, final

import pandas as pd
import torch
from pydantic import Field
from torch import nn

from brittle.explain.amplification import relative
from brittle.explain.inside import layers_of, network_of
from brittle.measure import Curve, Told
from brittle.measure.attack import median
from brittle.measure.told import Cell, Sized
from brittle.models.classifier import Classifier
from brittle.records import Manifest
from brittle.run.sources import Shard
from brittle.studies.changed import ChangedSpec
from brittle.studies.per_image import register_per_image

LOGITS, PIXELS = "logits", "pixels"


@final
class AmplificationSpec(ChangedSpec):
    """How a change grows from layer to layer, relative to what the layers give without it, for attacks and noise.

    attacks: as on the command line; noise of the same size stands beside each.
    """

    study: Literal["amplification"] = "amplification"
    attacks: list[str] = Field(default=["fgsm,eps=8/255"], min_length=1)


def work(spec: AmplificationSpec, classifier: Classifier, shard: Shard) -> Mapping[str, Sequence[Any]]:
    """The relative size of each change in the pixels, behind each convolution and linear layer, and in the logits."""
    network = network_of(classifier)
    own = {name for name, one in network.net.named_modules() if isinstance(one, nn.Conv2d | nn.Linear)}
    layers = [one.name for one in layers_of(network, shard.images[:1]) if one.name in own]
    changed = spec.changed(network, shard)
    rows: list[tuple[Any, ...]] = []
    for row, example in enumerate(shard.ids):
        image = shard.images[row : row + 1]  # one at a time: then no result depends on others
        mine = torch.stack([one[row] for one in changed.values()])
        before = ((mine - image).double().flatten(1).norm(dim=1) / image.double().norm()).unsqueeze(1)
        values = torch.cat([before, relative(network, image, mine, layers)], 1)
        rows += [
            (example, place, name, what, value)
            for what, line in zip(changed, values.tolist(), strict=True)
            for place, (name, value) in enumerate(zip([PIXELS, *layers, LOGITS], line, strict=True))
        ]
    names = ("example", "place", "layer", "what", "value")
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def tell(manifest: Manifest, records: pd.DataFrame) -> Told:
    """A row for each model, layer and change: the median over the images that were changed; and a curve of it."""
    changes = list(dict.fromkeys(records["what"]))
    curves, rows, sentences = list[Curve](), list[tuple[Cell, ...]](), list[str]()
    several = len(manifest.models) > 1
    pixels = records[records["layer"] == PIXELS].set_index(["model", "what", "example"])["value"]
    before = pixels.reindex(pd.MultiIndex.from_frame(records[["model", "what", "example"]])).to_numpy()
    values = records["value"].where(before > 0)
    records = records.assign(value=values, grown=values / before)
    for model, mine in records.groupby("model", sort=False):
        layers = mine.drop_duplicates("layer").sort_values("place")["layer"].tolist()
        found = {
            (layer, what): median(part["value"].dropna())
            for (layer, what), part in mine.groupby(["layer", "what"], sort=False)
        }
        rows += [(str(model), layer, *(Sized(found[layer, what], "times") for what in changes)) for layer in layers]
        for what in changes:
            line = [(float(place), found[layer, what].value) for place, layer in enumerate(layers)]
            points = [(x, math.log10(y)) for x, y in line if y]
            curves.append(
                Curve(f"{model}, {what}" if several else what, tuple(x for x, _ in points), tuple(y for _, y in points))
            )
        ends = mine[mine["layer"] == LOGITS].groupby("what", sort=False)["grown"]
        medians = {what: median(part.dropna()).value for what, part in ends}
        grown = ", ".join(f"{value:.3g} times for {what}" for what, value in medians.items() if value is not None)
        sentences.append(
            f"{model}: relative to what is there without it, a change grows from pixels to logits {grown} (medians)."
            if grown
            else f"{model}: nothing was changed."
        )
    heads = ("model", "layer", *changes)
    y = "size of the change by that of what it changes, power of 10"
    return Told(tuple(sentences), "layer", y, tuple(curves), heads, tuple(rows))


register_per_image("amplification", AmplificationSpec, work, tell)
