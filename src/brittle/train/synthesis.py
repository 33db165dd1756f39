"""A decoder for each class, learnt with an encoder that nobody asks afterwards; and a temperature for each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam, Optimizer

from brittle.catalog import option, register_in
from brittle.errors import BrittleError
from brittle.models.architectures.synthesis import Synthesis, bounds_of, one_for_each
from brittle.train.batches import Augmentation, Batch, Normalised, Pixels
from brittle.train.decayed import as_they_are
from brittle.train.recipe import RECIPES, Move, Networks
from brittle.train.schedule import one_cycle
from brittle.types import Images, Labels

_NET, _AUTOENCODERS, _TEMPERATURES = "classifier", "autoencoders", "temperatures"


@register_in(RECIPES, "synthesis", paper="arXiv:1805.09190")
@final
@dataclass(frozen=True, slots=True)
class AnalysisBySynthesis:
    """A variational autoencoder for each class, on images of that class alone, and how much each one's bound counts."""

    epochs: int = option(40, "times that each image is seen", at_least=1)
    batch: int = option(100, "images of a step, at most", at_least=2)
    peak_rate: float = option(0.003, "largest learning rate", above=0)
    warm_up: float = option(0.1, "share of the steps until the rate is largest", above=0, below=1)
    tempered: int = option(16, "images of a step that temperatures learn from", at_least=1)

    @property
    def augmentation(self) -> Augmentation:
        return Augmentation()

    def normalised(self, pixels: Pixels) -> Normalised:
        return as_they_are(pixels)

    def task(self, net: nn.Module) -> "Synthesising":
        """Adam on either loss."""
        if not isinstance(net, Synthesis):
            raise BrittleError(
                f"expected decoders for the recipe synthesis, such as synthesis-mnist, got {type(net).__name__}"
            )
        return Synthesising(self, net)


@final
class Synthesising:
    """Two moves a step: the autoencoders', each on its own class; then the temperatures', on some of all images.

    There all encoders are asked for the codes. The search that answers later finds better ones, but takes a hundred
    times as long.
    """

    def __init__(self, recipe: AnalysisBySynthesis, net: Synthesis) -> None:
        self.recipe, self.autoencoders = recipe, Autoencoders(net)
        self.networks: Networks = {_NET: net, _AUTOENCODERS: self.autoencoders, _TEMPERATURES: net.tempered}
        self.optimisers: Mapping[str, Optimizer] = {
            _AUTOENCODERS: Adam(self.autoencoders.parameters(), lr=recipe.peak_rate),
            _TEMPERATURES: Adam(net.tempered.parameters(), lr=recipe.peak_rate),
        }

    def rate(self, progress: float) -> float:
        return one_cycle(progress, self.recipe.peak_rate, self.recipe.warm_up)

    def moves(self, networks: Networks, batch: Batch) -> Iterator[Move]:
        """What is lost of the images, then of the labels."""
        count = len(batch.labels)
        lost = networks[_AUTOENCODERS](batch.images, batch.labels)
        yield Move(_AUTOENCODERS, lost, {"reconstruction": lost.detach() * count})
        some = batch.first(self.recipe.tempered)
        with torch.no_grad(), batch.autocast():
            bounds = self.autoencoders.bounds(some.images)
        logits = networks[_TEMPERATURES](bounds)
        loss = functional.cross_entropy(logits, some.labels)
        right = (logits.detach().argmax(1) == some.labels).float().mean()
        yield Move(_TEMPERATURES, loss, {"loss": loss.detach() * count, "accuracy": right * count})


@final
class Autoencoders(nn.Module):
    """The decoders with an encoder for each."""

    def __init__(self, net: Synthesis) -> None:
        super().__init__()
        self.classes, self.decoders = net.classes, net.decoders
        self.encoders = one_for_each(net.classes, net.pixels, *net.hidden[::-1], 2 * net.code)

    def forward(self, images: Images, labels: Labels) -> Tensor:
        """Minus the evidence lower bound by the autoencoders of the labels, on average over images (Kingma and Welling
        2014); pixels have a variance of 1/2."""
        pixels, there = by_class(images.flatten(1), labels, self.classes)
        mean, log_variance = self.encoders(pixels).chunk(2, 2)
        made = self.decoders(mean + (log_variance / 2).exp() * torch.randn_like(mean))
        apart = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(2)
        lost: Tensor = ((made - pixels).square().sum(2) + apart) * there
        return lost.sum() / len(labels)

    def bounds(self, images: Images) -> Tensor:
        """By each class, ``[B, classes]``, at the encoders' mean codes."""
        pixels = images.flatten(1)
        mean, _ = self.encoders(pixels.expand(self.classes, -1, -1)).chunk(2, 2)
        return bounds_of(self.decoders, pixels, mean)


def by_class(rows: Tensor, labels: Labels, classes: int) -> tuple[Tensor, Tensor]:
    """Rows ``[B, N]`` by their labels, ``[classes, M, N]``, with zeros where a class has fewer; and where rows are."""
    counts = labels.bincount(minlength=classes)
    order = labels.argsort(stable=True)
    place = torch.arange(len(labels), device=labels.device) - (counts.cumsum(0) - counts)[labels[order]]
    sorted_ = rows.new_zeros(classes, int(counts.max()), rows.shape[1])
    sorted_[labels[order], place] = rows[order]
    return sorted_, torch.arange(sorted_.shape[1], device=labels.device) < counts.unsqueeze(1)
