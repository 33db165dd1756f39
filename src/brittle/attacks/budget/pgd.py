"""PGD, projected gradient descent, with I-FGSM and MI-FGSM as settings (Madry et al. 2018, arXiv:1706.06083)."""

import math
from dataclasses import dataclass
from typing import final

import torch

from brittle.attacks.parts.asking import asking_first
from brittle.attacks.parts.contract import Outcome
from brittle.attacks.parts.rows import kept
from brittle.catalog import option, register
from brittle.devices import is_due
from brittle.geometry import l1_budget
from brittle.geometry.box import clip, inward, room
from brittle.geometry.norms import L1, LINF, Norm, NormLike, norm_of, per_row
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images

_SHARE = 0.01  # of the coordinates take part in a step in L1: the paper's 99th percentile


@register(
    "pgd",
    paper="arXiv:1706.06083",
    kind="budget",
    cost="steps * (F + B), less where it succeeds",
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class PGD:
    """Many small FGSM steps, each projected back to within eps of the image.

    ``d <- project(d + step_size * steepest(gradient), eps)``, clipped to valid pixels (Madry et al. 2018, section 2.1).
    I-FGSM (Kurakin et al. 2017, arXiv:1607.02533) is ``step_size = eps / steps``. With ``momentum`` the step follows
    ``v <- momentum * v + gradient / ||gradient||_1``: MI-FGSM (Dong et al. 2018, arXiv:1710.06081, eq. 6).

    In L1 the steepest step is one pixel's channel, which is soon at its wall, and all later steps with it. There the
    hundredth of all coordinates with the largest gradients, of those that can still move, share a step (Tramer and
    Boneh 2019, arXiv:1904.13000, algorithm 1), and the projection is on ball and box together.

    An example leaves the loop at the first step that reaches the goal, so success never depends on a step too many.
    """

    norm: NormLike = option(LINF, "norm of the budget")
    eps: float = option(8 / 255, "budget: largest size of the perturbation, in pixels of [0, 1]", at_least=0)
    steps: int = option(10, "gradient steps at the most; an image leaves the loop at its first success", at_least=1)
    step_size: float | None = option(None, "size of one step; default 2.5 * eps / steps", above=0)
    random_start: bool = option(False, "start at a random point within the budget instead of at the image")
    momentum: float = option(0.0, "decay of the accumulated gradient; 0 for none, MI-FGSM has 1", at_least=0)

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        norm = norm_of(self.norm)
        size = 2.5 * self.eps / self.steps if self.step_size is None else self.step_size
        ask = asking_first(classifier, images, goal)
        rows, origin, x, velocity = ask.everyone, images, images, torch.zeros_like(images[:, :1, :1, :1])
        if self.random_start:  # an image that meets the goal as it is must come back as it is
            met, _ = ask.look(rows, images)
            rows, origin, velocity = kept(~met, rows, origin, velocity)
            x = clip(origin + self._inside_ball(norm, rng[rows], origin))

        for step in range(self.steps):
            if not len(rows):
                break
            logits, gradient = ask.gradient(rows, x)
            ask.note(rows, x, logits)
            left = ~ask.best.claimed[rows]
            if is_due(step, self.steps, x.device):
                rows, origin, x, velocity, gradient, left = kept(left, rows, origin, x, velocity, gradient, left)
            if self.momentum:
                gradient = velocity = self.momentum * velocity + gradient / per_row(
                    L1.measure(gradient).clamp_min(torch.finfo(gradient.dtype).tiny), gradient
                )
            if norm == L1:
                x = self._in_l1(origin, x, gradient, size)
            else:
                moved = torch.sub(x, origin).add_(norm.steepest(gradient), alpha=size)
                x = clip(norm.project(moved, self.eps).add_(origin))
            ask.stepped(rows, left)
        ask.best.leave(rows, x)
        return ask.outcome()

    def _in_l1(self, origin: Images, current: Images, gradient: Images, size: float) -> Images:
        """A step shared by the largest coordinates that have room left, then to the nearest point of ball and box."""
        count = torch.full((len(origin),), math.ceil(math.prod(origin.shape[1:]) * _SHARE), device=origin.device)
        step = l1_budget.sparse_step(inward(gradient, current), count)
        moved = torch.sub(current, origin).add_(step, alpha=size)
        return clip(l1_budget.project(moved, self.eps, room(origin)).add_(origin))

    def _inside_ball(self, norm: Norm, rng: Rng, like: Images) -> Images:
        """A random point of the eps-ball; in L-infinity uniform, in other norms with a uniform cube's directions."""
        direction = 2 * rng.uniform("pgd direction", like) - 1
        radius = rng.uniform("pgd radius", like.flatten(1)[:, 0]) ** (1 / math.prod(like.shape[1:]))
        return direction * per_row(self.eps * radius / norm.measure(direction), like)
