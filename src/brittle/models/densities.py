"""Densities of images: networks that say how likely one is, as ``images [B, C, H, W]`` -> log density ``[B]``.

Images are pixels in [0, 1]; logarithms are natural. The values of one compare with each other, not with another's.
"""

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from brittle.types import Images


@final
class Gaussian(nn.Module):
    """A Gaussian along the principal components, and of one variance in all other directions.

    Probabilistic PCA, whose likeliest parameters have a closed form (Tipping and Bishop 1999, eq. 7 and 8).
    """

    mean: Tensor
    axes: Tensor
    variances: Tensor
    rest: Tensor

    def __init__(self, values: int, components: int) -> None:
        super().__init__()
        for name, shape in (("mean", (values,)), ("axes", (components, values)), ("variances", (components,))):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("rest", torch.ones((), dtype=torch.float64))

    def fit(self, rows: Tensor) -> None:
        """To float64 rows ``[N, values]``, of which there are at least two."""
        mean = rows.mean(0)
        around = rows - mean
        variances, axes = torch.linalg.eigh(around.T @ around / len(rows))
        count = len(self.variances)
        self.mean, self.axes, self.variances = mean, axes.T.flip(0)[:count], variances.flip(0)[:count]
        self.rest = variances.flip(0)[count:].mean()

    def forward(self, images: Images) -> Tensor:
        """The density itself."""
        around = images.flatten(1).double() - self.mean
        along = around @ self.axes.T
        beside = around.square().sum(1) - along.square().sum(1)
        count, others = len(self.variances), len(self.mean) - len(self.variances)
        logs = self.variances.log().sum() + others * self.rest.log() + (count + others) * math.log(2 * math.pi)
        density: Tensor = -0.5 * ((along.square() / self.variances).sum(1) + beside / self.rest + logs)
        return density


@final
class Variational(nn.Module):
    """The evidence lower bound of a variational autoencoder of dense layers (Kingma and Welling 2014).

    Pixels are taken for probabilities of bits, as is usual of such images. Where it does not learn, the bound is the
    mean over draws that are always the same, so that an image has one value.
    """

    draws: Tensor

    def __init__(self, values: int, hidden: int, code: int, draws: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(values, hidden), nn.ReLU(), nn.Linear(hidden, 2 * code))
        self.decoder = nn.Sequential(nn.Linear(code, hidden), nn.ReLU(), nn.Linear(hidden, values))
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("draws", torch.randn(draws, 1, code, generator=generator))

    def forward(self, images: Images) -> Tensor:
        """The bound, which is below the log density."""
        pixels = images.flatten(1)
        mean, log_variance = self.encoder(pixels).chunk(2, 1)
        noise = torch.randn_like(mean)[None] if self.training else self.draws
        logits = self.decoder(mean + (log_variance / 2).exp() * noise)
        lost = functional.binary_cross_entropy_with_logits(logits, pixels.expand_as(logits), reduction="none").sum(2)
        apart = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
        bound: Tensor = -lost.mean(0) - apart
        return bound


@final
class PixelCNN(nn.Module):
    """Each pixel from those before it, by convolutions that see no others (van den Oord et al. 2016, arXiv:1601.06759).

    What a pixel may be is a mixture of logistic distributions over 256 levels, and its channels follow one another
    linearly (Salimans et al. 2017, arXiv:1701.05517, section 2.1 and 2.2). Images are rounded to 8 bits first.
    """

    def __init__(self, channels: int, width: int, blocks: int, mixtures: int) -> None:
        super().__init__()
        self.channels, self.mixtures = channels, mixtures
        self.first = _Masked(channels, width, 7, itself=False)
        self.blocks = nn.ModuleList(
            [
                nn.Sequential(nn.ReLU(), _Masked(width, width, 3, itself=True), nn.ReLU(), nn.Conv2d(width, width, 1))
                for _ in range(blocks)
            ]
        )
        each = 1 + 2 * channels + channels * (channels - 1) // 2
        self.last = nn.Sequential(nn.ReLU(), nn.Conv2d(width, each * mixtures, 1))

    def forward(self, images: Images) -> Tensor:
        """The logarithm of the probability of the image in 8 bits."""
        return self.terms(images).flatten(1).sum(1)

    def terms(self, images: Images) -> Tensor:
        """``[B, H, W]``: of each pixel, given all before it."""
        levels = (255 * images).round() / 127.5 - 1
        seen = self.first(levels)
        for block in self.blocks:
            seen = seen + block(seen)
        return self._mixed(levels, self.last(seen).unflatten(1, (-1, self.mixtures)))

    def _mixed(self, levels: Tensor, given: Tensor) -> Tensor:
        count = self.channels
        weights, means = given[:, 0], given[:, 1 : 1 + count]
        scales, slopes = given[:, 1 + count : 1 + 2 * count], given[:, 1 + 2 * count :]
        own, at = [], 0
        for channel in range(count):
            middle = means[:, channel]
            for before in range(channel):
                middle = middle + slopes[:, at].tanh() * levels[:, before, None]
                at += 1
            own.append(logistic(levels[:, channel, None] - middle, scales[:, channel], levels[:, channel, None]))
        every = torch.stack(own).sum(0) + weights.log_softmax(1)
        likely: Tensor = every.logsumexp(1)
        return likely


def logistic(apart: Tensor, log_scale: Tensor, levels: Tensor) -> Tensor:
    """The logarithm of a logistic distribution's mass on a level; the first and the last have all beyond them.

    levels: in [-1, 1], 256 of them. apart: by how much each is above the middle.
    """
    inverse, half = (-log_scale.clamp_min(-7.0)).exp(), 1 / 255
    above, below = inverse * (apart + half), inverse * (apart - half)
    inside = (above.sigmoid() - below.sigmoid()).clamp_min(1e-12).log()
    first, last = functional.logsigmoid(above), functional.logsigmoid(-below)
    return torch.where(levels < -0.999, first, torch.where(levels > 0.999, last, inside))


@final
class _Masked(nn.Conv2d):
    """A convolution that sees what comes before a pixel, row by row, and the pixel itself only where that is said."""

    mask: Tensor

    def __init__(self, inputs: int, outputs: int, size: int, *, itself: bool) -> None:
        super().__init__(inputs, outputs, size, padding=size // 2)
        before = torch.arange(size * size) < size * size // 2 + itself
        self.register_buffer("mask", before.float().view(size, size), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        seen: Tensor = self._conv_forward(images, self.weight * self.mask, self.bias)
        return seen
