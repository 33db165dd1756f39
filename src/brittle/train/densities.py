"""Densities by name, and how each is fitted to images: in closed form, or by the loop."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, final

from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from brittle.catalog import Entry, Registry, option, register_in
from brittle.errors import BrittleError
from brittle.models.densities import Gaussian, PixelCNN, Variational
from brittle.train.batches import Augmentation, Batch, Batches, Pixels
from brittle.train.classifier import initialised
from brittle.train.decayed import as_they_are
from brittle.train.lightning import fabric_of, quiet
from brittle.train.loop import Loop
from brittle.train.recipe import Move, Networks
from brittle.train.schedule import one_cycle

DENSITIES: Registry[Entry] = Registry("density", example="pca-gaussian")
"""By name; their options are written as those of attacks are: ``pixel-cnn,epochs=4,width=16``."""

_DENSITY, _WARM_UP = "density", 0.1


class Density(Protocol):
    """A registered frozen dataclass."""

    def build(self, shape: tuple[int, int, int]) -> nn.Module:
        """What gives a log density for each image ``[C, H, W]`` of this shape; as it is before it is fitted."""

    def fitted(self, pixels: Pixels, seed: int, device: str, scratch: Path | None) -> nn.Module:
        """The same, fitted; scratch: a folder from which one that was stopped goes on."""


@register_in(DENSITIES, "pca-gaussian", paper="10.1111/1467-9868.00196")
@final
@dataclass(frozen=True, slots=True)
class PcaGaussian:
    """A Gaussian along the principal components, and of one variance beside them: probabilistic PCA."""

    components: int = option(64, "principal components, at most half of an image's values", at_least=1)

    def build(self, shape: tuple[int, int, int]) -> nn.Module:
        values = shape[0] * shape[1] * shape[2]
        return Gaussian(values, min(self.components, values // 2))

    def fitted(self, pixels: Pixels, seed: int, device: str, scratch: Path | None) -> nn.Module:
        """In closed form; BrittleError for fewer images than components."""
        made = self.build(_shape(pixels))
        assert isinstance(made, Gaussian)
        if len(pixels) <= len(made.variances):
            raise BrittleError(
                f"expected more than {len(made.variances)} images for as many components, got {len(pixels)}"
            )
        images = as_they_are(pixels).images(pixels.values)
        made.fit(images.flatten(1).double())
        return made.eval()


@register_in(DENSITIES, "vae", paper="arXiv:1312.6114")
@final
@dataclass(frozen=True, slots=True)
class VariationalBound:
    """The evidence lower bound of a variational autoencoder of dense layers."""

    epochs: int = option(20, "times that each image is seen", at_least=1)
    batch: int = option(128, "images of a step, at most", at_least=2)
    peak_rate: float = option(0.002, "largest learning rate", above=0)
    hidden: int = option(400, "units of a hidden layer", at_least=1)
    code: int = option(20, "numbers of a code", at_least=1)
    draws: int = option(8, "codes that the bound is the mean over, the same for every image", at_least=1)

    def build(self, shape: tuple[int, int, int]) -> nn.Module:
        return Variational(shape[0] * shape[1] * shape[2], self.hidden, self.code, self.draws)

    def fitted(self, pixels: Pixels, seed: int, device: str, scratch: Path | None) -> nn.Module:
        """By Adam on the bound."""
        return learnt(self, pixels, seed, device, scratch)


@register_in(DENSITIES, "pixel-cnn", paper="arXiv:1601.06759")
@final
@dataclass(frozen=True, slots=True)
class SmallPixelCNN:
    """A small PixelCNN: each pixel's 256 levels from the pixels before it."""

    epochs: int = option(8, "times that each image is seen", at_least=1)
    batch: int = option(64, "images of a step, at most", at_least=2)
    peak_rate: float = option(0.004, "largest learning rate", above=0)
    width: int = option(24, "channels", at_least=1)
    blocks: int = option(3, "convolutions behind the first", at_least=0)
    mixtures: int = option(5, "logistic distributions of a pixel", at_least=1)

    def build(self, shape: tuple[int, int, int]) -> nn.Module:
        return PixelCNN(shape[0], self.width, self.blocks, self.mixtures)

    def fitted(self, pixels: Pixels, seed: int, device: str, scratch: Path | None) -> nn.Module:
        """By Adam on the likelihood."""
        return learnt(self, pixels, seed, device, scratch)


def learnt(
    density: VariationalBound | SmallPixelCNN, pixels: Pixels, seed: int, device: str, scratch: Path | None
) -> nn.Module:
    """A density whose parameters the loop finds."""
    fabric = fabric_of("fp32", device)
    net = initialised(lambda: density.build(_shape(pixels)), seed)
    batches = Batches(
        pixels.to(fabric.device), as_they_are(pixels), Augmentation(), density.batch, density.epochs, seed
    )
    with quiet():
        Loop(Likely(net, density.peak_rate, pixels.values[0].numel()), batches, fabric, scratch=scratch).run()
    return net.cpu().eval()


@final
class Likely:
    """One network, one optimiser, one move a step, and no label."""

    def __init__(self, net: nn.Module, peak_rate: float, values: int) -> None:
        self.peak_rate, self.values = peak_rate, values
        self.networks: Networks = {_DENSITY: net}
        self.optimisers: Mapping[str, Optimizer] = {_DENSITY: Adam(net.parameters(), lr=peak_rate)}

    def rate(self, progress: float) -> float:
        return one_cycle(progress, self.peak_rate, _WARM_UP)

    def moves(self, networks: Networks, batch: Batch) -> Iterator[Move]:
        """Minus the log density of a value, on average."""
        loss: Tensor = -networks[_DENSITY](batch.images).mean() / self.values
        yield Move(_DENSITY, loss, {"loss": loss.detach() * len(batch.labels)})


def _shape(pixels: Pixels) -> tuple[int, int, int]:
    height, width, channels = pixels.values.shape[1:]
    return channels, height, width
