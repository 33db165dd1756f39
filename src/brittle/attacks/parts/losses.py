"""Scores to ascend other than the goal's own loss."""

from brittle.goals import Goal, Targeted
from brittle.models.classifier import Score
from brittle.types import Logits


def logit_of(goal: Goal) -> Score:
    """The logit of the class to reach; of the class to leave, its negative. Logits ``[B, K]`` -> float ``[B]``."""
    sign = 1.0 if isinstance(goal, Targeted) else -1.0

    def score(logits: Logits) -> Logits:
        return sign * logits.gather(1, goal.labels.unsqueeze(1)).squeeze(1)

    return score
