"""TRADES: the clean loss, and how far an attack turns the answer away from the clean one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import nn

from brittle.attacks.budget.pgd import PGD
from brittle.catalog import ATTACKS, Method, option, register_in
from brittle.models.modes import evaluating
from brittle.train.around import AroundRecipe
from brittle.train.attacked import Opponent, check_trainable_by, divergence
from brittle.train.batches import Batch
from brittle.train.recipe import RECIPES, Move, Networks, Recipe
from brittle.train.standard import Standard


@register_in(RECIPES, "trades", paper="arXiv:1901.08573")
@final
@dataclass(frozen=True, slots=True)
class Trades(AroundRecipe):
    """Another recipe's loss on clean images, and beta times the divergence of attacked images' answers from them.

    ``loss(x, y) + beta * KL(p(x) || p(x'))``, where x' maximises that divergence within the budget (Zhang et al. 2019,
    eq. 5). The attack needs a random start, as the divergence has no slope at the image itself.
    """

    attack: Method = option(PGD(random_start=True), "what turns answers away, within a budget", of=ATTACKS)
    beta: float = option(6.0, "weight of the divergence; the paper's 1/lambda", above=0)
    ramp: float = option(0.0, "share of the steps over which the budget grows to its full", at_least=0, below=1)
    watch: bool = option(True, "look for catastrophic overfitting by PGD, and stop before it")
    recipe: Recipe = option(Standard(), "how the network learns from clean images", of=RECIPES)

    def __post_init__(self) -> None:
        check_trainable_by(self.attack)

    def task(self, net: nn.Module) -> "Trading":
        """The other recipe's, with the divergence added to its loss."""
        return Trading(self, net)


@final
class Trading:
    """The moves of another task, each with the divergence added to its loss."""

    def __init__(self, recipe: Trades, net: nn.Module) -> None:
        self.recipe, self.net, self.opponent = recipe, net, Opponent(recipe, net)
        self.inner, self.networks = self.opponent.inner, self.opponent.networks
        self.optimisers, self.rate = self.inner.optimisers, self.inner.rate

    def moves(self, networks: Networks, batch: Batch) -> Iterator[Move]:
        """The loss of the batch; "robust" is the accuracy by PGD where it was last looked."""
        net, recipe, told = next(iter(networks.values())), self.recipe, self.opponent.told(batch)
        with torch.no_grad(), evaluating(self.net), batch.autocast():
            answers = self.net(batch.images).float()
        harder = self.opponent.attacked(batch, away=answers)
        for move in self.inner.moves(networks, batch):
            loss = move.loss + recipe.beta * divergence(net(harder), net(batch.images)).mean()
            yield Move(move.optimiser, loss, {**move.told, "loss": loss.detach() * len(batch.labels), **told})
