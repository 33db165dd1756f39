"""Whether an attack goes on for long enough: some images are attacked again, with three times the effort."""

from dataclasses import fields, replace
from typing import Any

import torch

from brittle.attacks import Attack, EightBit, Minimal, PixelGreedy, ShrinkingBall
from brittle.catalog import traits_of
from brittle.geometry.norms import L0, norm_of
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.run.attack import Found, attack_graded
from brittle.types import Logits

_EACH = 12  # one image of so many is attacked again: at three times the effort a quarter of the attack's own passes
_AMONG = 240  # the first of a run: 20 images, less those that the attack had nothing to do with
_EACH_BUDGET = 4  # by a budget attack, of those that it has not fooled
_EFFORT = ("steps", "queries", "shortlist")  # options that buy smaller distances; `max_steps` only ends a failure
_TIMES = 3


def longer_ratio(
    classifier: Classifier,
    method: Attack,
    found: Found,
    logits: Logits,
    rng: Rng,
    *,
    start: int,
    patient: Classifier | None = None,
) -> list[float | None]:
    """What a longer run leaves of each distance, in (0, 1]; 0 where only that fools, None where none was made.

    found, logits (of the originals), rng: of the examples of a run from ``start`` on. Every twelfth of the first 240 is
    tried, as far as the attack had to do with them: which, does not depend on the other examples. None for attacks
    without a longer form. patient: of a model behind defences, itself as an attacker with more draws sees it. Then
    iterated budget attacks by gradients are tried, too, on every fourth, with more steps and another start.
    """
    ratios: list[float | None] = [None] * len(found.fooled)
    budget = traits_of(method).kind == "budget"
    again = _more_steps(method) if budget and patient is not None else longer(method)
    places = torch.arange(start, start + len(ratios), device=found.steps.device)
    each = _EACH_BUDGET if budget else _EACH
    mine = (places % each == 0) & (places < _AMONG) & (found.steps > 0)
    if again is None or not mine.any():
        return ratios
    rows = (mine & ~found.fooled if budget else mine).nonzero().squeeze(1)
    if budget:  # what it has fooled stays fooled
        for row in mine.nonzero().squeeze(1).tolist():
            ratios[row] = 1.0
        rng = rng.another("again")
    if not len(rows):
        return ratios
    norm = traits_of(method).norm
    seen = classifier if patient is None else patient
    more = attack_graded(seen, found.originals[rows], found.goal[rows], again, rng[rows], logits[rows])
    before, after = (norm.measure(one.images - one.originals) for one in (found, more))
    for place, row in enumerate(rows.tolist()):
        if not more.fooled[place]:
            ratios[row] = 1.0
        elif not found.fooled[row]:
            ratios[row] = 0.0
        else:
            ratios[row] = min(1.0, float(after[place] / before[row].clamp_min(1e-12)))
    return ratios


def _more_steps(method: Any) -> Attack | None:
    """A budget attack by gradients with more steps; None of one that takes a single step, or sees no gradients."""
    if isinstance(method, EightBit):
        return None if (more := _more_steps(method.attack)) is None else EightBit(attack=more)
    if traits_of(method).access != "gradient" or not any(field.name == "steps" for field in fields(method)):
        return None
    again: Attack = replace(method, steps=_TIMES * method.steps)
    return again


def longer(method: Any) -> Attack | None:
    """The same attack with more effort; None where it has no say in that, or makes nothing smaller in its norm."""
    if isinstance(method, EightBit):
        return None if (more := longer(method.attack)) is None else EightBit(attack=more)
    traits = traits_of(method)
    if traits.kind != "minimal":
        return None
    if isinstance(method, Minimal):
        norm = norm_of(method.norm)
        return PixelGreedy(shortlist=_TIMES * PixelGreedy().shortlist) if norm == L0 else ShrinkingBall(norm=norm)
    options = {field.name for field in fields(method)}
    effort = next((name for name in _EFFORT if name in options), None)
    if effort is None:
        return None
    again: Attack = replace(method, **{effort: _TIMES * getattr(method, effort)})
    return again
