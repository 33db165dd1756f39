"""A network behind fixed inputs, by the names of both: ``mnist-cnn@edges``, ``resnet20@image+patterns``."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import final

import torch
from torch import Tensor, nn

from brittle.errors import BrittleError, did_you_mean
from brittle.models.architectures.architecture import Architecture
from brittle.models.inputs.canny import Canny
from brittle.models.inputs.gabor import Gabor
from brittle.models.inputs.patterns import Patterns
from brittle.types import Images, Logits

IMAGE = "image"
INPUTS: Mapping[str, tuple[str, Callable[[], nn.Module]]] = MappingProxyType(
    {
        IMAGE: ("the image itself, beside others", nn.Identity),
        "edges": (
            "robust edges: Canny's, of which small gradients are none (Sun et al. 2021)",
            partial(Canny, 0.2, 0.3),
        ),
        "canny": ("Canny's edges with usual thresholds", partial(Canny, 0.05, 0.1)),
        "energies": ("energies of Gabor filters in four directions", Gabor),
        "binary-patterns": ("local binary patterns (Ojala et al. 2002)", partial(Patterns, 0.0)),
        "ternary-patterns": (
            "local ternary patterns with a margin of 0.1 (Tan and Triggs 2010)",
            partial(Patterns, 0.1),
        ),
    }
)
"""What may stand behind @: a line about it, and how it is made."""


@final
class Behind(nn.Module):
    """A network that is given what fixed inputs make of an image: pixels ``[B, C, H, W]`` in [0, 1] -> its logits.

    All but the image itself are of the luma of colours (ITU-R 601), or of grey as it is.
    """

    luma: Tensor

    def __init__(self, channels: int, inputs: Sequence[nn.Module], net: nn.Module) -> None:
        super().__init__()
        self.inputs, self.net = nn.ModuleList(inputs), net
        luma = torch.tensor([0.299, 0.587, 0.114] if channels == 3 else [1.0])
        self.register_buffer("luma", luma.view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Images) -> Logits:
        """Logits ``[B, classes]``."""
        # In float64, which autocast leaves alone: in bf16 equal neighbours would no longer be equal.
        grey = (images * self.luma).sum(1, keepdim=True).double()
        seen = [images if isinstance(one, nn.Identity) else one(grey).to(images.dtype) for one in self.inputs]
        logits: Logits = self.net(torch.cat(seen, 1))
        return logits


def on_inputs(name: str, base: Architecture, inputs: str) -> Architecture:
    """The architecture ``name``: ``base`` on inputs joined by +; BrittleError for unknown ones, and for no others than
    the image."""
    names = inputs.split("+")
    for one in names:
        if one not in INPUTS:
            raise BrittleError(f"unknown input {one!r} of {name!r}{did_you_mean(one, INPUTS)}")
        if names.count(one) > 1:
            raise BrittleError(f"expected different inputs, got {one} {names.count(one)} times in {name!r}")
    if names == [IMAGE]:
        raise BrittleError(f"expected inputs beside the image, got {name!r}; {base.name} is that")
    return Architecture(
        name=name,
        summary=f"{base.name} on {', '.join(names)}",
        build=partial(_built, base, tuple(names)),
        fit=base.fit,
        class_names=base.class_names,
        raw=True,
    )


def _built(base: Architecture, names: Sequence[str], classes: int) -> nn.Module:
    """The base's first convolution takes other channels, with weights as PyTorch begins any."""
    net, inputs = base.build(classes), [INPUTS[one][1]() for one in names]
    channels = sum(base.fit.channels if isinstance(one, nn.Identity) else _outputs(one) for one in inputs)
    place, first = next(iter((at, one) for at, one in net.named_modules() if isinstance(one, nn.Conv2d | nn.Linear)))
    if not isinstance(first, nn.Conv2d):
        raise BrittleError(f"expected an architecture of convolutions for {'+'.join(names)}, got {base.name}")
    net.set_submodule(
        place,
        nn.Conv2d(
            channels,
            first.out_channels,
            first.kernel_size,  # type: ignore[arg-type]
            stride=first.stride,  # type: ignore[arg-type]
            padding=first.padding,  # type: ignore[arg-type]
            bias=first.bias is not None,
        ),
    )
    return Behind(base.fit.channels, inputs, net)


def _outputs(made: nn.Module) -> int:
    count = made.outputs
    assert isinstance(count, int)
    return count
