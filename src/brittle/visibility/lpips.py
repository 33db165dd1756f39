"""LPIPS (Zhang et al. 2018, arXiv:1801.03924), by its authors' package, which is an extra: ``brittle[lpips]``."""

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from brittle.errors import BrittleError, did_you_mean
from brittle.types import Images

# The backbones of the package, with the file that torchvision downloads for each.
_FILES = {"alex": "alexnet-owt-7be5be79.pth", "squeeze": "squeezenet1_1-b8a52dc0.pth", "vgg": "vgg16-397923af.pth"}

Distance = Callable[[Images, Images], Tensor]


def load_lpips(backbone: str = "alex") -> Distance:
    """The distance ``(one, other) -> [N]`` of images ``[N, 3, H, W]`` in [0, 1], differentiable in both; 0 if equal.

    Version 0.1 of the authors' linear weights ("lin"), over AlexNet (which they advise for comparing), SqueezeNet or
    VGG-16 with torchvision's weights. BrittleError where the package or the backbone's weights are missing.
    """
    if backbone not in _FILES:
        raise BrittleError(f"LPIPS has no backbone {backbone!r}{did_you_mean(backbone, _FILES)}")
    try:
        package: Any = importlib.import_module("lpips")
    except ImportError:
        raise BrittleError("LPIPS needs the lpips library: pip install 'brittle[lpips]'") from None
    try:
        with warnings.catch_warnings():  # it asks torchvision for weights by a name of former versions
            warnings.simplefilter("ignore")
            net = package.LPIPS(net=backbone, verbose=False)
    except (OSError, RuntimeError) as error:  # no network, no disk, or a download whose checksum is wrong
        raise _no_weights(backbone, error) from None
    net.eval().requires_grad_(False)

    def distance(one: Images, other: Images) -> Tensor:
        result: Tensor = net.to(one.device)(one, other, normalize=True)
        return result.flatten()

    return distance


def _no_weights(backbone: str, error: Exception) -> BrittleError:
    file = _FILES[backbone]
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return BrittleError(
        f"could not get the weights of LPIPS's backbone {backbone} ({reason}); download"
        f" https://download.pytorch.org/models/{file} into {torch.hub.get_dir()}/checkpoints"
    )
