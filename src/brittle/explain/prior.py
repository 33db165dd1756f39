"""What images of some data have in common, as a way to write an image: white numbers become an image like theirs."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from brittle.errors import BrittleError
from brittle.types import Images

_CUT = 1 / 64  # of the range at either end: the log-odds of black and white themselves are infinite


@final
@dataclass(frozen=True, slots=True)
class Prior:
    """Mean, colours and spectrum of images, taken of the log-odds of their pixels, so that every image is in the box.

    average: ``[C, H, W]``, the mean of the pixels. mean: of their log-odds. colours: ``[C, C]``, principal directions
    of the channels. spectrum: ``[C, H, W // 2 + 1]``, how strong each frequency is along each of them, on average over
    its circle. Lucid has a fixed matrix of ImageNet's colours and 1 / frequency in their place (Olah et al. 2017,
    "Feature Visualization"): neither is right for digits.
    """

    average: Tensor
    mean: Tensor
    colours: Tensor
    spectrum: Tensor

    @property
    def code_shape(self) -> tuple[int, ...]:
        """Of the numbers for one image: real and imaginary parts of each frequency, ``[C, H, W // 2 + 1, 2]``."""
        return (*self.spectrum.shape, 2)

    def images(self, codes: Tensor) -> Images:
        """``[B, C, H, W // 2 + 1, 2]`` -> ``[B, C, H, W]`` in (0, 1), differentiable; zeros give the mean."""
        spectra = torch.view_as_complex(codes) * self.spectrum
        waves = torch.fft.irfft2(spectra, s=tuple(self.mean.shape[1:]), norm="ortho")
        return (self.mean + torch.einsum("ck,bkhw->bchw", self.colours, waves)).sigmoid()


def prior_of(images: Images) -> Prior:
    """The prior of some images ``[N, C, H, W]`` in [0, 1]; BrittleError for fewer than 2."""
    if len(images) < 2:
        raise BrittleError(f"expected at least 2 images to take colours and spectrum of, got {len(images)}")
    odds = images.clamp(_CUT, 1 - _CUT).logit()
    mean = odds.mean(0)
    rest = odds - mean
    flat = rest.transpose(0, 1).flatten(1)
    colours = torch.linalg.eigh(flat @ flat.T / flat.shape[1]).eigenvectors
    waves = torch.fft.rfft2(torch.einsum("ck,bchw->bkhw", colours, rest), norm="ortho")
    return Prior(images.mean(0), mean, colours, _on_circles(waves.abs().square().mean(0)).sqrt())


def _on_circles(power: Tensor) -> Tensor:
    """The mean over all frequencies of one length, in its place: few images tell little of a single frequency."""
    height, half = power.shape[1:]
    rows, columns = torch.fft.fftfreq(height).mul(height), torch.arange(half)
    circle = (rows.unsqueeze(1).square() + columns.square()).sqrt().round().long().flatten().to(power.device)
    sums = power.new_zeros(len(power), int(circle.max()) + 1).index_add_(1, circle, power.flatten(1))
    means: Tensor = sums / circle.bincount()
    return means[:, circle].view_as(power)
