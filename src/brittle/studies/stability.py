"""Instability by layer: what the layers' norms allow, and what attacks and noise really do, image by image."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, final

import torch
from pydantic import Field

from brittle.errors import BrittleError
from brittle.explain.amplification import amplified
from brittle.explain.bounds import LOGITS, Bound, bounds_of
from brittle.explain.inside import layers_of, network_of
from brittle.explain.lanczos import jacobian_norm
from brittle.models.classifier import Classifier
from brittle.run.sources import Shard
from brittle.studies.changed import ChangedSpec
from brittle.studies.per_image import register_per_image
from brittle.studies.stability_told import BOUND, JACOBIAN, OWN, tell
from brittle.types import Images


@final
class StabilitySpec(ChangedSpec):
    """How much larger each layer makes a change: operator norms and their product beside attacks and noise.

    attacks: as on the command line; noise of the same size stands beside each.
    """

    study: Literal["stability"] = "stability"
    attacks: list[str] = Field(default=["minimal,norm=l2"], min_length=1)


def once(spec: StabilitySpec, classifier: Classifier, image: Images) -> Mapping[str, Sequence[Any]]:
    """The bounds: two rows for each layer."""
    try:
        found = list(bounds_of(network_of(classifier), image))
    except BrittleError as error:
        found = [Bound(LOGITS, "function", None, None, str(error))]
    rows = [
        (one.name, one.kind, what, math.nan if value is None else value, one.said)
        for one in found
        for what, value in ((OWN, one.own), (BOUND, one.through))
    ]
    return _columns([("", number // 2, *row) for number, row in enumerate(rows)])


def work(spec: StabilitySpec, classifier: Classifier, shard: Shard) -> Mapping[str, Sequence[Any]]:
    """What each attack, and noise of its size, becomes behind each layer; and the Jacobian's norm at each image."""
    network = network_of(classifier)
    layers = [one for one in layers_of(network, shard.images[:1]) if not one.within and one.output is not None]
    changed = spec.changed(network, shard)
    kinds = {LOGITS: "function"} | {one.name: one.kind for one in layers}
    rows: list[tuple[Any, ...]] = []
    for row, example in enumerate(shard.ids):
        image = shard.images[row : row + 1]  # one at a time: then no result depends on others
        values = amplified(network, image, torch.stack([one[row] for one in changed.values()]), [*kinds][1:])
        rows += [
            (example, place, name, kinds[name], what, value, "")
            for what, line in zip(changed, values.tolist(), strict=True)
            for place, (name, value) in enumerate(zip([*[*kinds][1:], LOGITS], line, strict=True))
        ]
        rows.append((example, len(layers), LOGITS, "function", JACOBIAN, jacobian_norm(network.plain, image), ""))
    return _columns(rows)


def _columns(rows: Sequence[tuple[Any, ...]]) -> dict[str, list[Any]]:
    names = ("example", "place", "layer", "kind", "what", "value", "said")
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


register_per_image("stability", StabilitySpec, work, tell, once)
