"""Defensive quantization: a recipe on a network that computes with few bits, whose layers are kept from amplifying."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from torch import nn

from brittle.catalog import option, register_in
from brittle.models.quantised import orthogonality, quantise
from brittle.train.around import AroundRecipe
from brittle.train.batches import Batch
from brittle.train.recipe import RECIPES, Move, Networks, Recipe
from brittle.train.standard import Standard


@register_in(RECIPES, "quantised", paper="arXiv:1904.08444")
@final
@dataclass(frozen=True, slots=True)
class Quantised(AroundRecipe):
    """Another recipe on a network that rounds its weights and activations, and ``beta / 2 * sum ||W^T W - I||^2``.

    Gradients go straight through the roundings, to weights that are not rounded; these are what is kept, so that the
    defence ``quantised`` with as many bits makes of them the network that was trained. Activations are rounded within
    the range of each batch. Lin et al. 2019 call it defensive where beta is above 0, which keeps layers from making
    changes larger; with 0 it is plain training for few bits.
    """

    bits: int = option(4, "bits of activations", at_least=1, at_most=8)
    weight_bits: int | None = option(None, "bits of weights; default: as many", at_least=1, at_most=16)
    beta: float = option(3e-4, "weight of the distance from orthogonal layers", at_least=0)
    recipe: Recipe = option(Standard(), "how the network learns", of=RECIPES)

    def task(self, net: nn.Module) -> "Quantising":
        """The other recipe's, of the network with layers that round."""
        quantise(net, self.bits, self.weight_bits or self.bits)
        return Quantising(self, net)


@final
class Quantising:
    """The moves of another task, with the regulariser added to the loss of each."""

    def __init__(self, recipe: Quantised, net: nn.Module) -> None:
        self.recipe, self.net = recipe, net
        self.inner = recipe.recipe.task(net)
        self.networks, self.optimisers, self.rate = self.inner.networks, self.inner.optimisers, self.inner.rate

    def moves(self, networks: Networks, batch: Batch) -> Iterator[Move]:
        """What is told is the other task's loss alone, and the regulariser without beta as "orthogonality"."""
        for move in self.inner.moves(networks, batch):
            apart = orthogonality(self.net)
            told = {**move.told, "orthogonality": apart.detach() * len(batch.labels)}
            yield Move(move.optimiser, move.loss + self.recipe.beta / 2 * apart, told)
