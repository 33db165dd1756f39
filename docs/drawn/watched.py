"""What an attack does, seen from the one door that it must go through: no attack knows that it is watched."""

from typing import NamedTuple, final

import torch
from torch import Tensor

from brittle.attacks import Attack, Outcome
from brittle.goals import Goal, Untargeted
from brittle.models.around import Passing
from brittle.models.classifier import Classifier, Pullback, Settings
from brittle.rng import Rng
from brittle.types import Images, Logits


class Asked(NamedTuple):
    """Images ``[n, C, H, W]`` that a classifier was asked about at once; slope: for more than logits."""

    images: Images
    slope: bool


@final
class Watched(Passing):
    """A classifier that remembers, in ``asked``, all that it was asked about."""

    def __init__(self, inner: Classifier) -> None:
        self.inner = inner
        self.asked: list[Asked] = []

    def logits(self, images: Images, *, plain: bool = False) -> Logits:
        self.asked.append(Asked(images.detach().clone(), slope=False))
        return self.inner.logits(images, plain=plain)

    def linearize(self, images: Images) -> tuple[Logits, Pullback]:
        self.asked.append(Asked(images.detach().clone(), slope=True))
        return self.inner.linearize(images)

    def adjusted(self, said: Settings) -> "Watched":
        return Watched(self.inner.adjusted(said))


class Walk(NamedTuple):
    """What an attack asked about, in order, and what it found."""

    asked: list[Asked]
    outcome: Outcome

    def points(self, *, slope: bool) -> list[Tensor]:
        """The images ``[C, H, W]`` of all questions of a kind, one after another, of which none repeats the last."""
        found: list[Tensor] = []
        for asked in self.asked:
            if asked.slope == slope:
                found += [one for one in asked.images if not found or not torch.equal(one, found[-1])]
        return found


def watch(method: Attack, classifier: Classifier, image: Tensor, goal: Goal | None = None, seed: int = 0) -> Walk:
    """An attack on one image ``[C, H, W]``; by default to leave the class that it has."""
    images = image.unsqueeze(0)
    if goal is None:
        goal = Untargeted(classifier.logits(images).argmax(1))
    watched = Watched(classifier)
    outcome = method(watched, images, goal, rng=Rng(seed, ("the image",)))
    return Walk(watched.asked, outcome)
