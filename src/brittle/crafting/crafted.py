"""What has become of one photograph for one wish."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from brittle.visibility.measures import Visibility


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Crafted:
    """A result, as the reloaded file shows it.

    photo: file name without folder. original, perturbed: uint8 ``[3, H, W]`` on the CPU. wish: what was asked for.
    target: class index, or None for untargeted. before, after: the five most likely classes with their probabilities.
    confidence: the target's probability; untargeted, 1 less that of the class before. wanted: the confidence asked for.
    fooled: the goal is met, inside the box and the attack's budget. reached: and at that confidence. claimed: what the
    attack itself has seen. attack: its label. seconds: of the attack alone. flags: codes of reasons to doubt it.
    folder: where its files are, below the run directory; "" is that itself.
    """

    photo: str
    original: Tensor
    perturbed: Tensor
    wish: str
    target: int | None
    target_name: str | None
    before: tuple[tuple[str, float], ...]
    after: tuple[tuple[str, float], ...]
    label_before: int
    confidence: float
    claimed: bool
    fooled: bool
    reached: bool
    wanted: float
    visibility: Visibility
    attack: str
    steps: int
    passes: int
    backwards: int
    seconds: float
    flags: tuple[str, ...] = ()
    folder: str = ""


def original_of(number: int) -> str:
    """Where a photograph is kept, below the run directory."""
    return f"photographs/{number:03d}.png"
