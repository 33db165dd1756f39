"""Craft: the least visible change, in whole grey levels, that reaches a confidence."""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from brittle.attacks._contract import Outcome
from brittle.attacks._loop import ActiveSet
from brittle.catalog import option, register
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images
from brittle.visibility.colour import colour_metric, inverse_metric, small_difference
from brittle.visibility.spaces import ANYWHERE, Chroma, Mixed, Pixels, Scaled, Space, Where, one_if_equal, rows_of

_LEVELS = 255
_BEYOND = 0.005  # log-odds beyond the wanted ones: another path through the network rounds differently
_BETTER = 0.995  # a change that is this much smaller is news
_SHRINK, _CALMER = 0.05, 0.6  # how much the radius first shrinks by after a success; what patience leaves of that
_HALVINGS = 5  # of the stride, before an image leaves


@register(
    "craft",
    paper="arXiv:1911.02466",
    kind="faint",
    cost="steps * (F + B) at the most, some 60 as a rule",
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Craft:
    """Reaches a confidence, then makes the change less visible: least squares of CIEDE2000 over the pixels.

    For small changes CIEDE2000 is a metric in each pixel: ``d^T G d`` (``visibility.colour_metric``). So the step that
    gains the most log-odds for its visibility is ``G^-1 g``, and visibility a radius. As in FMN (arXiv:2102.12827)
    the radius shrinks by a fraction while the wanted confidence is reached and grows while it is not, up to the best
    one so far; strides and fractions are halved when nothing has improved for ``patience`` steps, and after five
    halvings the image leaves. PerC-AL (arXiv:1911.02466) has the idea of descending the colour distance and the loss
    in turns; its fixed 1,000 steps are needed because each undoes part of the other.

    What the network is asked about is always an image of whole grey levels, and what comes back is one: steps add up
    in a change that is not rounded, of which the network sees the rounded image. So saving in 8 bits loses nothing.

    space: in one that is not all pixels, the steepest step is that among its changes; how visible a change is does not
    depend on it. Masks (``dark``, ``flat``) leave pixels as they are to the bit, a band only up to the rounding.

    Images where the goal is met to begin with are left alone. Where the confidence is not reached, the image with the
    highest comes back. Images that are neither grey nor RGB are measured by their least squares alone.
    """

    confidence: float = option(
        0.99, "probability to reach: of the target, or untargeted of anything but the label", above=0, below=1
    )
    space: Where | str = option(
        ANYWHERE, "where to change: pixels, multiplicative, dark, flat, band, chroma, joined by +", reads=Where.of
    )
    steps: int = option(300, "gradient steps at the most", at_least=1)
    stride: float = option(0.25, "first step, in CIEDE2000 (root mean square over the pixels)", above=0)
    patience: int = option(4, "steps without improvement after which the stride is halved", at_least=1)

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        wanted = math.log(self.confidence / (1 - self.confidence)) + _BEYOND
        found, claimed = images.clone(), goal.is_surely_met(classifier.logits(images))
        forwards = torch.ones_like(goal.labels)
        steps = torch.zeros_like(forwards)
        active = ActiveSet(len(images), images.device)
        keep = active.drop(claimed)
        original, goal = images[keep], goal[keep]
        sight = _Sight(original, Where.of(self.space))
        change, best = torch.zeros_like(original), original
        inf = torch.full((len(keep),), torch.inf, device=images.device)
        size, score, radius, stale = inf, -inf, inf, torch.zeros_like(inf)  # size: of the smallest that has reached
        stride, shrink, met = torch.full_like(inf, self.stride), torch.full_like(inf, _SHRINK), claimed[keep]
        for _ in range(self.steps):
            if not len(active):
                break
            rounded = ((original + change) * _LEVELS).round().clamp(0, _LEVELS) / _LEVELS
            seen = torch.where(change == 0, original, rounded)
            logits, gradient = classifier.gradient(seen, goal.loss)
            steps[active.rows] += 1

            reached, now = goal.loss(logits) - wanted, sight.size(seen - original)
            meets = goal.is_surely_met(logits)
            is_found, reaches = size.isfinite(), (reached >= 0) & meets
            better = torch.where(is_found, reaches & (now < size), reaches | (reached > score))
            news = torch.where(is_found, reaches & (now < size * _BETTER), reaches | (reached > score + 0.01))
            best = torch.where(better.view(-1, 1, 1, 1), seen, best)
            met = torch.where(better, meets, met)
            size, score = torch.where(better & reaches, now, size), torch.maximum(score, reached)

            stale = torch.where(news, 0, stale + 1)
            tired = stale >= self.patience
            stride, shrink = torch.where(tired, stride / 2, stride), torch.where(tired, shrink * _CALMER, shrink)
            stale = torch.where(tired, 0, stale)
            smaller = torch.minimum(radius, now) * (1 - shrink)
            radius = torch.where(reaches, smaller, torch.minimum(radius * (1 + shrink), size))

            step = sight.steepest(gradient)
            length = sight.size(step)
            change = change + step * (stride / length.clamp_min(1e-30)).view(-1, 1, 1, 1)
            change = change * (radius / sight.size(change).clamp_min(1e-30)).clamp_max(1).view(-1, 1, 1, 1)
            change = (original + change).clamp(0, 1) - original

            done = (stride < 0.9 * self.stride / 2**_HALVINGS) | (length == 0) | ~length.isfinite()
            if done.any():
                found[active.rows], claimed[active.rows] = best, met
                keep = active.drop(done)
                original, change, best, goal, met = original[keep], change[keep], best[keep], goal[keep], met[keep]
                size, score, radius, stale = size[keep], score[keep], radius[keep], stale[keep]
                stride, shrink = stride[keep], shrink[keep]
                sight.keep(keep)
        found[active.rows], claimed[active.rows] = best, met
        return Outcome(found, claimed, steps, forwards + steps, steps)


class _Sight:
    """How visible changes are, and which step in the space gains the most for that."""

    def __init__(self, images: Images, where: Where) -> None:
        self.channels, self.space = images.shape[1], where.around(images)
        self.whitened = any(isinstance(part, Chroma) for part in where.parts)  # where theta is what eyes see
        one = one_if_equal(images)
        self.metric = colour_metric(one.expand(-1, 3, -1, -1)) if self.channels in (1, 3) else None
        self.inverse: Space = Pixels()
        if self.metric is not None and not self.whitened:
            grey = self.metric.sum((1, 2)).unsqueeze(1)
            self.inverse = Scaled(1 / grey) if self.channels == 1 else Mixed(inverse_metric(self.metric))

    def size(self, change: Tensor) -> Tensor:
        """Root mean square of CIEDE2000 over the pixels, ``[n]``."""
        if self.metric is None:
            return 100 * change.square().sum(1).mean((1, 2)).sqrt()  # as if 0 to 1 were 0 to 100 in L*
        squares = small_difference(self.metric, change.expand(-1, 3, -1, -1))
        return squares.mean((1, 2)).clamp_min(0).sqrt()

    def steepest(self, gradient: Tensor) -> Tensor:
        """The change that gains the most for its size."""
        return self.space.change(self.inverse.change(self.space.adjoint(gradient)))

    def keep(self, rows: Tensor) -> None:
        """Forgets the other rows."""
        self.space, self.inverse = self.space[rows], self.inverse[rows]
        if self.metric is not None:
            self.metric = rows_of(self.metric, rows)
