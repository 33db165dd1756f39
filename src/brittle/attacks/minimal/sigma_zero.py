"""sigma-zero: gradient descent on a smooth count of changed pixels (Cinà et al. 2025, arXiv:2402.01879)."""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from brittle.attacks.parts.asking import Asking, asking_nearest
from brittle.attacks.parts.best import Nearest
from brittle.attacks.parts.contract import Outcome
from brittle.attacks.parts.rows import kept
from brittle.catalog import option, register
from brittle.geometry.box import clip, inward
from brittle.geometry.norms import L0, LINF, per_row
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images

_TREND, _SQUARES = 0.9, 0.99  # what the averages of gradients and of their squares keep of themselves in a step
_LAST_STEP = 0.1  # of the first
_TINY = 1e-8


@register("sigma-zero", paper="arXiv:2402.01879", kind="minimal", norms=("l0",), cost="steps * (F + B) + 2 F")
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class SigmaZero:
    """Descends the margin plus a smooth count of the changed pixels, and drops pixels that changed little.

    The count is ``sum_p s_p / (s_p + sigma)`` with ``s_p`` the squared change of pixel p (eq. 4). Each step takes the
    gradient scaled to a largest entry of 1 (line 4) into Adam's averages, stays in the box, and sets pixels to what
    they were whose change is below a threshold tau (line 7). Tau grows while the goal is met and shrinks while it is
    not (lines 8 to 11); the step falls along a cosine. The smallest adversarial example of all steps is kept.

    Adam is what makes it arrive: where small pixels change the sign of each other's gradients, steps along the scaled
    gradient alone do not.

    Deviations: the paper counts components, three to a coloured pixel. Here all channels of a position are one pixel,
    as brittle's L0 has it: they share ``s_p``, and their largest change is compared with tau. Others at their lines.
    """

    steps: int = option(100, "gradient steps", at_least=1)
    step_size: float = option(1.0, "first step of the component that changes most, in pixels of [0, 1]", above=0)
    sigma: float = option(1e-3, "smoothness of the count, in squared pixels; smaller counts more sharply", above=0)
    tau: float = option(0.3, "first threshold below which a pixel's change is dropped", at_least=0)
    tau_rate: float = option(0.01, "how fast the threshold follows the boundary, in units of the step", at_least=0)

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        asking = asking_nearest(classifier, images, goal, L0)
        met, asking.first_gap = asking.look(asking.everyone, images)
        self.down(asking, asking.everyone[~met], images[~met])
        return asking.outcome()

    def down(self, asking: Asking[Nearest], rows: Tensor, x: Images) -> None:
        """A descent for some rows of a batch, from images ``x``."""
        images = asking.images[rows]
        delta, trend, square = x - images, torch.zeros_like(x), torch.zeros_like(x)
        tau = torch.full((len(rows),), self.tau, device=x.device)
        for step in range(self.steps):
            if not len(rows):
                return
            x = images + delta
            descent, met = asking.descent(rows, x)
            # Deviation: pixels that the box holds do not count as the largest entry. The rest would hardly move.
            descent = inward(descent, x)
            still = ((descent == 0) & (delta == 0) & (trend == 0)).flatten(1).all(1)
            rows, images, delta, descent, met, trend, square, tau = kept(
                ~still, rows, images, delta, descent, met, trend, square, tau
            )

            # Deviation: the step ends at a tenth, not at 0, where the last steps would find nothing.
            fall = (1 + math.cos(math.pi * step / self.steps)) / 2
            rate = self.step_size * (_LAST_STEP + (1 - _LAST_STEP) * fall)
            size = delta.square().sum(1, keepdim=True)
            count = 2 * self.sigma * delta / (size + self.sigma).square() / (size.shape[2] * size.shape[3])
            towards = torch.where(per_row(met, delta), 0, descent) - count  # the margin counts until it is met
            towards = towards / per_row(LINF.measure(towards).clamp_min(_TINY), delta)
            trend = _TREND * trend + (1 - _TREND) * towards
            square = _SQUARES * square + (1 - _SQUARES) * towards.square()
            unbiased = (1 - _SQUARES ** (step + 1)) ** 0.5 / (1 - _TREND ** (step + 1))
            delta = clip(images + delta + rate * unbiased * trend / (square.sqrt() + _TINY)) - images
            tau = (tau + torch.where(met, 1.0, -1.0) * self.tau_rate * rate).clamp(0, 1)
            delta = delta * (delta.abs().amax(1, keepdim=True) >= per_row(tau, delta))
        if len(rows):
            asking.look(rows, images + delta)
