"""Activation maximisation: images that excite a class, a channel, a unit or a direction as much as can be."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol, final

import torch
from torch import Tensor

from brittle.catalog import Entry, Registry, option, register_in
from brittle.explain.movement import Movement
from brittle.explain.objective import Asked
from brittle.explain.prior import Prior
from brittle.rng import Rng
from brittle.types import Images

ASCENTS: Registry[Entry] = Registry("ascent", example="fourier")
"""Ways up, by name; their options are written as those of attacks are: ``plain,learning_rate=0.4,iterations=1000``."""

_FIRST, _SECOND, _LEAST = 0.9, 0.999, 1e-8  # Adam's, as published
_SMOOTH, _GROWN = 0.9, 0.01  # of the values that an early stop looks at, and of all that has been gained


class Ascended(NamedTuple):
    """Images ``[B, C, H, W]`` in [0, 1], and after how many steps ``[B]`` each was left."""

    images: Images
    steps: Tensor


class Ascent(Protocol):
    """A registered frozen dataclass. Each row depends on its objective alone, up to how its batch is rounded."""

    @property
    def odds(self) -> bool:
        """Whether a class is asked for by its log-odds."""

    def __call__(self, asked: Asked, prior: Prior, spread: Tensor, rng: Rng) -> Ascended:
        """An image for each objective. spread: by how much each differs over ordinary images, ``[B]``, above 0."""


@register_in(ASCENTS, "plain", paper="arXiv:1312.6034")
@final
@dataclass(frozen=True, slots=True)
class Plain:
    """Gradient ascent on the pixels, from the mean image, with weight decay towards mid-grey: the textbook's way."""

    learning_rate: float = option(0.6, "a step for a gradient of 1, with pixels in [-1, 1]", above=0)
    decay: float = option(0.005, "share of the distance from mid-grey that a learning rate of 1 takes off", at_least=0)
    iterations: int = option(500, "steps", at_least=1)

    @property
    def odds(self) -> bool:
        return False

    def __call__(self, asked: Asked, prior: Prior, spread: Tensor, rng: Rng) -> Ascended:
        """Exactly ``iterations`` steps; clipped after each."""
        count = len(asked.objectives)
        pixels = (2 * prior.average - 1).expand(count, *prior.average.shape).clone()
        for _ in range(self.iterations):
            _, gradient = asked.gradient((pixels + 1) / 2)
            pixels = (pixels + self.learning_rate * (gradient / 2 - self.decay * pixels)).clamp(-1, 1)
        return Ascended((pixels + 1) / 2, torch.full((count,), self.iterations))


@register_in(ASCENTS, "fourier", paper="10.23915/distill.00007")
@final
@dataclass(frozen=True, slots=True)
class Fourier:
    """Adam on the whitened spectrum of an image, by the data's own colours and frequencies, as it is moved a little."""

    steps: int = option(256, "at most", at_least=1)
    rate: float = option(0.05, "learning rate of Adam, in standard deviations of the data's frequencies", above=0)
    decay: float = option(0.01, "how much an image must resemble the data: weight of the squared code", at_least=0)
    noise: float = option(0.01, "standard deviation of the code to begin with; 0 is the mean image", at_least=0)
    shift: float = option(0.05, "share of a side by which an image is moved at most", at_least=0, below=1)
    scale: float = option(0.1, "share by which it is made larger or smaller at most", at_least=0, below=1)
    turn: float = option(8.0, "degrees by which it is turned at most", at_least=0, at_most=180)
    patience: int = option(48, "an image that gained less than 1 % in so many steps is done; 0: never", at_least=0)
    odds: bool = option(True, "a class by its log-odds against all others, not by its logit alone")

    def __call__(self, asked: Asked, prior: Prior, spread: Tensor, rng: Rng) -> Ascended:
        """Each image until it gains no more."""
        move = Movement(self.shift, self.scale, self.turn)
        like = torch.empty(len(asked.objectives), *prior.code_shape, device=prior.mean.device)
        codes = self.noise * rng.normal("start", like)
        first, second = torch.zeros_like(codes), torch.zeros_like(codes)
        steps = torch.full((len(codes),), self.steps)
        left, gained = torch.arange(len(codes)), list[Tensor]()  # smoothed values of those that are left, by step
        for step in range(1, self.steps + 1):
            draws = rng[left].uniform(f"movement {step}", codes.new_empty(len(left), 4))
            values, slope = self._slope(asked.of(left), prior, move, codes[left], draws)
            slope = slope / spread[left].view(-1, 1, 1, 1, 1) - self.decay * codes[left]
            first[left] = _FIRST * first[left] + (1 - _FIRST) * slope
            second[left] = _SECOND * second[left] + (1 - _SECOND) * slope.square()
            size = (second[left] / (1 - _SECOND**step)).sqrt() + _LEAST
            codes[left] += self.rate * first[left] / (1 - _FIRST**step) / size
            gained.append(_SMOOTH * gained[-1] + (1 - _SMOOTH) * values if gained else values)
            if self.patience and step > self.patience:
                done = gained[-1] - gained[-1 - self.patience] <= _GROWN * (gained[-1] - gained[0])
                steps[left[done.cpu()]] = step
                left, gained = left[~done.cpu()], [one[~done] for one in gained]
                if not len(left):
                    break
        with torch.no_grad():
            return Ascended(prior.images(codes), steps)

    @staticmethod
    def _slope(asked: Asked, prior: Prior, move: Movement, codes: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        """Values of moved images, and their slopes in the codes."""
        with torch.enable_grad():
            leaf = codes.detach().requires_grad_()
            images = move(prior.images(leaf), draws)
            values, gradient = asked.gradient(images.detach())
            (slope,) = torch.autograd.grad(images, leaf, gradient)
        return values, slope
