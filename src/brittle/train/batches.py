"""Images as one tensor, decoded once, and batches of it, augmented by the same indexing that picks them.

A batch is a function of the seed and the step alone. So nothing is lost where a training is stopped, and no state of
any generator has to be kept.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, final

import torch
from torch import Tensor

from brittle.data.examples import Examples
from brittle.rng import hashed
from brittle.types import Images, Labels

_READ = 2_000  # images decoded at once


@final
@dataclass(frozen=True, slots=True)
class Pixels:
    """Labelled images in memory: ``[N, H, W, C]``, uint8 where that holds them exactly, otherwise float32 in [0, 1]."""

    values: Tensor
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    @staticmethod
    def of(examples: Examples, positions: Sequence[int]) -> "Pixels":
        """Some of the examples, which have labels."""
        if examples.labels is None:
            raise ValueError(f"expected labelled examples, {examples.source} has none")
        parts = [
            examples.read(positions[start : start + _READ]).permute(0, 2, 3, 1)
            for start in range(0, len(positions), _READ)
        ]
        levels = [(255 * part).round_().to(torch.uint8) for part in parts]
        exact = all(torch.equal(level / 255, part) for level, part in zip(levels, parts, strict=True))
        return Pixels(torch.cat(levels if exact else parts), examples.labels[list(positions)])

    def first(self, count: int) -> "Pixels":
        return Pixels(self.values[:count], self.labels[:count])

    def to(self, device: torch.device) -> "Pixels":
        return Pixels(self.values.to(device), self.labels.to(device))


@final
@dataclass(frozen=True, slots=True)
class Normalised:
    """Mean and standard deviation of each channel, over all pixels of some images."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @staticmethod
    def of(pixels: Pixels) -> "Normalised":
        """To four digits, so that a card says all of it. A channel that never changes keeps its unit."""
        flat = pixels.values.reshape(-1, pixels.values.shape[-1])
        scale = 255.0 if flat.dtype == torch.uint8 else 1.0
        sums, squares = torch.zeros(2, flat.shape[1], dtype=torch.float64, device=flat.device)
        for part in torch.split(flat, 1 << 20):  # a float64 copy of all would be large
            values = part.double() / scale
            sums, squares = sums + values.sum(0), squares + values.square().sum(0)
        mean = sums / len(flat)
        std = (squares / len(flat) - mean.square()).clamp_min_(0).sqrt()
        return Normalised(
            tuple(round(one, 4) for one in mean.tolist()), tuple(round(one, 4) or 1.0 for one in std.tolist())
        )

    def images(self, values: Tensor) -> Images:
        """``[B, H, W, C]`` of pixels -> ``[B, C, H, W]`` for a network, channels last in memory, in one pass."""
        scale = 255.0 if values.dtype == torch.uint8 else 1.0
        mean, std = (torch.tensor(one, device=values.device) for one in (self.mean, self.std))
        return torch.addcmul(-mean / std, values.float(), 1 / (scale * std)).permute(0, 3, 1, 2)


class Batch(NamedTuple):
    """images: normalised, as ``normalised`` says, float32 ``[B, C, H, W]``, channels last in memory. labels: int64
    ``[B]``. step: of so many steps, and so many an epoch. autocast: in which a network itself, asked past the loop,
    computes as the loop has it."""

    images: Images
    labels: Labels
    normalised: Normalised
    step: int
    steps: int
    per_epoch: int
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext

    @property
    def progress(self) -> float:
        """The share of all steps that are done with this one, above 0."""
        return (self.step + 1) / self.steps

    @property
    def pixels(self) -> Images:
        """The images as they are without normalisation, but for rounding."""
        mean, std = self._moments
        return self.images * std + mean

    def seen(self, pixels: Images) -> Images:
        """Pixels ``[B, C, H, W]``, normalised as the batch is."""
        mean, std = self._moments
        return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)

    @property
    def _moments(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, for each channel of images."""
        device = self.images.device
        mean, std = (
            torch.tensor(one, device=device).view(1, -1, 1, 1) for one in (self.normalised.mean, self.normalised.std)
        )
        return mean, std

    def first(self, count: int) -> "Batch":
        """The first so many of its images."""
        return self._replace(images=self.images[:count], labels=self.labels[:count])


@final
@dataclass(frozen=True, slots=True)
class Augmentation:
    """flip: half of the images are mirrored. shift: by up to so many pixels each way; what moves in is mirrored."""

    flip: bool = False
    shift: int = 0

    def picked(self, values: Tensor, rows: Tensor, generator: torch.Generator) -> Tensor:
        """``values[rows]`` of pixels ``[N, H, W, C]``, each flipped and shifted by chance: ``[B, H, W, C]``."""
        if not self.flip and not self.shift:
            return values[rows]
        count = len(rows)
        flips = torch.rand(count, generator=generator) < 0.5 if self.flip else torch.zeros(count, dtype=torch.bool)
        shifts = torch.randint(-self.shift, self.shift + 1, (2, count), generator=generator)
        return moved(values, rows, flips.to(values.device), *shifts.to(values.device))


def moved(values: Tensor, rows: Tensor, flips: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """``values[rows]`` of pixels ``[N, H, W, C]``, mirrored left to right where ``flips``, then moved by whole pixels.

    flips: bool ``[B]``; down, right: int ``[B]``. What moves in is the image mirrored at its edge, so that every pixel
    is one of its own; all in one look-up.
    """
    height, width = values.shape[1:3]
    ys = _within(torch.arange(height, device=values.device) - down[:, None], height)
    xs = _within(torch.arange(width, device=values.device) - right[:, None], width)
    xs = torch.where(flips[:, None], width - 1 - xs, xs)
    places = (rows[:, None, None] * height + ys[:, :, None]) * width + xs[:, None, :]
    # One index into pixels, and not three into images, takes a third of the time.
    return values.reshape(-1, values.shape[3]).index_select(0, places.flatten()).view(*places.shape, -1)


def _within(places: Tensor, size: int) -> Tensor:
    """Places beyond an edge, mirrored at it."""
    places = places.abs()
    return torch.minimum(places, 2 * (size - 1) - places).clamp_(0, size - 1)


@final
@dataclass(frozen=True, slots=True)
class Batches:
    """The steps of a training. All images once in each epoch, in an order of its own, in parts of nearly equal size."""

    pixels: Pixels
    normalised: Normalised
    augmentation: Augmentation
    size: int
    epochs: int
    seed: int

    @property
    def per_epoch(self) -> int:
        return -(-len(self.pixels) // self.size)

    @property
    def steps(self) -> int:
        return self.epochs * self.per_epoch

    def rows(self, step: int) -> Tensor:
        """The images of a step, by position."""
        epoch, part = divmod(step, self.per_epoch)
        order = _order(len(self.pixels), self.seed, epoch)
        start, stop = (len(order) * one // self.per_epoch for one in (part, part + 1))
        return order[start:stop]

    def at(self, step: int, rank: int = 0, of: int = 1) -> Batch:
        """The batch of a step; rank, of: a process's share of it."""
        rows = self.rows(step)[rank::of].to(self.pixels.values.device)
        generator = keyed(self.seed, f"augmentation {rank}", step)
        values = self.augmentation.picked(self.pixels.values, rows, generator)
        images, labels = self.normalised.images(values), self.pixels.labels[rows]
        return Batch(images, labels, self.normalised, step, self.steps, self.per_epoch)


@lru_cache(maxsize=2)  # of an epoch: for a small network, drawing it anew takes as long as the rest of a step
def _order(count: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(count, generator=keyed(seed, "order", epoch))


def keyed(seed: int, purpose: str, number: int) -> torch.Generator:
    """A generator that belongs to one purpose at one place."""
    return torch.Generator().manual_seed(seed_of(seed, purpose, number))


def seed_of(seed: int, purpose: str, number: int = 0) -> int:
    """A seed of its own for one purpose at one place."""
    return hashed(f"{seed}\0{purpose}\0{number}")
