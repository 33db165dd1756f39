"""BestOf: several attacks, and of each image the best result."""

from dataclasses import dataclass
from typing import final

import torch

from brittle.attacks._contract import Outcome, require, require_norms
from brittle.attacks._loop import ActiveSet, BestSoFar, looked_at
from brittle.attacks.deepfool import DeepFool
from brittle.catalog import ATTACKS, Method, label_of, option, register, traits_of
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images


@register("best-of", paper="-", kind="wrapper", access="decision", cost="the sum of the attacks'")
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class BestOf:
    """Runs several attacks of one norm and keeps the best result of each image.

    Of minimal attacks the smallest perturbation is kept. Budget attacks, which must share one eps, run in the order
    given, each on the images that the ones before it have not fooled. Results that an attack has not itself seen to
    succeed, such as FGSM's, are looked at.
    """

    attacks: tuple[Method, ...] = option(
        (DeepFool(), DeepFool(candidates=1)), "the attacks, of one kind and norm", of=ATTACKS
    )

    def __post_init__(self) -> None:
        require_norms(self, *self.attacks)
        first, *others = (traits_of(one)[:3] for one in self.attacks)
        for attack, traits in zip(self.attacks[1:], others, strict=True):
            require(
                traits == first,
                f"attacks of one kind, norm and eps ({label_of(self.attacks[0])} is {_words(first)})",
                f"{label_of(attack)}, which is {_words(traits)}",
            )

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        traits = traits_of(self)
        best = BestSoFar(images, traits.norm)
        steps, forwards, backwards = (torch.zeros_like(goal.labels) for _ in range(3))
        active = ActiveSet(len(images), images.device)
        for attack in self.attacks:
            rows = active.rows
            if not len(rows):
                break
            run: Outcome = attack(classifier, images[rows], goal[rows], rng=rng[rows])
            found = looked_at(attack, classifier, images[rows], goal[rows], run)
            best.offer(rows, found.images, found.claimed)
            steps[rows] += found.steps
            forwards[rows] += found.forwards
            backwards[rows] += found.backwards
            active.drop(best.claimed[rows] if traits.kind == "budget" else best.size[rows] == 0)
        return Outcome(best.images, best.claimed, steps, forwards, backwards)


def _words(traits: tuple[object, ...]) -> str:
    kind, norm, eps = traits
    return f"{kind} {norm}" if eps is None else f"{kind} {norm} with eps {eps:g}"
