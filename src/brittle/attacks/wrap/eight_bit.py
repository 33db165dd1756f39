"""EightBit: another attack, ended on an image that a file of 8 bits can hold (Bonnet et al. 2020)."""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from brittle.attacks.minimal.deepfool import DeepFool
from brittle.attacks.parts.asking import Asking, asking_nearest
from brittle.attacks.parts.best import Nearest
from brittle.attacks.parts.contract import Outcome
from brittle.attacks.parts.rows import kept, rows_of
from brittle.catalog import ATTACKS, Method, option, register, traits_of
from brittle.catalog.attacks import Kind
from brittle.geometry.box import room
from brittle.geometry.levels import STEP, best_levels, is_8bit, normal_of, rounded_within, times_to_gain, within
from brittle.geometry.norms import L0, L2, LINF, inner, per_row
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images

_SHARE = 0.5  # of what the attack took: the passes that a smaller change is looked for with
_MOST, _PATIENCE = 24, 8  # gradients at the most; as many without success, and the line is followed instead
_BEYOND = 0.001  # of all that is gained: how far behind the boundary a change aims
_REAL, _LEAST, _LARGEST = 1.0, 0.3, 1.2  # of the gain that gradients promise, what is real: at first, and its bounds
_FEASIBLE = 0.8  # of what is needed: what a smaller radius has to promise
_STRIDE, _TRIALS = 0.03, 40  # first relative step along the line, and the most of them; they grow
_HALVINGS = 4
_SAME, _WIDENS = 1e-3, 3  # of a level: what counts as on it; gradients without success before one more is allowed
_TINY = torch.finfo(torch.float32).tiny


@register(
    "eight-bit", paper="doi:10.1145/3369412.3395062", kind="wrapper", access="decision", cost="1.5 * the attack's"
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class EightBit:
    """Ends an attack on an image of 256 levels a channel that meets the goal still, as near to the original as can be.

    A minimal perturbation is often less than half a level in every value, and rounding undoes it. Bonnet, Furon and Bas
    (2020) choose for each value the level above or below that a gradient says helps most for its distortion. So here:
    the perturbation is scaled until its rounded form gains what it gained itself. Then, gradient by gradient, levels
    that are worth more per growth of the norm take the place of those worth less, as many as the margin asks for.

    Deviations: theirs is a Lagrangian in L2, with one gradient; a knapsack filled greedily serves every norm. The
    gradients seen so far are averaged, with the perturbation as the first of them: the boundary bends within one level,
    and the values that one gradient thinks best are those that it overrates most. A minimal attack is allowed half of
    its own passes; an image that does not meet the goal yet goes on. Under a budget, and of attacks in L0 or that keep
    visibility small, the first image that meets the goal is as good as any.

    Without gradients, and where they lead nowhere, the perturbation is scaled until its rounded form meets the goal.

    Images that the attack has not fooled come back rounded. So do originals that are not of 256 levels, whatever
    happens; distances are from the original as it was given, in L0 with every pixel that rounding has moved.
    """

    attack: Method = option(DeepFool(), "the attack", of=ATTACKS)

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        traits = traits_of(self.attack)
        ask = asking_nearest(classifier, images, goal, traits.norm)
        found = ask.outcome_of(self.attack, ask.everyone, images, rng)
        change = found.images - images
        most = torch.full_like(ask.margin, torch.inf if traits.eps is None else traits.eps)
        ready = is_8bit(found.images)
        rounded = rounded_within(traits.norm, images, change, most)
        ask.best.offer(ask.everyone, torch.where(per_row(ready, images), found.images, rounded), found.claimed & ready)
        spare = (_SHARE * (found.forwards + found.backwards)).long()
        lost = found.claimed & ~ready
        if traits.access == "gradient":
            _by_gradient(ask, traits.kind, *kept(lost, ask.everyone, images, change, most, spare))
        _by_line(ask, traits.kind, *kept(lost & ~ask.best.claimed, ask.everyone, images, change, most))
        return ask.outcome()


@dataclass
class _At:
    """The images whose levels are changed, one entry a row.

    x: the original. y: where it stands, on the levels. most: the largest distance allowed. normal: the sum of the
    gradients so far. spare: passes that may be spent where the goal is met. tries: gradients asked for. margin: at the
    last y. promised: what was to be gained since. real: the share that has been.
    """

    rows: Tensor
    x: Images
    y: Images
    most: Tensor
    normal: Images
    spare: Tensor
    tries: Tensor
    margin: Tensor
    promised: Tensor
    real: Tensor


def _by_gradient(
    ask: Asking[Nearest], kind: Kind, rows: Tensor, x: Images, change: Images, most: Tensor, spare: Tensor
) -> None:
    """Levels worth more for levels worth less, until the goal is met and no passes are left for a smaller change."""
    norm, narrows = ask.best.norm, ask.best.norm == LINF and kind == "minimal"
    normal = normal_of(norm, change)
    if narrows:
        size = norm.measure(change)
        most = ((size / STEP - _SAME).ceil() * STEP).clamp_min(STEP)
        y = rounded_within(norm, x, change * per_row(most / size.clamp_min(_TINY), x), most)
    else:
        y = rounded_within(norm, x, change * per_row(times_to_gain(norm, x, change, normal), x), most)
    zero = torch.zeros_like(most)
    at = _At(rows, x, y, most, normal, spare, torch.zeros_like(rows), zero, zero, torch.full_like(zero, _REAL))
    while len(at.rows):
        w, margin, met, on = _seen(ask, kind, at)
        at, w, margin, met = rows_of(at, on), w[on], margin[on], met[on]
        at.tries = at.tries + 1
        real = ((at.margin - margin) / at.promised.clamp_min(_TINY)).clamp(_LEAST, _LARGEST)
        at.real = torch.where(at.promised > 0, (at.real + real) / 2, at.real)
        slope = per_row(L2.measure(w), w)
        at.normal = torch.where(per_row(at.tries == 1, w), at.normal * _ratio(slope, at.normal), at.normal) + w
        shown = at.normal * _ratio(slope, at.normal)
        at.margin = margin
        base, need = at.y, margin + _BEYOND * inner(w, at.y - at.x).clamp_min(0)
        if narrows:
            base, at.most = _narrower(at, met, ask.best.claimed[at.rows])
            need = need + inner(shown, at.y - base)
        need = torch.where(need > 0, need / at.real, need * at.real)
        moved = best_levels(norm, at.x, base, shown, need, at.most)
        at.promised = inner(w, moved - at.y)
        stuck = (moved == at.y).flatten(1).all(1) | (slope.flatten() == 0)
        if narrows:  # a level less must be within reach, or its passes are lost
            hold = room(at.x)
            reach = torch.where(shown > 0, hold.high, -hold.low).minimum(per_row(at.most, shown))
            stuck |= met & ((at.most < STEP / 2) | (inner(shown.abs(), reach) < _FEASIBLE * inner(w, at.y - at.x)))
        at.y = moved
        at = rows_of(at, ~stuck)


def _seen(ask: Asking[Nearest], kind: Kind, at: _At) -> tuple[Images, Tensor, Tensor, Tensor]:
    """Gradient, margin and whether the goal is met where each image stands, and which go on: only they are asked."""
    parts = []
    for part in ask.classifier.chunks(len(at.rows)):
        rows, y = at.rows[part], at.y[part]
        goal = ask.goal[rows]
        logits, pullback = ask.linearize(rows, y)
        met = goal.is_surely_met(logits) & within(ask.best.norm, at.x[part], y, at.most[part])
        ask.best.offer(rows, y, met)
        on = _goes_on(ask, kind, at, part, met)
        margin, cotangents = goal.towards(logits, goal.others(logits).argmax(1))
        w = pullback(cotangents * on.unsqueeze(1)) if bool(on.any()) else torch.zeros_like(y)
        parts.append((w, margin + goal.tolerance(logits), met, on))
    w, margin, met, on = (torch.cat(one) for one in zip(*parts, strict=True))
    ask.stepped(at.rows[on])
    at.spare = at.spare - 1 - on.long()
    return w, margin, met, on


def _goes_on(ask: Asking[Nearest], kind: Kind, at: _At, part: slice, met: Tensor) -> Tensor:
    """Where another level may still be changed: a backward pass, and a forward one to look at what comes of it."""
    claimed = ask.best.claimed[at.rows[part]]
    if kind != "minimal" or ask.best.norm == L0:
        return ~claimed & (at.tries[part] < _PATIENCE)
    spent = (at.spare[part] < 3) | (at.tries[part] >= _MOST)
    return torch.where(claimed, ~spent, at.tries[part] < _PATIENCE)


def _narrower(at: _At, met: Tensor, claimed: Tensor) -> tuple[Images, Tensor]:
    """In L-infinity: a level less where the goal is met, one more where it never has been for long."""
    more = ~claimed & (at.tries % _WIDENS == 0)
    most = torch.where(met, LINF.measure(at.y - at.x) - STEP, at.most + STEP * more)
    return rounded_within(LINF, at.x, at.y - at.x, most.clamp_min(0)), most


def _by_line(ask: Asking[Nearest], kind: Kind, rows: Tensor, x: Images, change: Images, most: Tensor) -> None:
    """Farther along the perturbation, rounded, until the goal is met; of a minimal attack, back by halves."""
    norm, left = ask.best.norm, torch.arange(len(rows), device=rows.device)
    short, far, last = torch.zeros_like(most), torch.full_like(most, torch.inf), torch.full_like(x, -1)
    for trial in range(_TRIALS):
        reach = math.exp(_STRIDE * trial * (1 + trial / 10))
        y = rounded_within(norm, x[left], change[left] * reach, most[left])
        new, y = kept((y != last[left]).flatten(1).any(1), left, y)
        if len(new):
            met = _look(ask, rows[new], x[new], y, most[new])
            far[new[met]], last[new] = reach, y
        left = left[far[left].isinf()]
        short[left] = reach
    left = (far.isfinite() & (kind == "minimal")).nonzero().squeeze(1)
    for _ in range(_HALVINGS if len(left) else 0):
        middle = (short + far)[left] / 2
        y = rounded_within(norm, x[left], change[left] * per_row(middle, x), most[left])
        met = _look(ask, rows[left], x[left], y, most[left])
        far[left[met]], short[left[~met]] = middle[met], middle[~met]


def _look(ask: Asking[Nearest], rows: Tensor, x: Images, y: Images, most: Tensor) -> Tensor:
    """Whether the goal is met within the distance allowed; a forward pass."""
    met: Tensor = ask.goal_of(rows).is_surely_met(ask.logits(rows, y)) & within(ask.best.norm, x, y, most)
    ask.best.offer(rows, y, met)
    return met


def _ratio(length: Tensor, normal: Images) -> Tensor:
    return length / per_row(L2.measure(normal), normal).clamp_min(_TINY)
