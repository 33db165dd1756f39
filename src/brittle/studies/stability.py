"""Instability by layer: what the layers' norms allow, and what attacks and noise really do, image by image."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, final

import torch
from pydantic import Field

from brittle.attacks import Attack
from brittle.catalog import attacks_from, label_of, traits_of
from brittle.errors import BrittleError
from brittle.explain.amplification import amplified
from brittle.explain.bounds import Bound, bounds_of
from brittle.explain.inside import layers_of, network_of
from brittle.explain.lanczos import jacobian_norm
from brittle.goals import Untargeted
from brittle.models.classifier import Classifier
from brittle.models.network import Network
from brittle.rng import Rng
from brittle.run.attack import attack_graded
from brittle.run.sources import Shard
from brittle.studies.control import noise_like
from brittle.studies.per_image import PerImage, PerImageSpec, register_per_image
from brittle.studies.stability_told import BOUND, JACOBIAN, LOGITS, NOISE, OWN, tell
from brittle.types import Images


@final
class StabilitySpec(PerImageSpec):
    """How much larger each layer makes a change: operator norms and their product beside attacks and noise.

    attacks: as on the command line; noise of the same size stands beside each.
    """

    study: Literal["stability"] = "stability"
    attacks: list[str] = Field(default=["minimal,norm=l2"], min_length=1)

    def open(self) -> PerImage:
        """The study; BrittleError for what has no layers."""
        study = super().open()
        self.made()
        for one in study.sources.of.values():
            network_of(one.classifier)
        return study

    def made(self) -> list[Attack]:
        """The attacks, with sweeps spread out."""
        return [one for text in self.attacks for one in attacks_from(text)]


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
    changed = _changed(spec, network, shard)
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


def _changed(spec: StabilitySpec, network: Network, shard: Shard) -> dict[str, Images]:
    """By what is done, images as the shard has them."""
    goal, rng = Untargeted(shard.labels, network.reject), Rng(spec.seed, shard.ids)
    found = dict[str, Images]()
    for method in spec.made():
        label, norm = label_of(method), traits_of(method).norm
        found[label] = attack_graded(network, shard.images, goal, method, rng, shard.logits).images
        size = norm.measure(found[label] - shard.images)
        found[f"{NOISE}{label}"], _ = noise_like(shard.images, size, norm, rng)
    return found


def _columns(rows: Sequence[tuple[Any, ...]]) -> dict[str, list[Any]]:
    names = ("example", "place", "layer", "kind", "what", "value", "said")
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


register_per_image("stability", StabilitySpec, work, tell, once)
