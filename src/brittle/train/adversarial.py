"""Adversarial training: a recipe on images that are attacked in each step, alone or beside the clean ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from torch import nn

from brittle.attacks.budget.pgd import PGD
from brittle.catalog import ATTACKS, Method, option, register_in
from brittle.train.around import AroundRecipe
from brittle.train.attacked import Opponent, check_trainable_by
from brittle.train.batches import Batch
from brittle.train.recipe import RECIPES, Move, Networks, Recipe
from brittle.train.standard import Standard


@register_in(RECIPES, "adversarial", paper="arXiv:1706.06083")
@final
@dataclass(frozen=True, slots=True)
class Adversarial(AroundRecipe):
    """Another recipe on images that are attacked anew in each step.

    With PGD it is Madry et al. 2018's; with ``pgd(steps=1,random_start=true,step_size=...)`` of 1.25 times the budget
    that of Wong et al. 2020 (arXiv:2001.03994, algorithm 3); with ``fgsm`` and ``share=0.5`` Goodfellow et al. 2015's
    mixed loss (arXiv:1412.6572, section 6), whose alpha is the share of the clean images, ``1 - share``.
    """

    attack: Method = option(PGD(random_start=True), "what is trained against, within a budget", of=ATTACKS)
    share: float = option(1.0, "of the loss that is of attacked images; the rest is of clean ones", above=0, at_most=1)
    ramp: float = option(0.0, "share of the steps over which the budget grows to its full", at_least=0, below=1)
    watch: bool = option(True, "look for catastrophic overfitting by PGD, and stop before it")
    recipe: Recipe = option(Standard(), "how the network learns from these images", of=RECIPES)

    def __post_init__(self) -> None:
        check_trainable_by(self.attack)

    def task(self, net: nn.Module) -> "Attacking":
        """The other recipe's, whose batches are attacked."""
        return Attacking(self, net)


@final
class Attacking:
    """The moves of another task, on attacked images; beside those on clean ones where the loss is a mixture."""

    def __init__(self, recipe: Adversarial, net: nn.Module) -> None:
        self.recipe, self.opponent = recipe, Opponent(recipe, net)
        self.inner, self.networks = self.opponent.inner, self.opponent.networks
        self.optimisers, self.rate = self.inner.optimisers, self.inner.rate

    def moves(self, networks: Networks, batch: Batch) -> Iterator[Move]:
        """The loss of the batch; "robust" is the accuracy by PGD where it was last looked."""
        recipe, told = self.recipe, self.opponent.told(batch)
        harder = batch._replace(images=self.opponent.attacked(batch))
        if recipe.share == 1:
            for move in self.inner.moves(networks, harder):
                yield move._replace(told={**move.told, **told})
            return
        both = zip(self.inner.moves(networks, batch), self.inner.moves(networks, harder), strict=True)
        for clean, hard in both:
            loss = (1 - recipe.share) * clean.loss + recipe.share * hard.loss
            yield Move(hard.optimiser, loss, {**hard.told, "loss": loss.detach() * len(batch.labels), **told})
