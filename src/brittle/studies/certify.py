"""Certificates beside attacks: for each image, how far its class is proven and where it is lost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, final

import pandas as pd
import torch
from pydantic import Field
from torch import Tensor

from brittle.attacks import Attack
from brittle.catalog import attacks_from
from brittle.errors import BrittleError
from brittle.explain.chain import Chain, chain_of
from brittle.explain.crown import Ball, certified_radius, crown, differences, ibp
from brittle.explain.inside import network_of
from brittle.explain.lipsdp import MOST_UNITS, lipsdp, product_constant
from brittle.goals import Untargeted
from brittle.measure import Curve, Sized, Told, rate
from brittle.measure.attack import number
from brittle.models.classifier import Classifier
from brittle.pages.words import norm_text
from brittle.records import Manifest
from brittle.rng import Rng
from brittle.run.attack import attack_graded
from brittle.run.sources import Shard
from brittle.studies.per_image import PerImage, PerImageSpec, register_per_image
from brittle.text import counted, significant

ATTACK = "attack"
_ROUNDING = 1e-5  # of a distance, by which an attack may seem to be inside a proven radius: pixels are float32


@final
class CertifySpec(PerImageSpec):
    """How far each image's class is proven (intervals, CROWN, LipSDP), beside the nearest image that an attack finds.

    eps: radii of the table. attack: a minimal one; default: "minimal" in the norm.
    """

    study: Literal["certify"] = "certify"
    norm: Ball = "linf"
    eps: list[float] = Field(default=[0.1, 0.3], min_length=1)
    attack: str | None = None

    def open(self) -> PerImage:
        """The study; BrittleError for a network that no certificate is known for."""
        study = super().open()
        self.made()
        for one in study.sources.of.values():
            chain_of(network_of(one.classifier), one.examples.images(0, 1).to(one.classifier.device))
        return study

    def made(self) -> Attack:
        """The attack."""
        text = f"minimal,norm={self.norm}" if self.attack is None else self.attack
        made = attacks_from(text)
        if len(made) != 1:
            raise BrittleError(f"expected one attack beside the certificates, got {len(made)} by {text!r}")
        attack: Attack = made[0]
        return attack


@final
@dataclass(frozen=True)
class Proofs:
    """What proves radii for one network in one norm."""

    chain: Chain
    norm: Ball

    @cached_property
    def constants(self) -> Mapping[str, Tensor]:
        """L2 Lipschitz constants ``[K, K]`` of differences of logits."""
        if self.norm == "linf":
            return {}
        classes = len(self.chain.biases[-1])
        found = {"product": torch.full((classes, classes), math.sqrt(2) * product_constant(self.chain))}
        return found | ({"lipsdp": lipsdp(self.chain)} if self.chain.hidden <= MOST_UNITS else {})

    def radii(self, pixels: Tensor, label: int, start: float) -> dict[str, float]:
        """By method; all 0 for an image that is classified wrongly. start: from where a radius is searched."""
        values = pixels
        for place, activation in enumerate(self.chain.activations):
            values = getattr(torch, activation)(self.chain.weights[place] @ values + self.chain.biases[place])
        weight, bias = differences(self.chain, label)
        margins = (weight @ values + bias).cpu()
        others = [one for one in range(len(bias) + 1) if one != label]
        found = {name: float((margins / of[label, others]).min()) for name, of in self.constants.items()}
        searched = {"ibp": ibp} | ({} if set(self.chain.activations) - {"relu"} else {"crown": crown})
        for name, bound in searched.items():
            certain = bool((margins > 0).all())
            found[name] = certified_radius(bound, self.chain, pixels, label, self.norm, start) if certain else 0.0
        return {name: max(radius, 0.0) for name, radius in found.items()}


_LAST: dict[tuple[str, str], Proofs] = {}  # of the last network: its shards follow one another


def work(spec: CertifySpec, classifier: Classifier, shard: Shard) -> Mapping[str, Sequence[Any]]:
    """The radii of each method, and the distance of the attack; BrittleError where one contradicts the other."""
    network = network_of(classifier)
    key = network.fingerprint, spec.norm
    if key not in _LAST:
        _LAST.clear()
        _LAST[key] = Proofs(chain_of(network, shard.images[:1]), spec.norm)
    goal, rng = Untargeted(shard.labels, network.reject), Rng(spec.seed, shard.ids)
    found = attack_graded(network, shard.images, goal, spec.made(), rng, shard.logits)
    distances = torch.where(found.fooled, found.distance(spec.norm).double(), torch.inf)
    whole = 1.0 if spec.norm == "linf" else math.sqrt(shard.images[0].numel())
    rows: list[tuple[str, int, str, float]] = []
    for example, image, label, distance in zip(
        shard.ids, shard.images, shard.labels.tolist(), distances.tolist(), strict=True
    ):
        start = 2 * distance if 0 < distance < whole else whole
        radii = _LAST[key].radii(image.double().flatten(), label, start)
        for name, radius in radii.items():
            check_order(example, name, radius, distance)
        rows += [(example, label, name, radius) for name, radius in (radii | {ATTACK: distance}).items()]
    names = ("example", "label", "method", "radius")
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def check_order(example: str, method: str, radius: float, distance: float) -> None:
    """BrittleError where an attack has been where a proof says that nothing is."""
    if distance < radius * (1 - _ROUNDING):
        raise BrittleError(
            f"example {example!r} is certified to {significant(radius)} by {method}, and an attack changes its class at"
            f" {significant(distance)}: one of the two is wrong, and so are all certificates of this run; please report"
            " it with the network"
        )


def tell(manifest: Manifest, records: pd.DataFrame) -> Told:
    """Curves of the share that is proven at each radius, below that which no attack has changed."""
    eps, norm = manifest.settings["eps"], manifest.settings["norm"]
    several = len(manifest.models) > 1
    curves, rows, sentences = list[Curve](), list[Any](), list[str]()
    for name, mine in records.groupby("model", sort=False):
        for method, ones in mine.groupby("method", sort=False):
            radii = ones["radius"].to_numpy()
            title = "not changed by the attack" if method == ATTACK else f"certified by {method}"
            finite = sorted(float(one) for one in radii if 0 < one < math.inf)
            shares = [float((radii >= one).mean()) for one in finite]
            start = (0.0, float((radii > 0).mean()))
            points = [start, *zip(finite, shares, strict=True)]
            curves.append(Curve(f"{name}, {title}" if several else title, *map(tuple, zip(*points, strict=True))))
            measured = [rate(int(((radii > 0) & (radii >= one)).sum()), len(radii)) for one in eps]
            middle = Sized(number(float(pd.Series(radii).median()), len(radii)), "")
            rows.append((*((str(name),) if several else ()), title, middle, *measured))
        best = mine[mine["method"] != ATTACK].groupby("example")["radius"].max()
        proven = ", ".join(f"{int(((best > 0) & (best >= one)).sum())} at {one:g}" for one in eps)
        sentences.append(
            f"{name}: of {counted(len(best), 'image')} the class is proven in {norm_text(norm)} for {proven}. No attack"
            " contradicts a certificate."
        )
    axis = f"radius, {norm_text(norm)}"
    heads = (*(("model",) if several else ()), "what", "median radius", *(f"at {one:g}, share" for one in eps))
    return Told(tuple(sentences), axis, "share", tuple(curves), heads, tuple(rows))


register_per_image("certify", CertifySpec, work, tell)
