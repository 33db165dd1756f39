"""An attack at work on images in memory: timed and counted, and once more in float32 where bfloat16 cannot tell."""

import time
from dataclasses import replace
from typing import NamedTuple

import torch

from brittle.attacks import Attack, Outcome
from brittle.attacks.parts.rows import rows_where
from brittle.attacks.parts.seen import seen_of
from brittle.catalog import traits_of
from brittle.goals import Goal, Untargeted
from brittle.models.classifier import Classifier, in_float32
from brittle.rng import Rng
from brittle.types import Images, Logits


class Made(NamedTuple):
    """What an attack has made. goal: as it was told. miscounted: it counts other passes than were made."""

    outcome: Outcome
    goal: Goal
    seconds: float
    miscounted: bool


def made_by(classifier: Classifier, images: Images, goal: Goal, method: Attack, rng: Rng, logits: Logits) -> Made:
    """Runs an attack on images whose logits are at hand.

    The goal becomes that of this classifier: with its reject class, and met only beyond what its logits are rounded by.
    What makes a change small is rid of what the classifier does not see. It can be no smaller than rounding lets it, so
    that it sees float32. So does, for a second time, what fails under a budget in bfloat16 by less than that rounds.
    """
    exact = in_float32(classifier)
    if exact is classifier or traits_of(method).kind != "budget":
        return _made(exact, images, goal, method, rng, logits)
    first = _made(classifier, images, goal, method, rng, logits)
    started = time.perf_counter()
    seen = exact.logits(first.outcome.images, plain=True)
    near = rows_where(~first.goal.is_met(seen) & (first.goal.margin(seen) <= first.goal.tolerance(seen)))
    first = first._replace(seconds=first.seconds + time.perf_counter() - started)
    if not len(near):
        return first
    again = _made(exact, images[near], goal[near], method, rng[near], logits[near])
    return Made(
        _joined(first.outcome, again.outcome, near),
        first.goal,
        first.seconds + again.seconds,
        first.miscounted or again.miscounted,
    )


def _made(classifier: Classifier, images: Images, goal: Goal, method: Attack, rng: Rng, logits: Logits) -> Made:
    with classifier.settled(images, logits) as rounding:
        goal = replace(goal, rounding=rounding)  # type: ignore[type-var]
        if isinstance(goal, Untargeted) and goal.reject is None:
            goal = replace(goal, reject=classifier.reject)
        passes = classifier.forwards, classifier.backwards
        started = time.perf_counter()
        outcome = method(classifier, images, goal, rng=rng)
        outcome = seen_of(method, classifier, images, outcome)
        if classifier.device.type != "cpu":  # which has only been asked so far
            torch.accelerator.synchronize(classifier.device)
        seconds = time.perf_counter() - started
    counted = classifier.forwards - passes[0], classifier.backwards - passes[1]
    claims = int(outcome.forwards.sum()), int(outcome.backwards.sum())
    return Made(outcome, goal, seconds, miscounted=counted != claims)


def _joined(first: Outcome, again: Outcome, rows: torch.Tensor) -> Outcome:
    """What was made again for some rows in the place of what they had; steps and passes are those of both."""
    return Outcome(
        first.images.index_copy(0, rows, again.images),
        first.claimed.index_copy(0, rows, again.claimed),
        first.steps.index_add(0, rows, again.steps),
        first.forwards.index_add(0, rows, again.forwards),
        first.backwards.index_add(0, rows, again.backwards),
    )
