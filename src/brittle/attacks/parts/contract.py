"""What an attack is, and what it returns."""

from typing import NamedTuple, Protocol

from torch import Tensor

from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images


class Outcome(NamedTuple):
    """What an attack found; rows as in its input. The engine grades it: an attack never grades itself.

    images: float32 ``[B, C, H, W]``; where the attack failed, its last attempt.
    claimed: bool ``[B]``, the attack has itself seen the goal met at exactly these images.
    steps, forwards, backwards: int64 ``[B]``, what each example took.
    """

    images: Images
    claimed: Tensor
    steps: Tensor
    forwards: Tensor
    backwards: Tensor


class Attack(Protocol):
    """A frozen configuration that can be called; register it with ``brittle.catalog.register``."""

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        """Perturbs images ``[B, C, H, W]`` in [0, 1], B >= 0, towards the goal; ``Unsupported`` before any work."""
