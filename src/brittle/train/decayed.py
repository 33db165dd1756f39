"""The recipe of Szegedy et al.: cross-entropy and a quadratic weight decay, layer by layer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam, Optimizer

from brittle.catalog import option, register_in
from brittle.train.batches import Augmentation, Batch, Normalised, Pixels
from brittle.train.recipe import RECIPES, Move, Networks
from brittle.train.schedule import one_cycle

_NET, _ADAM = "classifier", "adam"


@register_in(RECIPES, "szegedy", paper="arXiv:1312.6199")
@final
@dataclass(frozen=True, slots=True)
class Szegedy:
    """Cross-entropy and a weight decay of ``decay * sum(w^2) / k`` for each layer of k units, on pixels as they are.

    The paper prints the decays and no optimiser; here it is Adam with a one-cycle rate.
    """

    epochs: int = option(20, "times that each image is seen", at_least=1)
    batch: int = option(128, "images of a step, at most", at_least=2)
    peak_rate: float = option(0.005, "largest learning rate", above=0)
    warm_up: float = option(0.1, "share of the steps until the rate is largest", above=0, below=1)
    decay: float = option(1e-5, "weight decay of the layers before the last", at_least=0)
    last_decay: float = option(1e-6, "weight decay of the last layer; without hidden ones, of the only one", at_least=0)

    @property
    def augmentation(self) -> Augmentation:
        return Augmentation()

    def normalised(self, pixels: Pixels) -> Normalised:
        return as_they_are(pixels)

    def task(self, net: nn.Module) -> "Decaying":
        """Adam on both losses together."""
        return Decaying(self, net)


@final
class Decaying:
    """One network, one optimiser, one move a step."""

    def __init__(self, recipe: Szegedy, net: nn.Module) -> None:
        self.recipe = recipe
        self.networks: Networks = {_NET: net}
        self.optimisers: Mapping[str, Optimizer] = {_ADAM: Adam(net.parameters(), lr=recipe.peak_rate)}
        self.layers = weights_of(net)

    def rate(self, progress: float) -> float:
        return one_cycle(progress, self.recipe.peak_rate, self.recipe.warm_up)

    def moves(self, networks: Networks, batch: Batch) -> Iterator[Move]:
        """Both losses of the batch; what is told is the cross-entropy alone."""
        logits = networks[_NET](batch.images)
        loss = functional.cross_entropy(logits, batch.labels)
        right = (logits.detach().argmax(1) == batch.labels).sum()
        *before, last = self.layers
        decay = self.recipe.decay * decayed(before) + self.recipe.last_decay * decayed([last])
        yield Move(_ADAM, loss + decay, {"loss": loss.detach() * len(batch.labels), "accuracy": right})


def weights_of(net: nn.Module) -> list[Tensor]:
    """The weights of all layers that have a matrix, in order: biases and norms do not decay."""
    return [one.weight for one in net.modules() if isinstance(one, nn.Linear | nn.Conv2d)]


def decayed(weights: list[Tensor]) -> Tensor:
    """The sum over layers of ``sum(w^2) / k``; k: a layer's units, or channels. 0 for none."""
    return torch.stack([one.square().sum() / len(one) for one in weights]).sum() if weights else torch.zeros(())


def as_they_are(pixels: Pixels) -> Normalised:
    """Pixels in [0, 1]."""
    channels = pixels.values.shape[-1]
    return Normalised((0.0,) * channels, (1.0,) * channels)
