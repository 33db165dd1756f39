"""The standard ensemble of robustness evaluations, in AutoAttack's order (Croce & Hein 2020, arXiv:2003.01690)."""

from dataclasses import dataclass
from typing import final

import torch

from brittle.attacks.black_box.sparse_rs import SparseRS
from brittle.attacks.black_box.square import Square
from brittle.attacks.budget.apgd import APGD
from brittle.attacks.budget.jumps import climb_jumps
from brittle.attacks.minimal.pixel_greedy import PixelGreedy
from brittle.attacks.minimal.sigma_zero import SigmaZero
from brittle.attacks.minimal.strongest import Minimal
from brittle.attacks.parts.asking import asking_first
from brittle.attacks.parts.contract import Attack, Outcome
from brittle.attacks.parts.rows import kept
from brittle.attacks.parts.seen import seen_of
from brittle.catalog import ATTACKS, entry_of, option, register
from brittle.geometry.norms import L0, L1, L2, LINF, NormLike, norm_of
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.models.front import taken_apart
from brittle.rng import Rng
from brittle.types import Images

_WIDEST = 6.0  # times eps: the first budget of the climbs that come from outside
_WORTH = 2  # of the targets, so many are worth all steps
_SHORTLIST = 64  # pixels that each step of the greedy search tries


@register(
    "standard",
    paper="arXiv:2003.01690",
    kind="budget",
    cost="steps * (4 + targets / 10) * (F + B) + queries * F and a minimal attack, behind a defence that rounds"
    " 4 * steps * (F + B) more; less where one of them succeeds",
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Standard:
    """Several attacks that fail for different reasons, each on what the others left.

    As AutoAttack (section 5): APGD on cross-entropy, APGD towards other classes, a search for the boundary instead of a
    climb, and one that sees no gradients. Its steps, targets and queries are AutoAttack's. An image that APGD has
    fooled never costs Square's queries.

    What differs. In place of FAB, which looks for the smallest perturbation, stands brittle's own minimal attack,
    second because it costs less than what follows; what it finds counts where it is within eps. A third APGD and the
    targeted one begin with six times the budget, which falls to eps (``APGD.widest``; AutoAttack has three times, in L1
    alone): on networks trained against L-infinity, of MNIST above all, climbs from near the image get stuck. Climbs end
    that fail within a larger budget than eps, and the targeted one gives all steps to two of its nine targets. With few
    classes the loss is a difference of logits (see ``aim``), so that no fourth class is needed.

    Where the first that an image meets is a defence that rounds, such as JPEG, climbs over its jumps come before all of
    them (see ``jumps``), in L2 and L-infinity.

    In L0, where there is no AutoAttack, it is ``PixelGreedy``, ``Minimal``, ``SigmaZero`` and ``SparseRS``.
    """

    norm: NormLike = option(LINF, "norm of the budget", among=(L0, L1, L2, LINF))
    eps: float = option(
        8 / 255, "budget: largest size of the perturbation, in pixels of [0, 1]; in l0 how many pixels", at_least=0
    )
    steps: int = option(100, "gradient steps of each run of APGD at the most, in l0 of sigma-zero", at_least=1)
    targets: int = option(9, "most likely other classes that the targeted APGD tries; two get all steps", at_least=1)
    queries: int = option(5000, "queries of Square at the most, in l0 of Sparse-RS", at_least=1)

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        norm = norm_of(self.norm)
        ask = asking_first(classifier, images, goal)
        apart = taken_apart(classifier)
        if apart is not None and norm in (L2, LINF):
            climb_jumps(ask, apart, norm, self.eps, self.steps)
        (rows,) = kept(~ask.best.claimed, ask.everyone)
        for number, member in enumerate(self.members):
            if not len(rows):
                break
            run = seen_of(member, classifier, images[rows], ask.outcome_of(member, rows, images[rows], rng[rows]))
            # What none has claimed is what the first has left: it may fool all the same, where claims are careful.
            counts = run.claimed if number else torch.ones_like(run.claimed)
            if entry_of(member).kind == "minimal":
                counts = counts & (norm.measure(run.images - images[rows]) <= self.eps)
            ask.best.leave(rows[counts], run.images[counts], run.claimed[counts])
            (rows,) = kept(~ask.best.claimed[rows], rows)
        return ask.outcome()

    @property
    def members(self) -> list[Attack]:
        """The attacks in their order."""
        norm, eps, steps = norm_of(self.norm), self.eps, self.steps
        if norm == L0:
            pixels = int(eps)
            return [
                PixelGreedy(shortlist=_SHORTLIST, max_steps=2 * pixels),  # more than eps, as some are put back
                Minimal(norm=L0),
                SigmaZero(steps=steps),
                SparseRS(eps=pixels, queries=self.queries),
            ]
        members: list[Attack] = [
            APGD(norm=norm, eps=eps, steps=steps, loss="ce"),
            Minimal(norm=norm),  # where AutoAttack has FAB, and before what costs more
            APGD(norm=norm, eps=eps, steps=steps, loss="ce", widest=_WIDEST),
            APGD(norm=norm, eps=eps, steps=steps, loss="dlr", targets=self.targets, shortlist=_WORTH, widest=_WIDEST),
        ]
        if norm.name in ATTACKS["square"].norms:
            members.append(Square(norm=norm, eps=eps, queries=self.queries))
        return members
