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
from brittle.geometry.norms import inner, per_row
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images
from brittle.visibility.colour import colour_metric, inverse_metric, small_difference
from brittle.visibility.levels import Levels
from brittle.visibility.spaces import ANYWHERE, Chroma, Mixed, Pixels, Scaled, Space, Where, one_if_equal, rows_of_one

_SURELY = 0.005  # log-odds more than the wanted ones: another path through the network rounds differently
_LAST_PACE = 0.05
_BEYOND, _NEAREST, _FARTHEST = 0.2, 0.02, 5.0  # log-odds behind the plane that a step aims at: first, least, most
_FARTHER = 1.5  # times as far behind after a step that fell short, and as much nearer after one that did not
_KEPT = 0.5  # of the normals before, in the one that a step goes by
_WHITE = 100.0  # CIEDE2000 from black to white


@register(
    "craft",
    paper="arXiv:1911.02466",
    kind="faint",
    cost="walk * (F + B), more where that does not reach the confidence",
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Craft:
    """Walks to the least visible change that reaches a confidence: least squares of CIEDE2000 over the pixels.

    For small changes CIEDE2000 is a metric in each pixel: ``d^T G d`` (``visibility.colour_metric``). So the least
    visible change that gains some log-odds on a plane is a multiple of ``G^-1 g``, and each step has a closed form, as
    in Rackwitz and Fiessler 1978 (doi:10.1016/0045-7949(78)90046-9; ``boundary-walk`` does the same in a norm): what
    lies along ``G^-1 g`` is set to what the plane asks for, and a part of all else, the pace, which gains nothing here,
    is taken back. The pace falls geometrically from 1, so that at first the change turns to where it gains most,
    and at last it settles. A step aims somewhat behind its plane, farther after one that fell short; the plane's normal
    is the mean of this gradient and the normal before, since where the boundary is rough single ones zigzag.

    PerC-AL (arXiv:1911.02466) has the idea of descending the colour distance and the loss in turns; its fixed 1,000
    steps are needed because each undoes part of the other.

    What the network is asked about is always an image of whole grey levels, and what comes back is one: steps add up
    in a change that is not rounded, of which the network sees the rounded image. So saving in 8 bits loses nothing.
    Rounding follows the metric as well (``visibility.levels``).

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
    walk: int = option(
        52, "steps over which the pace falls, after which an image leaves that has reached the confidence", at_least=1
    )
    steps: int = option(100, "gradient steps at the most", at_least=1)
    stride: float = option(
        0.5, "first step at the most, in CIEDE2000 (root mean square over the pixels); each next, twice that", above=0
    )

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        wanted = math.log(self.confidence / (1 - self.confidence)) + _SURELY
        ask = asking_first(classifier, images, goal)
        unmet = ~ask.look(ask.everyone, images)[0]
        at = _At.start(ask.everyone[unmet], images[unmet], Where.of(self.space))
        for step in range(self.steps):
            if not len(at.rows):
                break
            rounded = at.sight.levels.near(at.original + at.change)
            seen = torch.where(at.change == 0, at.original, rounded)
            logits, gradient = ask.gradient(at.rows, seen)
            ask.stepped(at.rows)

            goals = ask.goal_of(at.rows)
            lead = goals.loss(logits) - wanted
            reaches = at.note(seen, lead, goals.is_surely_met(logits))
            at.beyond = (at.beyond * torch.where(reaches, 1 / _FARTHER, _FARTHER)).clamp(_NEAREST, _FARTHEST)

            at.normal = _KEPT * at.normal + (1 - _KEPT) * gradient if step else gradient
            steepest = at.sight.steepest(at.normal)
            slope = inner(steepest, at.normal)
            along = inner(at.change, at.normal) / slope
            pace = _LAST_PACE ** min(1.0, step / max(1, self.walk - 1))
            ahead = pace * along + (at.beyond - lead) / slope
            change = (1 - pace) * at.change + per_row(ahead, steepest) * steepest
            limit = self.stride * 2.0**step
            if limit < _WHITE:
                change *= per_row((limit / at.sight.size(change).clamp_min(1e-30)).clamp_max(1), change)
            at.change = (at.original + change).clamp_(0, 1) - at.original

            done = (at.size.isfinite() & (step + 1 >= self.walk)) | ~(slope > 0) | ~slope.isfinite()
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
    lead: Tensor  # the most log-odds so far, beyond those wanted
    beyond: Tensor  # log-odds that the next step aims at
    normal: Images  # of the plane that a step goes by: a running mean of gradients

    @staticmethod
    def start(rows: Tensor, images: Images, where: Where) -> "_At":
        inf = torch.full((len(rows),), torch.inf, device=images.device)
        return _At(
            rows=rows,
            original=images,
            change=torch.zeros_like(images),
            sight=_Sight.of(images, where),
            best=images,
            met=torch.zeros_like(inf, dtype=torch.bool),
            size=inf,
            lead=-inf,
            beyond=torch.full_like(inf, _BEYOND),
            normal=torch.zeros_like(images),
        )

    def note(self, seen: Images, lead: Tensor, met: Tensor) -> Tensor:
        """Keeps the least visible image that reaches the confidence, before there is one the likeliest; bool: whether
        it is reached."""
        reaches = (lead >= 0) & met
        size = self.sight.size(seen - self.original)
        better = torch.where(self.size.isfinite(), reaches & (size < self.size), reaches | (lead > self.lead))
        self.best, self.met = torch.where(per_row(better, seen), seen, self.best), torch.where(better, met, self.met)
        self.size = torch.where(better & reaches, size, self.size)
        self.lead = torch.maximum(self.lead, lead)
        return reaches


@dataclass(frozen=True)
class _Sight:
    """How visible changes are, and which step in the space gains the most for that.

    metric: that of CIEDE2000, for grey and RGB images. inverse: its, where theta is not what eyes see. levels: how
    colours are rounded.
    """

    space: Space
    metric: Tensor | None
    inverse: Space
    levels: Levels

    @staticmethod
    def of(images: Images, where: Where) -> "_Sight":
        space, channels = where.around(images), images.shape[1]
        if channels not in (1, 3):
            return _Sight(space, None, Pixels(), Levels())
        metric = colour_metric(one_if_equal(images).expand(-1, 3, -1, -1))
        levels = Levels() if channels == 1 else Levels.by(metric)
        if any(isinstance(part, Chroma) for part in where.parts):
            return _Sight(space, metric, Pixels(), levels)
        grey = metric.sum((1, 2)).unsqueeze(1)
        return _Sight(space, metric, Scaled(1 / grey) if channels == 1 else Mixed(inverse_metric(metric)), levels)

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
        return _Sight(self.space[rows], metric, self.inverse[rows], self.levels[rows])
