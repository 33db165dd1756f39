"""The recipe of most classifiers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import final

from torch import nn
from torch.nn import functional
from torch.optim import SGD, Optimizer

from brittle.catalog import option, register_in
from brittle.train.batches import Augmentation, Batch, Normalised, Pixels
from brittle.train.recipe import RECIPES, Move, Networks
from brittle.train.schedule import one_cycle

_NET, _SGD = "classifier", "sgd"


@register_in(RECIPES, "standard", paper="arXiv:1708.07120")
@final
@dataclass(frozen=True, slots=True)
class Standard:
    """Cross-entropy of smoothed labels, by Nesterov's SGD with a one-cycle rate, on flipped and shifted images."""

    epochs: int = option(20, "times that each image is seen", at_least=1)
    batch: int = option(128, "images of a step, at most", at_least=2)
    peak_rate: float = option(0.2, "largest learning rate", above=0)
    warm_up: float = option(0.25, "share of the steps until the rate is largest", above=0, below=1)
    momentum: float = option(0.9, "of Nesterov's kind; 0 is plain SGD", at_least=0, below=1)
    decay: float = option(5e-4, "weight decay, of weights but not of biases and norms", at_least=0)
    smoothing: float = option(0.1, "share of a label that all classes have in equal parts", at_least=0, below=1)
    flip: bool = option(True, "mirror half of the images; not for what has a left and a right, as digits")
    shift: int = option(2, "pixels by which an image is moved at most, each way", at_least=0)

    @property
    def augmentation(self) -> Augmentation:
        return Augmentation(self.flip, self.shift)

    def normalised(self, pixels: Pixels) -> Normalised:
        return Normalised.of(pixels)

    def task(self, net: nn.Module) -> "Classifying":
        """SGD on the smoothed cross-entropy."""
        return Classifying(self, net)


@final
class Classifying:
    """One network, one optimiser, one move a step."""

    def __init__(self, recipe: Standard, net: nn.Module) -> None:
        self.recipe = recipe
        self.networks: Networks = {_NET: net}
        wide = [one for one in net.parameters() if one.ndim > 1]
        rest = [one for one in net.parameters() if one.ndim <= 1]
        groups = [{"params": wide, "weight_decay": recipe.decay}, {"params": rest, "weight_decay": 0.0}]
        self.optimisers: Mapping[str, Optimizer] = {
            _SGD: SGD(
                [group for group in groups if group["params"]],
                lr=recipe.peak_rate,
                momentum=recipe.momentum,
                nesterov=recipe.momentum > 0,
            )
        }

    def rate(self, progress: float) -> float:
        return one_cycle(progress, self.recipe.peak_rate, self.recipe.warm_up)

    def moves(self, networks: Networks, batch: Batch) -> Iterator[Move]:
        """The loss of the batch."""
        logits = networks[_NET](batch.images)
        loss = functional.cross_entropy(logits, batch.labels, label_smoothing=self.recipe.smoothing)
        right = (logits.detach().argmax(1) == batch.labels).sum()
        yield Move(_SGD, loss, {"loss": loss.detach() * len(batch.labels), "accuracy": right})
