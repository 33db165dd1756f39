"""The published preprocessing as a part of the network, so that attacks see a photograph's own pixels."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.transforms import functional as published
from torchvision.transforms.functional import InterpolationMode

from brittle.data.fit import Fit
from brittle.models.classifier import Classifier
from brittle.models.fold import folded
from brittle.types import Images, Logits

_LEVELS = 255
_ON_LEVEL = 1e-3  # in grey levels: nearer than this to a whole one is float32 of an 8-bit image

Watch = Callable[[Images, Logits], None]


class Viewed(nn.Module):
    """Photographs ``[N, C, H, W]`` in [0, 1] -> logits: resizes, crops, normalises, and asks the network.

    An 8-bit photograph is seen just as its file would be: ``see`` rounds on the way, as Pillow does. Backwards, and for
    pixels between grey levels, resizing is the linear map that Pillow rounds. watch: is shown every photograph asked
    about, with its logits.
    """

    def __init__(self, classifier: Classifier, fit: Fit | None) -> None:
        super().__init__()
        self.net = folded(classifier.net) or classifier.net
        self.fit, self.mean, self.std = fit, classifier.mean, classifier.std
        self.watch: Watch | None = None

    def forward(self, photographs: Images) -> Logits:
        seen = photographs if self.fit is None else self._seen(photographs, self.fit)
        if self.mean is not None and self.std is not None:
            mean, std = (torch.tensor(each).to(seen).view(1, -1, 1, 1) for each in (self.mean, self.std))
            seen = (seen - mean) / std
        logits: Logits = self.net(seen.contiguous(memory_format=torch.channels_last))
        if self.watch is not None:
            self.watch(photographs.detach(), logits.detach())
        return logits

    def _seen(self, photographs: Images, fit: Fit) -> Images:
        smooth = resized(photographs, fit)
        levels = photographs.detach() * _LEVELS
        on_levels = (levels - levels.round()).abs().flatten(1).amax(1) < _ON_LEVEL
        if not on_levels.any():
            return smooth
        exact = smooth.detach().clone()
        exact[on_levels] = see(levels[on_levels].round().to(torch.uint8), fit).to(exact)
        return smooth + (exact - smooth.detach())


def viewed(classifier: Classifier, fit: Fit | None) -> Classifier:
    """The classifier of whole photographs that does what this one does with fitted ones; ``net`` is ``Viewed``."""
    return Classifier(
        Viewed(classifier, fit),
        class_names=classifier.class_names,
        device=classifier.device,
        batch_size=classifier.batch_size,
        fast=False,
        steady=False,  # most photographs are crafted alone
        name=classifier.name,
        reject=classifier.reject,
    )


def resized(photographs: Images, fit: Fit) -> Images:
    """What the network takes, without rounding: Pillow's antialiased filter, then the centre crop. Differentiable."""
    height, width = photographs.shape[2:]
    new_width, new_height = fit.resized(width, height, "the photograph")
    if (new_height, new_width) != (height, width):
        size = (new_height, new_width)
        photographs = F.interpolate(photographs, size, mode=fit.interpolation, antialias=True, align_corners=False)
        photographs = photographs.clamp(0, 1)  # bicubic overshoots
    top, left = round((new_height - fit.height) / 2), round((new_width - fit.width) / 2)
    return photographs[:, :, top : top + fit.height, left : left + fit.width]


def see(photographs: Tensor, fit: Fit | None) -> Images:
    """uint8 photographs ``[N, C, H, W]`` through torchvision's transforms of a PIL image, up to the normalisation."""
    return torch.stack([_see(photograph, fit) for photograph in photographs.cpu()])


def _see(photograph: Tensor, fit: Fit | None) -> Tensor:
    image: Any = published.to_pil_image(photograph)
    if fit is not None:
        if fit.resize is not None:
            image = published.resize(image, [fit.resize], InterpolationMode(fit.interpolation))
        image = published.center_crop(image, [fit.height, fit.width])
    seen: Tensor = published.convert_image_dtype(published.pil_to_tensor(image))
    return seen
