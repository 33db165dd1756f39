"""Goals by name, for a whole study: each image's target follows from what the network says of it."""

from collections.abc import Sequence

import torch

from brittle.checks import texts
from brittle.errors import BrittleError, did_you_mean
from brittle.goals import Goal, Targeted, Untargeted
from brittle.models.classes import class_of
from brittle.records import UNTARGETED, ModelRecord
from brittle.rng import Rng
from brittle.types import Labels, Logits

LEAST_LIKELY, NEXT_BEST, RANDOM = "least-likely", "next-best", "random"
CHOICES = (UNTARGETED, LEAST_LIKELY, NEXT_BEST, RANDOM)


def kind_of(goal: str) -> type[Goal]:
    """The type of the goals that a name stands for."""
    return Untargeted if goal == UNTARGETED else Targeted


def check_goals(goals: Sequence[str], models: Sequence[ModelRecord]) -> None:
    """Refuses no goals, repeated ones, and what names no class of every model, or the one it rejects with."""
    if not goals or isinstance(goals, str):
        raise BrittleError(f"expected goals as a list of a class, or {', '.join(CHOICES)}, got {goals!r}")
    texts("goals", goals)
    for goal in goals:
        if list(goals).count(goal) > 1:
            raise BrittleError(f"expected different goals, got {goal!r} {list(goals).count(goal)} times")
        for model in models:
            if goal in CHOICES:
                continue
            try:
                target = class_of(goal, model.class_names, len(model.class_names))
            except BrittleError as error:
                near = did_you_mean(goal, CHOICES)
                raise BrittleError(f"{error}{near if 'did you mean' in near else ''}") from None
            if target == model.reject:
                raise BrittleError(f"expected a target other than the reject class of {model.name}, got {goal!r}")


def goal_of(goal: str, model: ModelRecord, labels: Labels, logits: Logits, rng: Rng) -> Goal:
    """The goal for images with these labels ``[B]`` and logits ``[B, K]``.

    Targets are drawn among the classes that are neither the label nor the reject class: least-likely and next-best by
    the logits, random uniformly, by the image's own stream. A class that is named is the target of all images, of those
    too that have it to begin with.
    """
    if goal not in CHOICES:
        target = class_of(goal, model.class_names, logits.shape[1])
        return Targeted(torch.full_like(labels, target))
    return drawn_goal(goal, labels, logits, rng, reject=model.reject)


def drawn_goal(goal: str, labels: Labels, logits: Logits, rng: Rng, *, reject: int | None) -> Goal:
    """The same of a goal that names no class."""
    if goal == UNTARGETED:
        return Untargeted(labels, reject=reject)
    open_to = torch.ones_like(logits, dtype=torch.bool).scatter(1, labels.unsqueeze(1), False)
    if reject is not None:
        open_to[:, reject] = False
    if goal == RANDOM:
        return Targeted(rng.uniform("random targets", logits).masked_fill(~open_to, -1).argmax(1))
    if goal == NEXT_BEST:
        return Targeted(logits.masked_fill(~open_to, -torch.inf).argmax(1))
    return Targeted(logits.masked_fill(~open_to, torch.inf).argmin(1))
