"""Additive noise found by an ordinary optimiser, with a penalty for being visible, in a space of one's choice."""

import math
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor

from brittle.attacks.faint.optimisers import OPTIMISERS, Optimiser
from brittle.attacks.parts.asking import Asking, asking_first
from brittle.attacks.parts.best import First
from brittle.attacks.parts.contract import Outcome
from brittle.attacks.parts.rows import rows_of
from brittle.catalog import option, register
from brittle.geometry.box import HIGH, LOW, clip
from brittle.geometry.norms import L1, L2, per_row
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images
from brittle.visibility.penalties import PENALTIES, Penalty, penalty_of
from brittle.visibility.spaces import ANYWHERE, Space, Where

_LEVELS = 255
_BEYOND = 0.005  # log-odds beyond the wanted ones: another path through the network rounds differently
_BEND = 0.2  # log-odds beyond those, over which the loss becomes flat
_BETTER = 0.995  # a penalty that is this much smaller is news
_NEWS = 0.01  # log-odds, until the confidence is reached
_PART = 20  # steps after which the confidence would be reached, if the network were linear: the learning rate
_PULL = 0.25  # of gap over penalty: the weight. On a plane a half would still keep the confidence
_GROWN = 1.5  # a weight is changed when it could be so much larger
_HALVINGS = 3  # of the learning rate, before an image leaves
_TINY = torch.finfo(torch.float32).tiny


@register(
    "penalised",
    paper="arXiv:1312.6199",
    kind="faint",
    cost="steps * (F + B) + F at the most",
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Penalised:
    """Raises the log-odds up to a confidence, less a weight times a penalty for visibility, over theta of a space.

    The objective ``max(0, wanted - log-odds) + weight * penalty`` is that of Szegedy et al. 2014 (section 4.1) and of
    Carlini and Wagner 2017 (arXiv:1608.04644, equation 4), but exact: below some weight its minimum is the smallest
    penalty at the wanted confidence, whatever the weight. So a weight that is not given is 0 until the confidence is
    reached, and then a quarter of what the log-odds gained over the penalty paid; on a plane a half would still do.
    The corner is rounded just beyond the confidence, for the line search.

    An image is what the space makes of theta, clipped to the box and rounded to whole grey levels; the network sees
    that, and its gradient goes to theta as if nothing had been rounded. The penalty's is that of what is not rounded:
    it would not feel changes of less than half a level. What comes back is the least visible image that has reached the
    confidence, or the one of the highest. After ``patience`` steps without news, once the confidence is reached, the
    learning rate is halved, and after three halvings the image leaves. Where the goal is met at first nothing changes.
    """

    optimiser: Literal["sgd", "adam", "lbfgs"] = option("adam", "what goes downhill; lbfgs: with line search")
    lr: float | None = option(
        None, "learning rate; default: what would take 20 steps if the network were linear", above=0
    )
    weight: float | None = option(None, "of the penalty, against log-odds; default: found on the way", at_least=0)
    penalty: str = option("l2", "what being visible costs", among=PENALTIES)
    space: Where | str = option(
        ANYWHERE, "where to change: pixels, multiplicative, dark, flat, band, chroma, joined by +", reads=Where.of
    )
    confidence: float = option(
        0.99, "probability to reach: of the target, or untargeted of anything but the label", above=0, below=1
    )
    steps: int = option(300, "gradient steps at the most", at_least=1)
    patience: int = option(10, "steps without improvement after which the learning rate is halved", at_least=1)

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        with torch.inference_mode(False), torch.no_grad():
            ask = asking_first(classifier, images, goal)
            unmet = ~ask.look(ask.everyone, images)[0]
            run = self._begin(ask.everyone[unmet], images[unmet])
            while len(run.rows) and run.turn < self.steps:
                done = self._step(ask, run)
                if done.any():
                    ask.best.leave(run.rows, run.best, run.met)
                    run = rows_of(run, ~done)
            ask.best.leave(run.rows, run.best, run.met)
        return ask.outcome()

    def _begin(self, rows: Tensor, original: Images) -> "_Run":
        none = original.new_zeros(len(original))
        return _Run(
            rows=rows,
            space=Where.of(self.space).around(original),
            penalty=penalty_of(self.penalty, original),
            optimiser=OPTIMISERS[self.optimiser](),
            original=original,
            theta=torch.zeros_like(original),
            best=original,
            met=none.bool(),
            size=none + torch.inf,
            score=none - torch.inf,
            cost=none + torch.inf,
            weight=none + (self.weight or 0),
            gap=none,
            rate=none,
            stale=none,
            halvings=none,
        )

    def _step(self, ask: Asking[First], run: "_Run") -> Tensor:
        """One step of each image; bool: which have ended."""
        beyond = run.original + run.space.change(run.theta)
        image = clip(beyond)
        seen = (image * _LEVELS).round() / _LEVELS
        ask.stepped(run.rows)
        logits, gradient = ask.gradient(run.rows, seen)
        goal = ask.goal_of(run.rows)
        met = goal.is_surely_met(logits)
        reached = goal.loss(logits) - math.log(self.confidence / (1 - self.confidence)) - _BEYOND
        reached = torch.where(met, reached, reached.clamp_max(-_BEND))  # with many classes, 1 % may be the most
        cost, slope = _with_gradient(run.penalty, image)
        if not run.turn:
            run.gap = torch.maximum(-reached, goal.margin(logits)).clamp_min(_BEND)
        news = run.note(seen, reached, met)
        renewed = run.weigh(cost, reached) if self.weight is None else torch.zeros_like(news)

        missing = _BEND - reached
        loss = torch.where(missing < _BEND, missing.clamp_min(0).square() / (2 * _BEND), missing - _BEND / 2)
        slope = per_row(run.weight, slope) * slope - per_row((missing / _BEND).clamp(0, 1), gradient) * gradient
        # The box ends here: going on would change nothing but the way back.
        slope = slope.masked_fill(((beyond <= LOW) & (slope > 0)) | ((beyond >= HIGH) & (slope < 0)), 0)
        slope = run.space.adjoint(slope)
        if not run.turn:
            dual = L1.measure(slope) if self.optimiser == "adam" else L2.measure(slope).square()
            run.rate = run.gap / (_PART * dual.clamp_min(_TINY)) if self.lr is None else torch.full_like(dual, self.lr)
        ended = run.tire(news, self.patience) | ~(slope != 0).flatten(1).any(1) | ~slope.isfinite().flatten(1).all(1)
        run.theta = run.optimiser.step(run.theta, loss + run.weight * cost, slope, run.rate, renewed)
        run.turn += 1
        return ended


@dataclass
class _Run:
    """Where the images that are left are: one entry a row in every field but the last."""

    rows: Tensor
    space: Space
    penalty: Penalty
    optimiser: Optimiser
    original: Images
    theta: Tensor
    best: Images  # of whole levels, with whether it meets the goal
    met: Tensor
    size: Tensor  # the penalty of the best image; infinite until one has reached the confidence
    score: Tensor  # the most log-odds so far, beyond those wanted
    cost: Tensor  # the smallest penalty that has reached the confidence before it was rounded
    weight: Tensor
    gap: Tensor  # log-odds wanted at first
    rate: Tensor
    stale: Tensor
    halvings: Tensor
    turn: int = 0

    def note(self, seen: Images, reached: Tensor, met: Tensor) -> Tensor:
        """Keeps what is better than before; bool: where it is enough so to be news."""
        reaches, had = reached >= 0, self.size.isfinite()
        size = torch.full_like(self.size, torch.inf)
        rows = reaches.nonzero().squeeze(1)
        if len(rows):
            size[rows] = self.penalty[rows](seen[rows])
        better = torch.where(had | reaches, size < self.size, reached > self.score)
        news = torch.where(had | reaches, size < self.size * _BETTER, reached > self.score + _NEWS)
        self.best = torch.where(per_row(better, seen), seen, self.best)
        self.met, self.size = torch.where(better, met, self.met), torch.minimum(size, self.size)
        self.score = torch.maximum(self.score, reached)
        return news

    def weigh(self, cost: Tensor, reached: Tensor) -> Tensor:
        """A weight as large as is safe by what is known now; bool: where it is another than before."""
        self.cost = torch.where(reached >= 0, torch.minimum(self.cost, cost), self.cost)
        weight = _PULL * self.gap / self.cost.clamp_min(_TINY)
        renewed = weight > _GROWN * self.weight
        self.weight = torch.where(renewed, weight, self.weight)
        return renewed

    def tire(self, news: Tensor, patience: int) -> Tensor:
        """Halves the learning rate where nothing has been new for long; bool: where that has been done enough."""
        self.stale = torch.where(news, 0, self.stale + self.size.isfinite())
        tired = self.stale >= patience
        self.rate, self.stale = torch.where(tired, self.rate / 2, self.rate), torch.where(tired, 0, self.stale)
        self.halvings = self.halvings + tired
        return self.halvings > _HALVINGS


def _with_gradient(penalty: Penalty, images: Images) -> tuple[Tensor, Images]:
    """The penalty ``[n]``, and its gradient."""
    with torch.enable_grad():
        leaf = images.detach().clone().requires_grad_()
        cost = penalty(leaf)
        (gradient,) = torch.autograd.grad(cost.sum(), leaf)
    return cost.detach(), gradient
