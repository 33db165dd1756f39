"""SparseFool, sparse perturbations by way of the L2 boundary (Modas et al. 2019, arXiv:1811.02248, algorithms 1, 2)."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from brittle.attacks.parts.asking import Asking, asking_first
from brittle.attacks.parts.best import First
from brittle.attacks.parts.contract import Outcome
from brittle.attacks.parts.pull_back import pull_back
from brittle.attacks.parts.rows import kept
from brittle.catalog import option, register
from brittle.geometry.box import Room, clip
from brittle.geometry.norms import L1, L2, inner, per_row
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.models.front import from_afar
from brittle.rng import Rng
from brittle.types import Images, Logits

_LEAST_OVERSHOOT = 0.1  # of the first step's overshoot
_HAIR = 2  # times what rounding can make of a margin: the least gap a step aims at
_LEAST_REACH = 0.05  # of the gap: planes that are nearer than this, or behind, are those of a boundary lost on the way
_NEAR = 0.1  # of the gap: a point with less of it left is as good as on the boundary
_HOME = 0.15  # of the first gap: with less of it left, the linearisation at the image itself is as good


@register(
    "sparsefool",
    paper="arXiv:1811.02248",
    kind="minimal",
    norms=("l1",),
    cost="about 19 F and 14 B; max_steps * (1 + walk) * (F + B) + trim * F at the most",
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class SparseFool:
    """Few pixels: looks up the boundary in L2, and walks in L1, within the box, to the plane found there.

    Each step is algorithm 2 of the paper: DeepFool from where it stands finds the boundary in L2; the gradient there is
    the normal of a plane; the linear solver (algorithm 1: the pixel and channel with the largest gradient first, each
    to its wall) goes to that plane, and ``lam`` times as far. Where the goal is met to start with, the image comes back
    as it is. The sources take lam = 3 for CIFAR-10 and ImageNet, and 1 for MNIST. Here it is 2, which fools as many
    with smaller perturbations.

    Deviations. DeepFool takes ``walk`` steps at the most and looks at one class, that with the smallest gap; the plane
    is the linearisation at its last point, which need not be on the boundary. The overshoot is part of each step, so
    that what is returned is what was tested. ``trim`` is new: it takes back what the steps turn out not to have needed;
    with 0 this is the paper's method.

    The paper is untargeted. Targeted, gap and normal are those of the target against the largest other logit.
    """

    lam: float = option(
        2.0, "how far to go, in distances to the plane: less for fewer pixels, more to fool more", at_least=1
    )
    delta: float | None = option(
        None, "bound on the change of each pixel and channel; default: none but [0, 1]", above=0
    )
    overshoot: float = option(0.02, "how far beyond the boundary to aim, as a fraction of the way", at_least=0)
    walk: int = option(
        2, "L2 steps to find the boundary; with 0 the plane is the linearisation at the image itself", at_least=0
    )
    trim: int = option(
        4, "trials to take back what is not needed, a forward pass each; 0 for the paper's method", at_least=0
    )
    max_steps: int = option(50, "steps before giving up", at_least=1)

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        ask = asking_first(from_afar(classifier), images, goal)
        rows, x = ask.everyone, images.clone()
        for step in range(self.max_steps):
            moves = torch.zeros(len(rows), dtype=torch.bool, device=images.device)
            for part in classifier.chunks(len(rows)):
                some, low, high = rows[part], *self._limits(images[rows[part]])
                gap, normal, met = self._nearby_plane(ask, some, x[part], _HOME * ask.first_gap[some])
                if step == 0:
                    ask.first_gap[some] = gap
                # Overshooting by a fraction of a gap that vanishes would approach the boundary for ever.
                beyond = self.overshoot * torch.maximum(gap, _LEAST_OVERSHOOT * ask.first_gap[some])
                move = L1.to_plane(self.lam * gap + beyond, normal, Room(low - x[part], high - x[part]))
                move = move * per_row(~met, move)
                x[part] = torch.clamp(x[part] + move, low, high)
                # Nowhere to go: the goal is met, a zero gradient, or every pixel that would help is at its wall.
                moves[part] = (move != 0).flatten(1).any(1)
            stuck = ~moves & ~ask.best.claimed[rows]
            ask.best.leave(rows[stuck], x[stuck])
            rows, x = kept(moves, rows, x)
            ask.stepped(rows)
            if not len(rows):
                break
        else:
            ask.best.leave(rows, x)
            ask.look(rows, x)

        fooled = (ask.best.claimed & (ask.steps > 0)).nonzero().squeeze(1)
        for part in classifier.chunks(len(fooled) if self.trim else 0):
            ask.best.leave(fooled[part], self._trimmed(ask, fooled[part]), claimed=True)
        return ask.outcome()

    def _limits(self, images: Images) -> tuple[Images, Images]:
        """The lowest and the highest value that each pixel may take."""
        if self.delta is None:
            return torch.zeros_like(images), torch.ones_like(images)
        return clip(images - self.delta), clip(images + self.delta)

    def _nearby_plane(self, ask: Asking[First], rows: Tensor, x: Images, home: Tensor) -> tuple[Tensor, Images, Tensor]:
        """The boundary near ``x``, linearised where a few L2 DeepFool steps lead, as a plane seen from ``x``.

        home: where the gap is smaller, no step is taken. ``<normal, step> = gap`` leads onto the plane; and whether the
        goal is met, so that there is no need to.
        """
        logits, gap, normal = _linearised(ask, rows, x, until_met=True)
        met = ask.note(rows, x, logits)
        # At least a hair: a gap that rounds to nothing would end the walk at the boundary instead of beyond it.
        gap = torch.maximum(gap, _HAIR * ask.goal_of(rows).tolerance(logits))
        point, value, slope = x.clone(), gap.clone(), normal.clone()
        walking = (~met & (gap > home)).nonzero().squeeze(1)
        for _ in range(self.walk if len(walking) else 0):
            point[walking] += L2.to_plane((1 + self.overshoot) * value[walking], slope[walking])
            _, value[walking], slope[walking] = _linearised(ask, rows[walking], point[walking])
            walking = walking[value[walking] > _NEAR * gap[walking]]
            if not len(walking):
                break
        seen = value + inner(slope, point - x)  # how far the plane is from x, in logits
        lost = ~(seen > _LEAST_REACH * gap) | ~(slope != 0).flatten(1).any(1)
        return torch.where(lost, gap, seen), torch.where(per_row(lost, x), normal, slope), met

    def _trimmed(self, ask: Asking[First], rows: Tensor) -> Images:
        """Takes back the part of a perturbation that is not needed, the least useful pixels first.

        The linear solver once more: from the original, along the gradient at the adversarial image (which is a point of
        the boundary, nearly), within what each pixel has changed. How far it has to go is found by trial.
        """
        origin, x = ask.images[rows], ask.best.images[rows]
        _, end, normal = _linearised(ask, rows, x)
        low, high = self._limits(origin)
        change = x - origin
        span = Room(change.clamp_max(0), change.clamp_min(0))
        whole = inner(normal, torch.where(normal > 0, span.high, span.low))

        def path(share: Tensor) -> Images:
            return torch.clamp(origin + L1.to_plane(share * whole, normal, span), low, high)

        return pull_back(ask, rows, x, path, (ask.first_gap[rows], end), self.trim)


def _linearised(
    ask: Asking[First], rows: Tensor, x: Images, *, until_met: bool = False
) -> tuple[Logits, Tensor, Images]:
    """Logits, the margin to the goal, and minus its gradient; until_met: where it is surely met, none is asked for."""
    logits, pullback = ask.linearize(rows, x)
    goal = ask.goal_of(rows)
    with torch.inference_mode(False), torch.enable_grad():
        leaf = logits.clone().requires_grad_()
        margin = goal.margin(leaf)
        (cotangents,) = torch.autograd.grad(-margin.sum(), leaf)
    if until_met:
        cotangents = cotangents * ~goal.is_surely_met(logits).unsqueeze(1)
    return logits, margin.detach(), pullback(cotangents)
