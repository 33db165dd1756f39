"""What a recipe is, and what it makes of a network: a task, which the loop does without knowing what it is for."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

from torch import Tensor, nn
from torch.optim import Optimizer

from brittle.catalog import Entry, Registry
from brittle.train.batches import Augmentation, Batch, Normalised, Pixels

RECIPES: Registry[Entry] = Registry("recipe", example="standard")
"""Recipes by name; their options are written as those of attacks are: ``standard,epochs=12,peak_rate=0.4``."""

Networks = Mapping[str, nn.Module]


class Stopped(Exception):
    """Raised by a task within its moves: why a training ends before its last step, with the weights that it has now."""


class Move(NamedTuple):
    """What one optimiser is to do next. told: numbers about the batch, as sums over its images."""

    optimiser: str
    loss: Tensor
    told: Mapping[str, Tensor]


class Task(Protocol):
    """Networks, what changes them, and the moves that a batch gives rise to."""

    @property
    def networks(self) -> Networks:
        """By name, as they are to be trained."""

    @property
    def optimisers(self) -> Mapping[str, Optimizer]:
        """By the names that moves call them; each of parameters of these networks."""

    def rate(self, progress: float) -> float:
        """The learning rate after a share of all steps, in [0, 1)."""

    def moves(self, networks: Networks, batch: Batch) -> Iterator[Move]:
        """The moves of one step, in order. Each is made before the next is asked for, so that one network can answer to
        what another has just become. networks: the same, as the loop runs them (on several devices, or in half
        precision)."""


class Recipe(Protocol):
    """How to train a classifier: a registered frozen dataclass."""

    @property
    def epochs(self) -> int: ...

    @property
    def batch(self) -> int:
        """Images of a step, at most."""

    @property
    def augmentation(self) -> Augmentation: ...

    def normalised(self, pixels: Pixels) -> Normalised:
        """What the network sees of images, these being those that it is trained on."""

    def task(self, net: nn.Module) -> Task:
        """The classifier ``net`` with all that training it takes; BrittleError for one that it cannot train."""
