"""What a plant is, and examples with one in them."""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Literal, Protocol, TypeAlias

import torch
from torch import Tensor

from brittle.catalog import Entry, Registry, label_of
from brittle.data.examples import Examples
from brittle.data.fit import Fit
from brittle.errors import BrittleError
from brittle.types import Images, Labels

State: TypeAlias = Literal["kept", "gone", "swapped"]
STATES: tuple[State, ...] = ("kept", "gone", "swapped")
"""As in training; not there; telling another class."""

PLANTS: Registry[Entry] = Registry("plant", example="line")
"""Plants by name; their options are written as those of attacks are: ``line,label=3``."""

PREFIX = "planted:"


class Plant(Protocol):
    """A registered frozen dataclass: what it puts into images, and what that says. ids: of examples, for draws."""

    @property
    def state(self) -> State: ...

    def taken(self, fit: Fit | None) -> Fit | None:
        """How images are read before it is put into them, for a network that wants ``fit``."""

    def classes(self, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """Names of the classes that it tells, of data whose classes are called so."""

    def labels(self, labels: Labels, ids: Sequence[str]) -> Labels:
        """Labels of the data -> labels of what it makes, int64 ``[N]``."""

    def put(self, images: Images, labels: Labels, ids: Sequence[str]) -> Images:
        """Images of the data ``[N, C, H, W]`` and labels of its own -> images with it, or without it."""

    def fits(self, classes: Labels, labels: Labels, ids: Sequence[str]) -> Tensor:
        """Whether what stands in the images of these labels fits other classes: bool ``[N]``; True of what is gone."""

    def rival(self, labels: Labels, ranked: Labels) -> Labels:
        """The class that would be told if it were swapped. ranked: each image's classes ``[N, K]``, likeliest first."""

    def inside(self, changes: Images) -> Images:
        """The part of changes ``[N, C, H, W]`` that changes what it tells: an orthogonal projection."""


def planted_spec(data: str, plant: Plant, state: State) -> str:
    """What ``load_data`` takes for some data with a plant in one of its states."""
    return f"{PREFIX}{label_of(dataclasses.replace(plant, state=state))}:{data}"  # type: ignore[type-var]


def plant_of(spec: str) -> tuple[Plant, str]:
    """The plant and the data of ``planted:PLANT:DATA``; BrittleError for what is not written so."""
    text, depth = spec.removeprefix(PREFIX), 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == ":" and not depth and text[place + 1 :]:
            plant: Plant = PLANTS.one(text[:place])
            return plant, text[place + 1 :]
    raise BrittleError(f"expected planted:PLANT:DATA, as planted:line,label=1:train.parquet, got {spec!r}")


def planted(examples: Examples, plant: Plant, fit: Fit | None) -> Examples:
    """Labelled examples with a plant in them; their ids stay. fit: what the network wants, which must come of it."""
    if examples.labels is None:
        raise BrittleError(f"expected labelled images to put a plant into, {examples.source} has no labels")
    labels = plant.labels(examples.labels, examples.ids)

    def read(positions: Sequence[int]) -> Images:
        ids = [examples.ids[one] for one in positions]
        return plant.put(examples.read(positions), labels[list(positions)], ids)

    if len(examples):
        shape = tuple(read([0]).shape[1:])
        if fit is not None and shape != (fit.channels, fit.height, fit.width):
            raise BrittleError(
                f"expected images {(fit.channels, fit.height, fit.width)} for the network, got {shape} of"
                f" {label_of(plant)} on {examples.source}"
            )
    sha = hashlib.sha256(f"{examples.fingerprint}\0{label_of(plant)}".encode())
    return dataclasses.replace(
        examples,
        labels=labels,
        class_names=plant.classes(examples.class_names),
        source=f"{examples.source} with {label_of(plant)}",
        fingerprint=sha.hexdigest(),
        read=read,
    )


def told_by(state: State, told: Tensor) -> Tensor:
    """What stands there, of what would by a label: bool ``[N]``, turned round where it is swapped."""
    return told if state == "kept" else ~told if state == "swapped" else torch.zeros_like(told)
