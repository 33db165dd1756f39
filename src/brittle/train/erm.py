"""The plain recipe of Colored MNIST: all images in each step."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import final

from torch import nn
from torch.nn import functional
from torch.optim import Adam, Optimizer

from brittle.catalog import option, register_in
from brittle.train.batches import Augmentation, Batch, Normalised, Pixels
from brittle.train.decayed import as_they_are
from brittle.train.recipe import RECIPES, Move, Networks

_NET, _ADAM = "classifier", "adam"


@register_in(RECIPES, "erm", paper="arXiv:1907.02893")
@final
@dataclass(frozen=True, slots=True)
class Erm:
    """Cross-entropy and ``decay * sum(w^2)`` over all parameters, by Adam at a constant rate, on all images at once.

    Empirical risk minimisation as Arjovsky et al. 2019 ran it beside their own method; the defaults are theirs.
    """

    epochs: int = option(501, "steps, as each one sees all images", at_least=1)
    batch: int = option(1_000_000, "images of a step, at most", at_least=2)
    step_size: float = option(1e-3, "learning rate of Adam, which stays", above=0)
    decay: float = option(1e-3, "weight decay of all parameters, biases too", at_least=0)

    @property
    def augmentation(self) -> Augmentation:
        return Augmentation()

    def normalised(self, pixels: Pixels) -> Normalised:
        return as_they_are(pixels)

    def task(self, net: nn.Module) -> "Minimising":
        """Adam on both losses together."""
        return Minimising(self, net)


@final
class Minimising:
    """One network, one optimiser, one move a step."""

    def __init__(self, recipe: Erm, net: nn.Module) -> None:
        self.recipe, self.parameters = recipe, list(net.parameters())
        self.networks: Networks = {_NET: net}
        self.optimisers: Mapping[str, Optimizer] = {_ADAM: Adam(self.parameters, lr=recipe.step_size)}

    def rate(self, progress: float) -> float:
        return self.recipe.step_size

    def moves(self, networks: Networks, batch: Batch) -> Iterator[Move]:
        """Both losses of the batch; what is told is the cross-entropy alone."""
        logits = networks[_NET](batch.images)
        loss = functional.cross_entropy(logits, batch.labels)
        right = (logits.detach().argmax(1) == batch.labels).sum()
        decay = self.recipe.decay * sum(one.square().sum() for one in self.parameters)
        yield Move(_ADAM, loss + decay, {"loss": loss.detach() * len(batch.labels), "accuracy": right})
