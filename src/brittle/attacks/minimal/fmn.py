"""FMN: fast minimum-norm attacks (Pintor et al. 2021, arXiv:2102.12827, algorithm 1)."""

import math
from dataclasses import dataclass
from typing import final

import torch

from brittle.attacks.parts.asking import asking_nearest
from brittle.attacks.parts.contract import Outcome
from brittle.attacks.parts.rows import kept
from brittle.catalog import option, register
from brittle.devices import is_due
from brittle.geometry.box import clip, inward
from brittle.geometry.norms import L2, NormLike, norm_of, per_row
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images


@register("fmn", paper="arXiv:2102.12827", kind="minimal", cost="steps * (F + B) + F")
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class FMN:
    """Gradient steps projected to a budget that follows the boundary: smaller after a success, larger after a failure.

    ``d <- project(d + alpha g / ||g||_2, eps)`` with eps shrunk or grown by the factor gamma and, until the first
    success, set to the estimated distance of the boundary, ``||d|| + gap / ||g||_*`` (lines 5 to 8). Both alpha and
    gamma fall along a cosine. The smallest adversarial point of all steps is kept.

    Deviations: the paper's first step is 1 in L2 whatever the network. Here it is ``step_size`` times the estimated L2
    distance of the boundary, so that 30 steps find what otherwise takes 100. Eps is set a hundredth beyond that
    estimate: on a flat boundary every step would end just on it. And a gradient that pushes a pixel out of the box does
    not count: in L1 such pixels would take the budget of the others.
    """

    norm: NormLike = option(L2, "norm to minimise")
    steps: int = option(100, "gradient steps", at_least=1)
    step_size: float = option(1.0, "first step, in units of the estimated L2 distance to the boundary", above=0)
    gamma: float = option(0.05, "first relative change of the budget", at_least=0, below=1)

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        norm = norm_of(self.norm)
        ask = asking_nearest(classifier, images, goal, norm)
        rows, delta = ask.everyone, torch.zeros_like(images)
        eps = torch.full((len(images),), torch.inf, device=images.device)
        alpha = torch.zeros_like(eps)

        for step in range(self.steps):
            if not len(rows):
                break
            x = images[rows] + delta
            logits, gradient = ask.margin_gradient(rows, x)
            met, goals = ask.note(rows, x, logits), ask.goal_of(rows)
            margin = goals.margin(logits) + goals.tolerance(logits)
            gradient = inward(gradient, x)
            slope = L2.measure(gradient)
            on = ~((slope == 0) | (ask.best.size[rows] == 0))
            if is_due(step, self.steps, x.device):
                rows, delta, gradient, margin, met, slope, eps, alpha, on = kept(
                    on, rows, delta, gradient, margin, met, slope, eps, alpha, on
                )
            if step == 0:
                alpha = self.step_size * margin.abs() / slope

            fall = (1 + math.cos(math.pi * step / self.steps)) / 2
            gamma = self.gamma * fall
            size = norm.measure(delta)
            boundary = 1.01 * (size + margin / norm.dual.measure(gradient))
            grown = torch.where(ask.best.claimed[rows], (1 + gamma) * eps, boundary)
            shrunk = (1 - gamma) * torch.minimum(eps, ask.best.size[rows])
            eps = torch.where(met, shrunk, grown)
            moved = torch.addcmul(delta, gradient, per_row(fall * alpha / slope, gradient))
            moved = clip(images[rows] + norm.project(moved, eps)) - images[rows]
            delta = torch.where(per_row(on, delta), moved, delta)
            ask.stepped(rows, on)

        if len(rows):
            ask.look(rows, clip(images[rows] + delta))
        return ask.outcome()
