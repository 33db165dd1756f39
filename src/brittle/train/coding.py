"""Codes learnt without labels, by autoencoders of four kinds, and a classifier on them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam, Optimizer

from brittle.catalog import option, register_in
from brittle.errors import BrittleError
from brittle.models.architectures.mlp import CodeClassifier, dense
from brittle.train.batches import Augmentation, Batch, Normalised, Pixels
from brittle.train.decayed import as_they_are, decayed, weights_of
from brittle.train.recipe import RECIPES, Move, Networks
from brittle.train.schedule import one_cycle
from brittle.types import Images

_NET, _AUTOENCODER, _HEAD = "classifier", "autoencoder", "head"


@register_in(RECIPES, "autoencoder", paper="arXiv:1312.6199")
@final
@dataclass(frozen=True, slots=True)
class Autoencoder:
    """An encoder that learns to give images back, and a classifier on its code that it never hears of.

    What is lost is the cross-entropy of pixels, summed over an image. sparsity: KL divergence of each unit's mean
    activity from ``activity`` (Ng 2011). noise: denoising (Vincent et al. 2008). contraction: the squared Frobenius
    norm of the code's Jacobian (Rifai et al. 2011), for an encoder of one sigmoid layer.
    """

    epochs: int = option(30, "times that each image is seen", at_least=1)
    batch: int = option(128, "images of a step, at most", at_least=2)
    peak_rate: float = option(0.005, "largest learning rate", above=0)
    warm_up: float = option(0.1, "share of the steps until the rate is largest", above=0, below=1)
    sparsity: float = option(0.0, "weight of what keeps units quiet", at_least=0)
    activity: float = option(0.1, "mean activity of a unit that sparsity asks for", above=0, below=1)
    noise: float = option(0.0, "standard deviation of what is added to the pixels that are encoded", at_least=0)
    contraction: float = option(0.0, "weight of how much the code follows the pixels", at_least=0)
    last_decay: float = option(1e-6, "weight decay of the classifier, as that of szegedy", at_least=0)

    @property
    def augmentation(self) -> Augmentation:
        return Augmentation()

    def normalised(self, pixels: Pixels) -> Normalised:
        return as_they_are(pixels)

    def task(self, net: nn.Module) -> "Coding":
        """Adam on either loss."""
        coder = _coder(net, "autoencoder")
        if self.contraction and (len(coder.encoder) != 2 or not isinstance(coder.encoder[1], nn.Sigmoid)):
            raise BrittleError("expected an encoder of one sigmoid layer for contraction, such as that of ae400-10")
        return Coding(self, coder, _Reconstruction(self, coder))


@register_in(RECIPES, "variational", paper="arXiv:1312.6114")
@final
@dataclass(frozen=True, slots=True)
class Variational:
    """A variational autoencoder, and a classifier on the mean of its code that it never hears of."""

    epochs: int = option(30, "times that each image is seen", at_least=1)
    batch: int = option(128, "images of a step, at most", at_least=2)
    peak_rate: float = option(0.003, "largest learning rate", above=0)
    warm_up: float = option(0.1, "share of the steps until the rate is largest", above=0, below=1)
    beta: float = option(1.0, "weight of the divergence of codes from a normal distribution", at_least=0)
    last_decay: float = option(1e-6, "weight decay of the classifier, as that of szegedy", at_least=0)

    @property
    def augmentation(self) -> Augmentation:
        return Augmentation()

    def normalised(self, pixels: Pixels) -> Normalised:
        return as_they_are(pixels)

    def task(self, net: nn.Module) -> "Coding":
        """Adam on either loss."""
        coder = _coder(net, "variational")
        if isinstance(coder.encoder[-1], nn.Sigmoid):
            raise BrittleError("expected a code that may have any value for variational, such as vae400-50-100-10")
        return Coding(self, coder, _Bound(self.beta, coder))


@final
class Coding:
    """Two moves a step: the autoencoder's, which has no labels, and that of the classifier on its code."""

    def __init__(self, recipe: Autoencoder | Variational, net: CodeClassifier, autoencoder: nn.Module) -> None:
        self.recipe, self.head = recipe, net.head
        self.networks: Networks = {_NET: net, _AUTOENCODER: autoencoder}
        self.optimisers: Mapping[str, Optimizer] = {
            _AUTOENCODER: Adam(autoencoder.parameters(), lr=recipe.peak_rate),
            _HEAD: Adam(net.head.parameters(), lr=recipe.peak_rate),
        }

    def rate(self, progress: float) -> float:
        return one_cycle(progress, self.recipe.peak_rate, self.recipe.warm_up)

    def moves(self, networks: Networks, batch: Batch) -> Iterator[Move]:
        """What is lost of the images, then of the labels, whose optimiser has the head alone."""
        count = len(batch.labels)
        lost = networks[_AUTOENCODER](batch.images)
        yield Move(_AUTOENCODER, lost, {"reconstruction": lost.detach() * count})
        logits = networks[_NET](batch.images)
        loss = functional.cross_entropy(logits, batch.labels)
        right = (logits.detach().argmax(1) == batch.labels).sum()
        decay = self.recipe.last_decay * decayed(weights_of(self.head))
        yield Move(_HEAD, loss + decay, {"loss": loss.detach() * count, "accuracy": right})


@final
class _Reconstruction(nn.Module):
    """Pixels in [0, 1] -> what an autoencoder loses of an image, on average."""

    def __init__(self, recipe: Autoencoder, net: CodeClassifier) -> None:
        super().__init__()
        self.recipe, self.encoder = recipe, net.encoder
        self.decoder = dense(net.code, net.pixels)

    def forward(self, images: Images) -> Tensor:
        pixels, recipe = images.flatten(1), self.recipe
        seen = pixels + recipe.noise * torch.randn_like(pixels) if recipe.noise else pixels
        code = self.encoder(seen)
        lost = of_pixels(self.decoder(code), pixels)
        if recipe.sparsity:
            lost = lost + recipe.sparsity * quiet(code, recipe.activity)
        if recipe.contraction:
            (weight,) = weights_of(self.encoder)
            lost = lost + recipe.contraction * contraction(code, weight)
        return lost


@final
class _Bound(nn.Module):
    """Pixels in [0, 1] -> minus the evidence lower bound of an image, on average (Kingma and Welling 2014)."""

    def __init__(self, beta: float, net: CodeClassifier) -> None:
        super().__init__()
        self.beta, self.encoder = beta, net.encoder
        *hidden, _ = [one.out_features for one in net.encoder if isinstance(one, nn.Linear)]
        self.spread = nn.Linear(hidden[-1] if hidden else net.pixels, net.code)
        self.decoder = dense(net.code, *hidden[::-1], net.pixels)

    def forward(self, images: Images) -> Tensor:
        pixels = images.flatten(1)
        hidden = self.encoder[:-1](pixels)
        mean, log_variance = self.encoder[-1](hidden), self.spread(hidden)
        code = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        return of_pixels(self.decoder(code), pixels) + self.beta * divergence(mean, log_variance)


def of_pixels(logits: Tensor, pixels: Tensor) -> Tensor:
    """The cross-entropy of pixels in [0, 1] ``[B, N]``, summed over an image, on average over images."""
    return functional.binary_cross_entropy_with_logits(logits, pixels, reduction="sum") / len(pixels)


def quiet(code: Tensor, activity: float) -> Tensor:
    """The KL divergence of units' mean activities over a batch of codes ``[B, K]`` from ``activity``, summed."""
    mean = code.mean(0).clamp(1e-6, 1 - 1e-6)
    return (activity * (activity / mean).log() + (1 - activity) * ((1 - activity) / (1 - mean)).log()).sum()


def contraction(code: Tensor, weight: Tensor) -> Tensor:
    """The squared Frobenius norm of the Jacobian of ``code = sigmoid(W x + b)`` ``[B, K]``, on average over images."""
    return ((code * (1 - code)).square() @ weight.square().sum(1)).mean()


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """The KL divergence of Gaussians ``[B, K]`` from normal ones, summed over K, on average."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()


def _coder(net: nn.Module, recipe: str) -> CodeClassifier:
    if not isinstance(net, CodeClassifier):
        raise BrittleError(
            f"expected a classifier on a code for the recipe {recipe}, such as ae400-10 or vae400-50-100-10, got"
            f" {type(net).__name__}"
        )
    return net
