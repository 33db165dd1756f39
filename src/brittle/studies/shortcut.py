"""Shortcuts: do classifiers go by what was planted into their training images, or by what these show?"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Literal, final

import torch
from pydantic import Field
from torch import Tensor

from brittle.catalog import ATTACKS, refuse_goal, traits_of
from brittle.data import load_data
from brittle.data.examples import Examples
from brittle.data.fit import Fit
from brittle.data.limit import ALL
from brittle.data.plants import PLANTS, STATES, Plant, planted_spec
from brittle.geometry.norms import L2
from brittle.goals import Targeted
from brittle.models.classifier import Classifier
from brittle.pages.pictures import perturbation_picture, photograph, png_with_texts
from brittle.rng import Rng
from brittle.run.attack import check_access
from brittle.run.grade import Rules, grade
from brittle.run.sources import Shard
from brittle.studies.opening import opened_sources
from brittle.studies.per_image import Drawn, PerImage, PerImageSpec, register_per_image
from brittle.studies.shortcut_told import tell
from brittle.types import Images


@final
class ShortcutSpec(PerImageSpec):
    """Accuracy with a plant, without it, and with it in the wrong images; and where attacks and slopes look.

    data: images without a plant. plant: that of ``planted:PLANT:DATA`` which a network was trained on. attack: towards
    the class that the plant tells where it is swapped. pictures: of so many images.
    """

    study: Literal["shortcut"] = "shortcut"
    plant: str = "line"
    attack: str = "minimal"
    pictures: int = Field(default=6, ge=0)

    def open(self) -> PerImage:
        """The study, with its models and data loaded; BrittleError for an attack that a model gives too little for."""
        method = ATTACKS.one(self.attack)
        refuse_goal(method, Targeted, traits_of(method).goals)
        kept = planted_spec(self.data, planted_by(self), "kept")
        sources = opened_sources(self.models, kept, self.limit, self.device, self.batch_size, self.seed)
        for source in sources.of.values():
            check_access(method, source.classifier)
        return PerImage(sources, self)


def planted_by(spec: ShortcutSpec) -> Plant:
    """The plant as in training."""
    plant: Plant = PLANTS.one(spec.plant)
    return replace(plant, state="kept")  # type: ignore[type-var]


@lru_cache(maxsize=2 * len(STATES))
def _examples(data: str, limit: int | None, fit: Fit | None) -> Examples:
    return load_data(data, limit=ALL if limit is None else limit, fit=fit)


def work(spec: ShortcutSpec, classifier: Classifier, shard: Shard) -> Drawn:
    """What is answered in each state, and how much of a change, of a slope and of noise is within the plant."""
    plant, stop = planted_by(spec), shard.start + len(shard.ids)
    images = {"kept": shard.images}
    for state in STATES[1:]:
        there = _examples(planted_spec(spec.data, plant, state), spec.limit, classifier.fit)
        images[state] = there.images(shard.start, stop).to(shard.images.device)
    answers = {state: classifier.logits(one, plain=True).argmax(1) for state, one in images.items()}
    labels = shard.labels.cpu()
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    measured, drawn = _attacked(spec, plant, classifier, shard)
    fits = {
        state: [
            replace(plant, state=state).fits(classes, labels, shard.ids).tolist()  # type: ignore[type-var]
            for classes in (labels, answer.cpu())
        ]
        for state, answer in answers.items()
    }
    for row, example in enumerate(shard.ids):
        for state in STATES:
            of_label, of_answer = fits[state]
            said = {"contrary": not of_label[row], "follows": of_answer[row]}
            found = {name: one[row] if state == "kept" else _NOTHING[name] for name, one in measured.items()}
            place = {"example": example, "position": shard.start + row, "state": state, "label": int(labels[row])}
            values = {**place, "prediction": int(answers[state][row]), **said, **found}
            for name in COLUMNS:
                columns[name].append(values[name])
    files = dict[str, bytes]()
    for row in range(min(len(shard.ids), max(0, spec.pictures - shard.start))):
        shown = {state: photograph(one[row].cpu().numpy()) for state, one in images.items()}
        if row in drawn:
            shown["change"], _ = perturbation_picture((drawn[row] - shard.images[row]).cpu().numpy())
            shown["attacked"] = photograph(drawn[row].cpu().numpy())
        files |= {f"{shard.start + row:06d}-{name}.png": png_with_texts(one) for name, one in shown.items()}
    return Drawn(columns, files)


COLUMNS = (
    *("example", "position", "state", "label", "prediction", "contrary", "follows"),
    *("met", "distance", "change_inside", "slope_inside", "noise_inside"),
)
"""contrary: the plant fits another class than the label; follows: it fits the answer. The last line: of images as in
training that are right; shares are of the squared L2 norm."""

_NOTHING: dict[str, Any] = {"met": False, **dict.fromkeys(COLUMNS[-4:], math.nan)}


def _attacked(
    spec: ShortcutSpec, plant: Plant, classifier: Classifier, shard: Shard
) -> tuple[dict[str, list[Any]], dict[int, Images]]:
    """The last columns, with nothing where they mean nothing, and the attacked images by row."""
    rows = (shard.prediction == shard.labels).nonzero().squeeze(1)
    measured: dict[str, list[Any]] = {name: [nothing] * len(shard.ids) for name, nothing in _NOTHING.items()}
    if not len(rows):
        return measured, {}
    images, logits = shard.images[rows], shard.logits[rows]
    ids: Sequence[str] = [shard.ids[row] for row in rows.tolist()]
    rng, method = Rng(spec.seed, tuple(ids)), ATTACKS.one(spec.attack)
    goal = Targeted(plant.rival(shard.labels[rows], logits.argsort(1, descending=True)))
    with classifier.settled(images, logits) as rounding:
        outcome = method(classifier, images, replace(goal, rounding=rounding), rng=rng)
    _, slopes = classifier.gradient(images, goal.loss)
    change = outcome.images - images
    met = grade(classifier, images, outcome, goal, Rules.of(method)).fooled.tolist()
    inside = {
        "change_inside": _inside(plant, change),
        "slope_inside": _inside(plant, slopes),
        "noise_inside": _inside(plant, rng.normal("noise", images)),
    }
    distances = L2.measure(change).tolist()
    for place, row in enumerate(rows.tolist()):
        measured["met"][row] = met[place]
        measured["distance"][row] = distances[place]
        for name, shares in inside.items():
            if name != "change_inside" or met[place]:
                measured[name][row] = float(shares[place])
    return measured, {row: outcome.images[place] for place, row in enumerate(rows.tolist()) if met[place]}


def _inside(plant: Plant, changes: Images) -> Tensor:
    """Shares of the squared L2 norm that are within the plant ``[N]``; 0 of nothing."""
    whole = changes.double().flatten(1).square().sum(1)
    part = plant.inside(changes).double().flatten(1).square().sum(1)
    return torch.where(whole > 0, part / whole.clamp_min(1e-300), 0.0)


register_per_image("shortcut", ShortcutSpec, work, tell)
