"""sigma-zero: gradient descent on a smooth count of changed pixels (Cinà et al. 2025, arXiv:2402.01879)."""

import math
from dataclasses import dataclass
from typing import final

import torch

from brittle.attacks._contract import Outcome, require, require_finite
from brittle.attacks._loop import ActiveSet, BestSoFar
from brittle.attacks._margin import margin_descent
from brittle.catalog import option, register
from brittle.geometry.box import clip
from brittle.geometry.norms import L0, LINF, per_row
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images

_TAU_RATE = 0.01  # the paper's t: how fast the threshold follows the boundary


@register("sigma-zero", paper="arXiv:2402.01879", kind="minimal", norms=("l0",), cost="steps * (F + B) + F")
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class SigmaZero:
    """Descends the margin plus a smooth count of the changed pixels, and drops pixels that changed little.

    The count is ``sum_p s_p / (s_p + sigma)`` with ``s_p`` the squared change of pixel p (eq. 4). Each step follows the
    gradient scaled to a largest entry of 1 (line 4), stays in the box, and sets pixels to what they were whose change
    is below a threshold tau (line 7). Tau grows while the goal is met and shrinks while it is not (lines 8 to 11); the
    step falls along a cosine. The smallest adversarial example of all steps is kept.

    Deviation: the paper counts components, three to a coloured pixel. Here all channels of a position are one pixel, as
    brittle's L0 has it: they share ``s_p``, and their largest change is compared with tau.
    """

    steps: int = option(100, "gradient steps")
    step_size: float = option(1.0, "first step of the component that changes most, in pixels of [0, 1]")
    sigma: float = option(1e-3, "smoothness of the count, in squared pixels; smaller counts more sharply")
    tau: float = option(0.3, "first threshold below which a pixel's change is dropped")

    def __post_init__(self) -> None:
        require(self.steps >= 1, "steps >= 1", self.steps)
        require(0 < self.step_size < math.inf, "a finite step_size > 0", self.step_size)
        require(0 < self.sigma < math.inf, "a finite sigma > 0", self.sigma)
        require_finite("tau", self.tau)

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        best = BestSoFar(images, L0)
        steps, forwards, backwards = (torch.zeros_like(goal.labels) for _ in range(3))
        active, delta = ActiveSet(len(images), images.device), torch.zeros_like(images)
        tau = torch.full((len(images),), self.tau, device=images.device)
        for step in range(self.steps):
            rows = active.rows
            if not len(rows):
                break
            x = images[rows] + delta
            logits, descent = margin_descent(classifier, x, goal[rows])
            forwards[rows] += 1
            backwards[rows] += 1
            met = goal[rows].is_surely_met(logits)
            best.offer(rows, x, met)
            keep = active.drop((best.size[rows] == 0) | (LINF.measure(descent) == 0))
            rows, delta, descent, met, tau = active.rows, delta[keep], descent[keep], met[keep], tau[keep]

            rate = self.step_size * (1 + math.cos(math.pi * step / self.steps)) / 2
            square = delta.square().sum(1, keepdim=True)
            count = 2 * self.sigma * delta / (square + self.sigma).square() / square[0].numel() if len(rows) else delta
            towards = torch.where(per_row(met, delta), 0, descent) - count  # the margin counts until it is met
            largest = LINF.measure(towards).clamp_min(torch.finfo(delta.dtype).tiny)
            delta = clip(images[rows] + delta + rate * towards / per_row(largest, delta)) - images[rows]
            tau = (tau + torch.where(met, 1.0, -1.0) * _TAU_RATE * rate).clamp(0, 1)
            delta = delta * (delta.abs().amax(1, keepdim=True) >= per_row(tau, delta))
            steps[rows] += 1

        rows = active.rows
        if len(rows):
            x = images[rows] + delta
            best.offer(rows, x, goal[rows].is_surely_met(classifier.logits(x)))
            forwards[rows] += 1
        return Outcome(best.images, best.claimed, steps, forwards, backwards)
