"""Szegedy's pools: adversarial examples of every layer, renewed a few at a time, and trained on beside the data."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, final

import torch
from torch import Tensor, nn

from brittle.catalog import option, register_in
from brittle.errors import BrittleError
from brittle.geometry.norms import per_row
from brittle.goals import Untargeted
from brittle.models.modes import evaluating
from brittle.train.around import AroundRecipe
from brittle.train.batches import Batch
from brittle.train.recipe import RECIPES, Move, Networks, Recipe
from brittle.train.standard import Standard
from brittle.types import Labels

_POOLS = "pools"


@register_in(RECIPES, "pools", paper="arXiv:1312.6199")
@final
@dataclass(frozen=True, slots=True)
class Pools(AroundRecipe):
    """Another recipe on the data and on pools of adversarial examples: one of images, and one for each hidden layer.

    Those of a layer are changes of what it sees, and train it and the layers above it (section 4.2). The paper finds
    them by L-BFGS; here each walks along the normalised gradient until the network is fooled, at most so far.
    """

    where: Literal["all", "hidden", "input"] = option("all", "what is changed: images, what hidden layers see, or both")
    size: int = option(1000, "examples of a pool", at_least=2)
    fresh: int = option(16, "examples that are made anew in each step, for each pool", at_least=1)
    reach: float = option(0.3, "L2 of a change at most, as a share of that of what is changed", above=0)
    steps: int = option(5, "steps of a walk", at_least=1)
    share: float = option(0.5, "of the loss that is of pools, all alike; the rest is of the data", above=0, below=1)
    recipe: Recipe = option(Standard(), "how the network learns from these", of=RECIPES)

    def task(self, net: nn.Module) -> "Pooling":
        """The other recipe's, with pools beside the batch; BrittleError for hidden layers that there are not."""
        return Pooling(self, net)


@final
class Pool(nn.Module):
    """Changed inputs of a layer, with their labels. As one of the task's networks it is in every checkpoint."""

    def __init__(self, layer: nn.Module | None, size: int) -> None:
        super().__init__()
        self.place = (layer,)  # in a tuple, so that the layer is no part of the pool
        self.size = size
        self.values, self.labels = torch.empty(0), torch.empty(0, dtype=torch.int64)

    @property
    def layer(self) -> nn.Module | None:
        """None: the network itself."""
        return self.place[0]

    def renew(self, values: Tensor, labels: Labels) -> None:
        """Some examples more; once the pool is full, in the place of others, by chance."""
        count = len(self.labels)
        if not count:
            self.values, self.labels = values.clone(), labels.clone()
        elif count < self.size:
            self.values, self.labels = torch.cat([self.values, values]), torch.cat([self.labels, labels])
        else:
            rows = torch.randperm(count)[: len(labels)].to(values.device)
            self.values[rows], self.labels[rows] = values[: len(rows)], labels[: len(rows)]
        self.values, self.labels = self.values[: self.size], self.labels[: self.size]

    def drawn(self, count: int) -> tuple[Tensor, Labels]:
        """Some of them, by chance."""
        rows = torch.randint(len(self.labels), (count,)).to(self.labels.device)
        return self.values[rows], self.labels[rows]

    def get_extra_state(self) -> dict[str, Tensor]:
        return {"values": self.values, "labels": self.labels}

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        self.values, self.labels = state["values"], state["labels"]


@final
class Pooling:
    """The moves of another task on the batch, and the same on what is drawn of each pool."""

    def __init__(self, recipe: Pools, net: nn.Module) -> None:
        self.recipe, self.net = recipe, net
        self.inner = recipe.recipe.task(net)
        self.optimisers, self.rate = self.inner.optimisers, self.inner.rate
        hidden = [one for one in net.modules() if isinstance(one, nn.Linear | nn.Conv2d)][1:]
        if recipe.where == "hidden" and not hidden:
            raise BrittleError(f"expected a network with hidden layers for where=hidden, got {type(net).__name__}")
        places: list[nn.Module | None] = [None] if recipe.where != "hidden" else []
        places += hidden if recipe.where != "input" else []
        self.pools = nn.ModuleList([Pool(one, recipe.size) for one in places])
        self.networks: Networks = {**self.inner.networks, _POOLS: self.pools}

    def moves(self, networks: Networks, batch: Batch) -> Iterator[Move]:
        """The mixed loss; what is told beside it is of the batch."""
        recipe, beside = self.recipe, list[tuple[Pool, Tensor, Iterator[Move]]]()
        each = max(1, len(batch.labels) // len(self.pools))
        for pool in self.pools:
            assert isinstance(pool, Pool)
            fresh = batch.first(recipe.fresh)
            pool.renew(walked(self.net, pool.layer, fresh, recipe.reach, recipe.steps), fresh.labels)
            values, labels = pool.drawn(each)
            # Below a hidden layer any images will do, as what comes of them is replaced.
            images = values if pool.layer is None else batch.images[:each]
            drawn = batch._replace(images=images, labels=labels)
            beside.append((pool, values, self.inner.moves(networks, drawn)))
        for clean in self.inner.moves(networks, batch):
            hard = torch.zeros(())
            for pool, values, moves in beside:
                with replaced(pool.layer, values):
                    hard = hard + next(moves).loss / len(beside)
            loss = (1 - recipe.share) * clean.loss + recipe.share * hard
            yield Move(clean.optimiser, loss, {**clean.told, "loss": loss.detach() * len(batch.labels)})


def walked(net: nn.Module, layer: nn.Module | None, batch: Batch, reach: float, steps: int) -> Tensor:
    """What a layer sees of a batch, or the images, changed until the network is fooled or it is far enough.

    Each row goes along its normalised gradient in steps of equal length. Images stay within the valid pixels.
    """
    seen = batch.normalised
    mean, std = (torch.tensor(one, device=batch.images.device).view(1, -1, 1, 1) for one in (seen.mean, seen.std))
    goal = Untargeted(batch.labels)
    with evaluating(net):
        with torch.no_grad():
            values = batch.images if layer is None else _input_of(net, layer, batch.images)
        step = reach / steps * values.flatten(1).norm(dim=1)
        for _ in range(steps):
            leaf = values.clone().requires_grad_()
            with torch.enable_grad(), replaced(layer, leaf):
                logits = net(leaf if layer is None else batch.images).float()
                (slope,) = torch.autograd.grad(goal.loss(logits).sum(), leaf)
            length = slope.flatten(1).norm(dim=1).clamp_min(1e-30)
            far = torch.where(goal.is_met(logits), torch.zeros_like(step), step / length)
            values = (values + per_row(far, values) * slope).detach()
            if layer is None:
                values = torch.minimum(torch.maximum(values, (0 - mean) / std), (1 - mean) / std)
    return values


@contextmanager
def replaced(layer: nn.Module | None, values: Tensor) -> Iterator[None]:
    """Inside, the layer sees these values, whatever it is given; None changes nothing."""
    hook = None if layer is None else layer.register_forward_pre_hook(lambda _, given: (values, *given[1:]))
    try:
        yield
    finally:
        if hook is not None:
            hook.remove()


def _input_of(net: nn.Module, layer: nn.Module, images: Tensor) -> Tensor:
    found: list[Any] = []
    hook = layer.register_forward_pre_hook(lambda _, given: found.append(given[0].detach().clone()))
    try:
        net(images)
    finally:
        hook.remove()
    made: Tensor = found[-1]
    return made
