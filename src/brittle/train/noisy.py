"""The control of training against attacks: a recipe on images with noise of the same size."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import nn

from brittle.catalog import option, register_in
from brittle.train.around import AroundRecipe
from brittle.train.batches import Batch
from brittle.train.recipe import RECIPES, Move, Networks, Recipe
from brittle.train.standard import Standard
from brittle.types import Images


@register_in(RECIPES, "noisy", paper="arXiv:1412.6572")
@final
@dataclass(frozen=True, slots=True)
class Noisy(AroundRecipe):
    """Another recipe on images with fresh noise in each step: Goodfellow et al. 2015's controls (section 6).

    Normal noise, beyond the valid pixels too, is what a network is shown that answers behind ``smoothing`` (Cohen et
    al. 2019, arXiv:1902.02918, section 3.3).
    """

    kind: Literal["signs", "uniform", "normal"] = option(
        "signs", "each value up or down by eps, by any amount up to it, or normal with that standard deviation"
    )
    eps: float = option(8 / 255, "size of the noise", above=0, at_most=1)
    recipe: Recipe = option(Standard(), "how the network learns from these images", of=RECIPES)

    def task(self, net: nn.Module) -> "Noising":
        """The other recipe's, whose batches have noise."""
        return Noising(self, net)


@final
class Noising:
    """The moves of another task, on images with noise."""

    def __init__(self, recipe: Noisy, net: nn.Module) -> None:
        self.recipe, self.inner = recipe, recipe.recipe.task(net)
        self.networks: Networks = self.inner.networks
        self.optimisers, self.rate = self.inner.optimisers, self.inner.rate

    def moves(self, networks: Networks, batch: Batch) -> Iterator[Move]:
        """Those on the noisy batch."""
        yield from self.inner.moves(networks, batch._replace(images=noised(batch, self.recipe)))


def noised(batch: Batch, recipe: Noisy) -> Images:
    """The batch with noise, normalised again; drawn from the step's own seed. Only normal noise leaves the valid
    pixels, as that of smoothing does."""
    if recipe.kind == "normal":
        return batch.seen(batch.pixels + recipe.eps * torch.randn(batch.images.shape).to(batch.images))
    drawn = 2 * torch.rand(batch.images.shape).to(batch.images) - 1
    noise = recipe.eps * (drawn.sign() if recipe.kind == "signs" else drawn)
    return batch.seen((batch.pixels + noise).clamp(0, 1))
