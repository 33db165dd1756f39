"""Corruptions by name: what nature, cameras and files do to images, each at five severities."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, final

from brittle.errors import BrittleError, did_you_mean
from brittle.geometry.box import clip
from brittle.rng import Rng
from brittle.types import Images

Group = Literal["noise", "blur", "weather", "digital", "colour", "style"]
Change: TypeAlias = Callable[[Images, float, Rng], Images]
"""Images ``[B, C, H, W]`` in [0, 1], how much, and draws for each -> images, which may leave [0, 1]."""

SEVERITIES = (1, 2, 3, 4, 5)


@final
@dataclass(frozen=True, slots=True)
class Corruption:
    """One of them. amounts: what each severity means, in the unit that ``summary`` tells."""

    name: str
    group: Group
    summary: str
    amounts: tuple[float, float, float, float, float]
    change: Change
    colour: bool = False  # only images in colour have what it changes

    def __call__(self, images: Images, severity: int, *, seed: int, ids: Sequence[str]) -> Images:
        """Images ``[B, C, H, W]`` in [0, 1] -> the same. An image has its own draws, at every severity the same."""
        rng = Rng(seed, tuple(ids)).another(self.name)
        return clip(self.change(images, self.amounts[severity - 1], rng)) if len(images) else images


CORRUPTIONS: dict[str, Corruption] = {}


def corruption(
    name: str, group: Group, summary: str, *amounts: float, colour: bool = False
) -> Callable[[Change], Change]:
    """Enrols a change."""
    one, two, three, four, five = amounts

    def enrol(change: Change) -> Change:
        CORRUPTIONS[name] = Corruption(name, group, summary, (one, two, three, four, five), change, colour)
        return change

    return enrol


def corruption_named(name: str) -> Corruption:
    """The one of a name; BrittleError with the nearest where there is none."""
    if name not in CORRUPTIONS:
        raise BrittleError(f"unknown corruption {name!r}{did_you_mean(name, CORRUPTIONS)}; see: brittle corruptions")
    return CORRUPTIONS[name]
