"""The published preprocessing as a front of the network, so that attacks see a photograph's own pixels."""

from collections.abc import Callable
from functools import partial
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor

from brittle.data.fit import Fit
from brittle.models.around import Passing
from brittle.models.classifier import Classifier, Pullback, Settings
from brittle.models.front import Front, Fronted
from brittle.types import Images, Logits

_LEVELS = 255
_ON_LEVEL = 1e-3  # in grey levels: nearer than this to a whole one is float32 of an 8-bit image

Watch = Callable[[Images, Logits], None]


def viewed(classifier: Classifier, fit: Fit | None) -> Classifier:
    """The classifier of whole photographs ``[N, C, H, W]`` that does what this one does with fitted ones."""
    alone = classifier.adjusted(Settings(steady=False))  # most photographs are crafted alone
    return alone if fit is None else Fronted(alone, view(fit))


def view(fit: Fit) -> Front:
    """Resizing and cropping: an 8-bit photograph is seen just as its file would be, rounded on the way as by Pillow.

    Backwards, and for pixels between grey levels, resizing is the linear map that Pillow rounds.
    """
    return Front(partial(shown, fit=fit), gradient=partial(resized, fit=fit))


def shown(photographs: Images, fit: Fit) -> Images:
    """Each photograph as ``see`` shows it where all its pixels are on grey levels, as ``resized`` elsewhere."""
    levels = photographs * _LEVELS
    whole = levels.round()
    on_levels = (levels - whole).abs().flatten(1).amax(1) < _ON_LEVEL
    if on_levels.all():  # as when crafting
        return see(whole.to(torch.uint8), fit).to(photographs)
    smooth = resized(photographs, fit).clone()
    if on_levels.any():
        smooth[on_levels] = see(whole[on_levels].to(torch.uint8), fit).to(smooth)
    return smooth


@final
class Watched(Passing):
    """A ``Classifier`` that shows every photograph asked about, with its logits, to who watches."""

    def __init__(self, inner: Classifier, watch: Watch) -> None:
        self.inner, self.watch = inner, watch

    def adjusted(self, said: Settings) -> "Watched":
        return Watched(self.inner.adjusted(said), self.watch)

    def logits(self, images: Images, *, plain: bool = False) -> Logits:
        logits = self.inner.logits(images, plain=plain)
        self.watch(images, logits)
        return logits

    def linearize(self, images: Images) -> tuple[Logits, Pullback]:
        logits, pullback = self.inner.linearize(images)
        self.watch(images, logits)
        return logits, pullback


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
    from torchvision.transforms import functional as published  # here, as it takes a second to import

    image: Any = published.to_pil_image(photograph)
    if fit is not None:
        if fit.resize is not None:
            size = list(fit.resize) if isinstance(fit.resize, tuple) else [fit.resize]
            image = published.resize(image, size, published.InterpolationMode(fit.interpolation))
        image = published.center_crop(image, [fit.height, fit.width])
    seen: Tensor = published.convert_image_dtype(published.pil_to_tensor(image))
    return seen
