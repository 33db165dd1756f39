"""SuperDeepFool: DeepFool steps and projections in turn (Abdollahpoor et al. 2024, arXiv:2303.12481, algorithm 2)."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from brittle.attacks._contract import Outcome
from brittle.attacks._loop import ActiveSet, BestSoFar
from brittle.attacks._margin import margin_descent
from brittle.attacks.deepfool import DeepFool
from brittle.catalog import option, register
from brittle.geometry.box import clip
from brittle.geometry.norms import L2, inner, per_row
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images


@register(
    "superdeepfool",
    paper="arXiv:2303.12481",
    kind="minimal",
    norms=("l2",),
    goals=("untargeted",),
    cost="10 to 30 (F + B) + search F",
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class SuperDeepFool:
    """DeepFool to the boundary, then onto its normal, again and again: SDF(infinity, 1) of the paper.

    At the nearest boundary point the perturbation is parallel to the boundary's normal w. So each round runs DeepFool
    until the class changes and then keeps the part of the perturbation along w, ``x0 + <x - x0, w> w / ||w||^2``
    (eq. 5). The paper stops at the first projection that is still adversarial. Rounds go on here, and the smallest
    adversarial point of all is kept, because later ones are often nearer; a binary search between it and the image
    ends it, as in the authors' experiments.
    """

    rounds: int = option(8, "DeepFool runs, each followed by a projection", at_least=1)
    overshoot: float = option(
        0.02, "how far beyond the plane each DeepFool step goes, as a fraction of the way", at_least=0
    )
    candidates: int = option(10, "classes whose boundary DeepFool looks at, nearest by logit", at_least=1)
    search: int = option(8, "halvings of the last stretch between the image and the boundary; 0 for none", at_least=0)

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        deepfool = DeepFool(overshoot=self.overshoot, candidates=self.candidates)
        best = BestSoFar(images, L2)
        steps, forwards, backwards = (torch.zeros_like(goal.labels) for _ in range(3))
        active, x = ActiveSet(len(images), images.device), images

        for _ in range(self.rounds):
            if not len(active):
                break
            rows = active.rows
            found = deepfool(classifier, x, goal[rows], rng=rng[rows])
            steps[rows] += found.steps
            forwards[rows] += found.forwards
            backwards[rows] += found.backwards
            best.offer(rows, found.images, found.claimed)
            keep = active.drop(~found.claimed | (best.size[rows] == 0))
            rows, x = rows[keep], found.images[keep]
            normal = L2.steepest(margin_descent(classifier, x, goal[rows])[1])
            forwards[rows] += 1
            backwards[rows] += 1
            steps[rows] += 1
            moved, size = x - images[rows], inner(normal, normal)
            along = torch.where(size > 0, inner(moved, normal) / size, 0)
            x = clip(images[rows] + per_row(along, normal) * normal)

        self._search(classifier, images, goal, best, forwards)
        return Outcome(best.images, best.claimed, steps, forwards, backwards)

    def _search(self, classifier: Classifier, images: Images, goal: Goal, best: BestSoFar, forwards: Tensor) -> None:
        """Halves the stretch between the last point that is not adversarial and the first that is."""
        rows = (best.claimed & (best.size > 0)).nonzero().squeeze(1)
        whole = best.images[rows] - images[rows]
        low, high = torch.zeros_like(best.size[rows]), torch.ones_like(best.size[rows])
        for _ in range(self.search if len(rows) else 0):
            middle = (low + high) / 2
            x = torch.addcmul(images[rows], whole, per_row(middle, whole))
            met = goal[rows].is_surely_met(classifier.logits(x))
            forwards[rows] += 1
            best.offer(rows, x, met)
            low, high = torch.where(met, low, middle), torch.where(met, middle, high)
