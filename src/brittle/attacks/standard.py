"""The standard ensemble of robustness evaluations, in AutoAttack's order (Croce & Hein 2020, arXiv:2003.01690)."""

from dataclasses import dataclass
from typing import final

import torch

from brittle.attacks._contract import Attack, Outcome, require, require_budget, require_norm
from brittle.attacks._loop import ActiveSet
from brittle.attacks.apgd import APGD
from brittle.attacks.minimal import Minimal
from brittle.attacks.square import Square
from brittle.catalog import entry_of, option, register
from brittle.geometry.norms import L2, LINF, NormLike, norm_of
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images


@register(
    "standard",
    paper="arXiv:2003.01690",
    kind="budget",
    norms=("l2", "linf"),
    cost="steps * (1 + targets) * (F + B) + queries * F and a minimal attack, less where one of them succeeds",
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Standard:
    """APGD on cross-entropy, APGD towards other classes, a minimal attack, Square: each on what the others left.

    The order, the steps, the targets and the queries are those of AutoAttack (section 5), whose four attacks fail for
    different reasons: two losses, a search for the boundary instead of a climb, and one that sees no gradients. An
    image that APGD has fooled never costs Square's queries.

    In place of AutoAttack's FAB, which looks for the smallest perturbation, stands brittle's own minimal attack: it
    answers the same question, and what it finds counts where it is within eps. With two or three classes there are as
    many targets as other classes, and the loss towards them is a difference of logits (see ``APGD``), so that the
    ensemble needs no fourth class.
    """

    norm: NormLike = option(LINF, "norm of the budget: l2 or linf")
    eps: float = option(8 / 255, "budget: largest size of the perturbation, in pixels of [0, 1]")
    steps: int = option(100, "gradient steps of each run of APGD at the most")
    targets: int = option(9, "most likely other classes that the second APGD goes for")
    queries: int = option(5000, "queries of Square at the most")

    def __post_init__(self) -> None:
        require(self.steps >= 1, "steps >= 1", self.steps)
        require(self.targets >= 1, "targets >= 1", self.targets)
        require(self.queries >= 1, "queries >= 1", self.queries)
        require_norm(self, self.norm)
        require(self.norm in (L2, LINF), "norm l2 or linf", self.norm)
        require_budget(self.eps, self.norm)

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        norm = norm_of(self.norm)
        found = images.clone()
        claimed = torch.zeros(len(images), dtype=torch.bool, device=images.device)
        steps, forwards, backwards = (torch.zeros_like(claimed, dtype=torch.int64) for _ in range(3))
        active = ActiveSet(len(images), images.device)
        for member in self.members:
            rows = active.rows
            if not len(rows):
                break
            run = member(classifier, images[rows], goal[rows], rng=rng[rows])
            for total, one in ((steps, run.steps), (forwards, run.forwards), (backwards, run.backwards)):
                total[rows] += one
            inside = torch.ones_like(run.claimed)
            if entry_of(member).kind == "minimal":
                inside = norm.measure(run.images - images[rows]) <= self.eps
            found[rows[inside]] = run.images[inside]
            claimed[rows] = run.claimed & inside
            active.drop(claimed[rows])
        return Outcome(found, claimed, steps, forwards, backwards)

    @property
    def members(self) -> list[Attack]:
        """The attacks in their order."""
        norm = norm_of(self.norm)
        return [
            APGD(norm=norm, eps=self.eps, steps=self.steps, loss="ce"),
            APGD(norm=norm, eps=self.eps, steps=self.steps, loss="dlr", targets=self.targets),
            Minimal(norm=norm),  # where AutoAttack has FAB
            Square(norm=norm, eps=self.eps, queries=self.queries),
        ]
