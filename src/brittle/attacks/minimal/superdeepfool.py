"""SuperDeepFool: DeepFool steps and projections in turn (Abdollahpoor et al. 2024, arXiv:2303.12481, algorithm 2)."""

from dataclasses import dataclass
from typing import final

import torch

from brittle.attacks.minimal.deepfool import DeepFool
from brittle.attacks.parts.asking import Asking, asking_nearest
from brittle.attacks.parts.best import Nearest
from brittle.attacks.parts.contract import Outcome
from brittle.attacks.parts.rows import kept
from brittle.catalog import option, register
from brittle.geometry.box import clip
from brittle.geometry.norms import L2, inner, per_row
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.models.front import from_afar
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
        ask = asking_nearest(from_afar(classifier), images, goal, L2)
        rows, x = ask.everyone, images
        for _ in range(self.rounds):
            if not len(rows):
                break
            found = ask.outcome_of(deepfool, rows, x, rng[rows])
            ask.best.offer(rows, found.images, found.claimed)
            rows, x = kept(found.claimed & (ask.best.size[rows] != 0), rows, found.images)
            normal = L2.steepest(ask.margin_gradient(rows, x)[1])
            ask.stepped(rows)
            moved, size = x - images[rows], inner(normal, normal)
            along = torch.where(size > 0, inner(moved, normal) / size, 0)
            x = clip(images[rows] + per_row(along, normal) * normal)
        self._search(ask)
        return ask.outcome()

    def _search(self, ask: Asking[Nearest]) -> None:
        """Halves the stretch between the last point that is not adversarial and the first that is."""
        rows = (ask.best.claimed & (ask.best.size > 0)).nonzero().squeeze(1)
        origin = ask.images[rows]
        whole = ask.best.images[rows] - origin
        low, high = torch.zeros_like(ask.best.size[rows]), torch.ones_like(ask.best.size[rows])
        for _ in range(self.search if len(rows) else 0):
            middle = (low + high) / 2
            met, _ = ask.look(rows, torch.addcmul(origin, whole, per_row(middle, whole)))
            low, high = torch.where(met, low, middle), torch.where(met, middle, high)
