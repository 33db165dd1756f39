"""Craft: the least visible change, in whole grey levels, that reaches a confidence."""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from brittle.attacks.parts.asking import asking_first
from brittle.attacks.parts.contract import Outcome
from brittle.attacks.parts.rows import rows_of
from brittle.catalog import option, register
from brittle.geometry.norms import per_row
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images
from brittle.visibility.colour import colour_metric, inverse_metric, small_difference
from brittle.visibility.spaces import ANYWHERE, Chroma, Mixed, Pixels, Scaled, Space, Where, one_if_equal, rows_of_one

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
        ask = asking_first(classifier, images, goal)
        unmet = ~ask.look(ask.everyone, images)[0]
        at = _At.start(ask.everyone[unmet], images[unmet], Where.of(self.space), self.stride)
        for _ in range(self.steps):
            if not len(at.rows):
                break
            rounded = ((at.original + at.change) * _LEVELS).round().clamp(0, _LEVELS) / _LEVELS
            seen = torch.where(at.change == 0, at.original, rounded)
            logits, gradient = ask.gradient(at.rows, seen)
            ask.stepped(at.rows)

            goals, size = ask.goal_of(at.rows), at.sight.size(seen - at.original)
            reaches = at.note(seen, size, goals.loss(logits) - wanted, goals.is_surely_met(logits), self.patience)
            smaller = torch.minimum(at.radius, size) * (1 - at.shrink)
            at.radius = torch.where(reaches, smaller, torch.minimum(at.radius * (1 + at.shrink), at.size))

            step = at.sight.steepest(gradient)
            length = at.sight.size(step)
            change = at.change + step * (at.stride / length.clamp_min(1e-30)).view(-1, 1, 1, 1)
            change = change * (at.radius / at.sight.size(change).clamp_min(1e-30)).clamp_max(1).view(-1, 1, 1, 1)
            at.change = (at.original + change).clamp(0, 1) - at.original

            done = (at.stride < 0.9 * self.stride / 2**_HALVINGS) | (length == 0) | ~length.isfinite()
            if done.any():
                ask.best.leave(at.rows, at.best, at.met)
                at = rows_of(at, ~done)
        ask.best.leave(at.rows, at.best, at.met)
        return ask.outcome()


@dataclass
class _At:
    """Where the images that are left are: one entry a row."""

    rows: Tensor
    original: Images
    change: Images
    sight: "_Sight"
    best: Images  # with whether it meets the goal
    met: Tensor
    size: Tensor  # of the smallest change that has reached the confidence; infinite until one has
    score: Tensor  # the most log-odds so far, beyond those wanted
    radius: Tensor
    stale: Tensor  # steps since the last news
    stride: Tensor
    shrink: Tensor  # how much the radius changes in a step, as a fraction

    @staticmethod
    def start(rows: Tensor, images: Images, where: Where, stride: float) -> "_At":
        inf = torch.full((len(rows),), torch.inf, device=images.device)
        zero = torch.zeros_like(inf)
        return _At(
            rows=rows,
            original=images,
            change=torch.zeros_like(images),
            sight=_Sight.of(images, where),
            best=images,
            met=zero.bool(),
            size=inf,
            score=-inf,
            radius=inf,
            stale=zero,
            stride=zero + stride,
            shrink=zero + _SHRINK,
        )

    def note(self, seen: Images, size: Tensor, reached: Tensor, met: Tensor, patience: int) -> Tensor:
        """Keeps what is better than before, and calms down where nothing is; bool: where the confidence is reached."""
        is_found, reaches = self.size.isfinite(), (reached >= 0) & met
        better = torch.where(is_found, reaches & (size < self.size), reaches | (reached > self.score))
        news = torch.where(is_found, reaches & (size < self.size * _BETTER), reaches | (reached > self.score + 0.01))
        self.best, self.met = torch.where(per_row(better, seen), seen, self.best), torch.where(better, met, self.met)
        self.size = torch.where(better & reaches, size, self.size)
        self.score = torch.maximum(self.score, reached)
        self.stale = torch.where(news, 0, self.stale + 1)
        tired = self.stale >= patience
        self.stride = torch.where(tired, self.stride / 2, self.stride)
        self.shrink = torch.where(tired, self.shrink * _CALMER, self.shrink)
        self.stale = torch.where(tired, 0, self.stale)
        return reaches


@dataclass(frozen=True)
class _Sight:
    """How visible changes are, and which step in the space gains the most for that.

    metric: that of CIEDE2000, for grey and RGB images. inverse: its, where theta is not what eyes see.
    """

    space: Space
    metric: Tensor | None
    inverse: Space

    @staticmethod
    def of(images: Images, where: Where) -> "_Sight":
        channels, inverse = images.shape[1], Pixels()
        if channels not in (1, 3):
            return _Sight(where.around(images), None, inverse)
        metric = colour_metric(one_if_equal(images).expand(-1, 3, -1, -1))
        if any(isinstance(part, Chroma) for part in where.parts):
            return _Sight(where.around(images), metric, inverse)
        grey = metric.sum((1, 2)).unsqueeze(1)
        return _Sight(
            where.around(images), metric, Scaled(1 / grey) if channels == 1 else Mixed(inverse_metric(metric))
        )

    def size(self, change: Tensor) -> Tensor:
        """Root mean square of CIEDE2000 over the pixels, ``[n]``."""
        if self.metric is None:
            return 100 * change.square().sum(1).mean((1, 2)).sqrt()  # as if 0 to 1 were 0 to 100 in L*
        squares = small_difference(self.metric, change.expand(-1, 3, -1, -1))
        return squares.mean((1, 2)).clamp_min(0).sqrt()

    def steepest(self, gradient: Tensor) -> Tensor:
        """The change that gains the most for its size."""
        return self.space.change(self.inverse.change(self.space.adjoint(gradient)))

    def __getitem__(self, rows: Tensor) -> "_Sight":
        metric = None if self.metric is None else rows_of_one(self.metric, rows)
        return _Sight(self.space[rows], metric, self.inverse[rows])
