"""Universal adversarial perturbations (Moosavi-Dezfooli et al. 2017, arXiv:1610.08401, algorithm 1)."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from brittle.attacks.minimal.deepfool import DeepFool
from brittle.attacks.parts.asking import asking_first
from brittle.attacks.universal.pool import OnStep, Pool, Step
from brittle.catalog import ATTACKS, Method, label_of, option, register_fitter, traits_of
from brittle.data.examples import Examples
from brittle.data.perturbation import Perturbation
from brittle.errors import BrittleError
from brittle.geometry.box import clip
from brittle.geometry.norms import L2, NormLike, norm_of
from brittle.models.classifier import Classifier


@register_fitter(
    "universal",
    paper="arXiv:1610.08401",
    access="decision",
    cost="a pass: 2 F, and the attack's for images that are not fooled yet",
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Universal:
    """Fits one perturbation that fools most images: adds up the steps that take each over its boundary.

    Algorithm 1: images x in random order; where v leaves x its class, the attack finds the smallest step that takes
    ``x + v`` over the boundary, and ``v <- project(v + step, eps)``. Passes go on until a part ``rate`` of the images
    changes its class (the paper's 1 - delta; eps is its xi), or ``passes`` have been made.

    Deviations (docs/bench.md has the figures). Images are attacked ``batch`` at a time from one v, and their steps are
    added; 1 is the paper to the letter. The default attack goes twice as far as the boundary, where the paper stops
    just beyond it (``attack=deepfool``): an image that has only just crossed is back after the next image's step.
    ``x + v`` is clipped to valid pixels, as it will be when it is used, and what comes back is the best v that a pass
    has ended with, not the last.
    """

    norm: NormLike = option(L2, "norm of the budget")
    eps: float = option(1.0, "budget: largest size of the perturbation, in pixels of [0, 1]", at_least=0)
    rate: float = option(0.8, "fooling rate on the images fitted to at which to stop", at_least=0, at_most=1)
    passes: int = option(10, "passes over the images at the most", at_least=1)
    batch: int = option(8, "images whose steps are computed together and added; 1 is the paper's algorithm", at_least=1)
    attack: Method = option(DeepFool(overshoot=1.0), "the attack that takes an image over its boundary", of=ATTACKS)

    def __post_init__(self) -> None:
        traits = traits_of(self.attack)
        if "untargeted" not in traits.goals or not traits.box:
            raise BrittleError(
                f"expected an attack for untargeted goals that stays in the box, got {label_of(self.attack)}"
            )

    def fit(
        self, classifier: Classifier, examples: Examples, *, seed: int = 0, on_step: OnStep | None = None
    ) -> Perturbation:
        """The perturbation for this classifier, fitted to all the examples; their labels are not needed.

        seed: of the order of the images and of what the attack draws. on_step: told how far it is.
        Raises BrittleError for no examples, Unsupported where the attack cannot work on the classifier.
        """
        pool = Pool(classifier, examples, seed)
        v = best = pool.nothing
        most = 0.0
        for number in range(self.passes):
            v = self._pass(pool, v, number, on_step)
            rate = pool.fooled(v)
            if rate >= most:
                best, most = v, rate
            if rate >= self.rate:
                break
        return pool.fitted(self, best, most, passes=number + 1)

    def _pass(self, pool: Pool, v: Tensor, number: int, on_step: OnStep | None) -> Tensor:
        """Once over all images. Those that v fools already are sorted out before the attack, which is dear."""
        order, waiting, at = pool.order(f"universal order {number}"), list[int](), 0
        while at < len(order) or waiting:
            if at < len(order) and len(waiting) < self.batch:
                rows = order[at : at + self.batch]
                met = pool.goal(rows).is_surely_met(pool.classifier.logits(clip(pool.images(rows) + v)))
                waiting += [row for row, fooled in zip(rows, met.tolist(), strict=True) if not fooled]
                at += len(rows)
                continue
            rows, waiting = waiting[: self.batch], waiting[self.batch :]
            v = self._towards_fooling(pool, v, rows, number)
            if on_step:
                on_step(Step(number * len(pool) + at - len(waiting), self.passes * len(pool)))
        return v

    def _towards_fooling(self, pool: Pool, v: Tensor, rows: list[int], number: int) -> Tensor:
        """``project(v + steps)``, of the rows whose attack reached its goal; where v fools by now, there is no step."""
        x = clip(pool.images(rows) + v)
        draws = pool.rng[torch.tensor(rows)].another(f"universal pass {number}")
        ask = asking_first(pool.classifier, x, pool.goal(rows))
        found = ask.outcome_of(self.attack, ask.everyone, x, draws)
        steps = (found.images - x)[found.claimed].sum(0, keepdim=True)
        return norm_of(self.norm).project(v + steps, self.eps)
