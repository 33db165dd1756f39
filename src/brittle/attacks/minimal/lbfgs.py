"""L-BFGS, the first attack of all (Szegedy et al. 2014, arXiv:1312.6199, section 4.1), for all images at once."""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn.functional import softplus

from brittle.attacks.parts.asking import Asking, asking_nearest
from brittle.attacks.parts.best import Nearest
from brittle.attacks.parts.contract import Outcome
from brittle.attacks.parts.pull_back import pull_back
from brittle.attacks.parts.rows import rows_of
from brittle.attacks.parts.two_loops import two_loops
from brittle.catalog import option, register
from brittle.geometry.box import HIGH, LOW, clip
from brittle.geometry.norms import L2, inner, per_row
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images, Logits

_FIRST = 0.25  # of the gradient's norm at the image: the first weight. On a plane, a half ends at the boundary
_UP, _DOWN = 1.5, 0.25  # the next weight, until one is known that reaches the goal and one that does not
_TIGHT = 1.02  # two weights so near one another end the search
_NARROW, _NEARER = 1.22, 0.3  # closer than this, minima are found more exactly, up to this fraction of the tolerance
_ARMIJO = 1e-4  # of what the slope promises: the least gain for which a step is taken
_REFUSALS = 8  # steps in a row that gain nothing: this is as low as float32 gets
_SHORT = 0.1  # of the perturbation: a step along the gradient where nothing is known of the curvature
_TINY = torch.finfo(torch.float32).tiny


@register(
    "lbfgs",
    paper="arXiv:1312.6199",
    kind="minimal",
    norms=("l2",),
    cost="about 40 * (F + B) + pull * F; (1 + search) * max_steps * (F + B) + pull * F at the most",
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class LBFGS:
    """Minimises ``c * ||r||_2 + loss(x + r)`` within the box, and looks for the c that gives the smallest ``r``.

    The loss is the paper's, the cross-entropy of the target; untargeted, which the paper is not, that of all other
    classes together, ``-log(1 - p)``. The paper asks for the minimum c, but c weighs the distance: the smallest
    perturbation comes with the largest c whose minimiser still reaches the goal. It is bracketed, then bisected on a
    logarithmic scale, each minimisation starting where the last one that reached the goal ended. What comes back is the
    smallest perturbation met on the way, pulled back along its line to the image as far as the goal allows.

    Every image has its own c, line search and memory, and leaves when its own search ends; each turn asks the
    classifier once for all of them. The minimiser is a projected L-BFGS: two-loop recursion (Nocedal and Wright 2006,
    algorithm 7.4) over the pixels that the slope does not hold at an end of the box, steps clipped to the box,
    backtracking by interpolation until Armijo's condition holds. On smooth problems it ends where SciPy's L-BFGS-B
    does. The default tolerance is loose, as the weight is bisected anyway and the pull makes up for it.
    """

    c: float | None = option(None, "first weight of the distance; default: a quarter of the gradient's norm", above=0)
    search: int = option(8, "values of c after the first one; with 0 it minimises at c alone", at_least=0)
    memory: int = option(5, "steps of which the curvature is remembered", at_least=1)
    max_steps: int = option(30, "steps at each value of c", at_least=1)
    tolerance: float = option(
        0.1, "how near a minimum is near enough: slope that is left, as a fraction of c", at_least=0
    )
    pull: int = option(4, "trials to pull the result back towards the image, a forward pass each", at_least=0)

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        ask = asking_nearest(classifier, images, goal, L2)
        logits, loss, gradient = _evaluate(ask, ask.everyone, images)
        met = ask.note(ask.everyone, images, logits)
        start, end = goal.margin(logits), torch.zeros_like(loss)

        size = L2.measure(gradient)
        weight = _FIRST * size if self.c is None else torch.full_like(size, self.c)
        # Where nothing can be gained there is nothing to do: the goal is met, or a pixel's change changes nothing.
        rows = (~met & (size > 0) & size.isfinite()).nonzero().squeeze(1)
        search = _Search.of(rows, images[rows], loss[rows], gradient[rows], weight[rows])
        while len(search.rows):
            rows = search.rows
            trial = clip(search.image + per_row(search.stride, search.image) * search.direction)
            logits, loss, gradient = _evaluate(ask, rows, trial)
            met = goal[rows].is_surely_met(logits)
            ask.stepped(rows)
            taken = search.take(trial, loss, gradient, met, self.memory)
            offered = (taken | met).nonzero().squeeze(1)
            better = offered[ask.best.offer(rows[offered], trial[offered], met[offered])]
            end[rows[better]] = goal[rows[better]].margin(logits[better])
            search.conclude(taken, self.tolerance, self.max_steps)
            search.aim(taken)
            on = (search.tried <= self.search) & ~(search.high < _TIGHT * search.low)
            search = search if bool(on.all()) else rows_of(search, on)

        rows = (ask.best.claimed & (ask.best.size > 0)).nonzero().squeeze(1)
        origin, found = images[rows], ask.best.images[rows]

        def path(share: Tensor) -> Images:
            return clip(origin + per_row(share, origin) * (found - origin))

        ask.best.images[rows] = pull_back(ask, rows, found, path, (start[rows], end[rows]), self.pull)
        return ask.outcome()


@dataclass
class _Search:
    """Where each row's search is: one field, one tensor, one entry a row (``pairs``: one tensor each)."""

    rows: Tensor
    origin: Images
    image: Images  # the best point at this weight, with its loss, the loss's gradient, and whether it meets the goal
    loss: Tensor
    gradient: Images
    met: Tensor
    weight: Tensor
    low: Tensor  # the largest weight whose minimum meets the goal, with that minimum; 0 where there is none yet
    low_image: Images
    low_loss: Tensor
    low_gradient: Images
    high: Tensor  # the smallest weight whose minimum does not
    direction: Images
    stride: Tensor
    gain: Tensor  # of the last step, or what its next, shorter try promises, as a fraction of the objective
    turns: Tensor  # at this weight
    refused: Tensor  # steps in a row
    tried: Tensor  # weights
    pairs: list[tuple[Tensor, Tensor]]  # steps and changes of slope, oldest first; zeros where a step was refused

    @staticmethod
    def of(rows: Tensor, images: Images, loss: Tensor, gradient: Images, weight: Tensor) -> "_Search":
        """At the images themselves, which do not meet the goal."""
        zero, none = torch.zeros_like(loss), torch.zeros_like(rows)
        search = _Search(
            rows=rows,
            origin=images,
            image=images,
            loss=loss,
            gradient=gradient,
            met=none.bool(),
            weight=weight,
            low=zero,
            low_image=images,
            low_loss=loss,
            low_gradient=gradient,
            high=zero + torch.inf,
            direction=torch.zeros_like(images),
            stride=zero,
            gain=zero + torch.inf,
            turns=none,
            refused=none,
            tried=none,
            pairs=[],
        )
        search.aim(~search.met)
        return search

    def take(self, trial: Images, loss: Tensor, gradient: Images, met: Tensor, memory: int) -> Tensor:
        """Goes to the trial where that gains enough, and remembers the curvature seen; elsewhere shortens the step."""
        value, slope = _objective(self.weight, self.image - self.origin, self.loss, self.gradient)
        new_value, new_slope = _objective(self.weight, trial - self.origin, loss, gradient)
        step = trial - self.image
        promised = inner(slope, step).clamp_max(0)
        taken = new_value <= value + _ARMIJO * promised
        wide = per_row(taken, trial)
        self.pairs = [
            *self.pairs[max(0, len(self.pairs) + 1 - memory) :],
            (step * wide, (new_slope - slope) * wide),
        ]
        # The parabola through both values with the slope promised has its lowest point here.
        nearer = -promised / (2 * (new_value - value - promised)).clamp_min(_TINY)
        shorter = torch.where(taken, 1, nearer.clamp(0.1, 0.5))
        self.stride = self.stride * shorter
        self.gain = torch.where(taken, value - new_value, -promised * shorter) / value.abs().clamp_min(_TINY)
        self.refused = torch.where(taken, 0, self.refused + 1)
        self.turns = self.turns + 1
        self.image, self.gradient = torch.where(wide, trial, self.image), torch.where(wide, gradient, self.gradient)
        self.loss, self.met = torch.where(taken, loss, self.loss), torch.where(taken, met, self.met)
        return taken

    def conclude(self, taken: Tensor, tolerance: float, max_steps: int) -> None:
        """Where a minimum is reached: its verdict on the weight, and on to the next weight."""
        _, slope = _objective(self.weight, self.image - self.origin, self.loss, self.gradient)
        left = L2.measure(clip(self.image - slope) - self.image)
        # As the weights known on either side draw near, what is left of the slope decides between them.
        narrowing = (self.high / self.low.clamp_min(_TINY)).log() / math.log(_NARROW)
        near = tolerance * narrowing.clamp(_NEARER, 1)
        flat = (left <= near * self.weight) | (self.gain <= 0.1 * near**2)
        ended = flat | (self.refused >= _REFUSALS) | (self.turns >= max_steps)
        reached, missed = ended & self.met, ended & ~self.met
        wide = per_row(reached, self.image)
        self.low, self.high = torch.where(reached, self.weight, self.low), torch.where(missed, self.weight, self.high)
        self.low_image = torch.where(wide, self.image, self.low_image)
        self.low_gradient = torch.where(wide, self.gradient, self.low_gradient)
        self.low_loss = torch.where(reached, self.loss, self.low_loss)

        back = missed & (self.low > 0)
        wide = per_row(back, self.image)
        self.image = torch.where(wide, self.low_image, self.image)
        self.gradient = torch.where(wide, self.low_gradient, self.gradient)
        self.loss, self.met = torch.where(back, self.low_loss, self.loss), self.met | back
        outwards = torch.where(self.low > 0, _UP * self.weight, _DOWN * self.weight)
        following = torch.where((self.low > 0) & self.high.isfinite(), (self.low * self.high).sqrt(), outwards)
        self.weight = torch.where(ended, following, self.weight)
        self.tried = self.tried + ended
        self.turns, self.refused = self.turns * ~ended, self.refused * ~ended
        taken |= ended

    def aim(self, afresh: Tensor) -> None:
        """The next direction, and a stride of 1 along it, for the rows that do not go on shortening a step."""
        change = self.image - self.origin
        _, slope = _objective(self.weight, change, self.loss, self.gradient)
        held = ((self.image <= LOW) & (slope > 0)) | ((self.image >= HIGH) & (slope < 0))
        slope = slope * ~held
        newton = two_loops(slope, ~held, self.pairs)
        steepness = inner(slope, slope).clamp_min(_TINY)
        downhill = inner(newton, slope) < -1e-8 * steepness.sqrt() * L2.measure(newton)
        # Without curvature: a small step, and from the image itself the one after which a plane would have no loss.
        size = L2.measure(change)
        plain = torch.where(size > 0, _SHORT * size / steepness.sqrt(), self.loss / steepness)
        direction = torch.where(per_row(downhill, slope), newton, -slope)
        self.direction = torch.where(per_row(afresh, slope), direction, self.direction)
        self.stride = torch.where(afresh, torch.where(downhill, 1, plain), self.stride)


def _evaluate(ask: Asking[Nearest], rows: Tensor, x: Images) -> tuple[Logits, Tensor, Images]:
    """Logits, the cross-entropy, and its gradient, which takes no backward pass where it is zero.

    ``goal.loss`` is the log-odds of the classes wanted, and the softplus of minus that is minus the log-probability.
    """
    parts = []
    for part in ask.classifier.chunks(len(x)):
        logits, pullback = ask.linearize(rows[part], x[part])
        with torch.inference_mode(False), torch.enable_grad():
            leaf = logits.clone().requires_grad_()
            loss = softplus(-ask.goal[rows[part]].loss(leaf))
            (cotangents,) = torch.autograd.grad(loss.sum(), leaf)
        parts.append((logits, loss.detach(), pullback(cotangents)))
    if not parts:
        return x.flatten(1)[:, :1], x.flatten(1)[:, 0], x
    logits, loss, gradient = (torch.cat(part) for part in zip(*parts, strict=True))
    return logits, loss, gradient


def _objective(weight: Tensor, change: Images, loss: Tensor, gradient: Images) -> tuple[Tensor, Images]:
    """``c * ||r|| + loss`` and its gradient; at ``r = 0``, which is a kink, the shortest subgradient."""
    size = L2.measure(change)
    outwards = change * per_row(weight / size.clamp_min(_TINY), change)
    shorter = (1 - weight / L2.measure(gradient).clamp_min(_TINY)).clamp_min(0)
    slope = torch.where(per_row(size > 0, change), gradient + outwards, gradient * per_row(shorter, gradient))
    return weight * size + loss, slope
