"""Convolutions of each channel by itself, with a stride: what a CPU should not be asked for in bfloat16."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, final

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode


def depthwise_in_float32(nets: Iterable[nn.Module]) -> AbstractContextManager[object]:
    """Within it, on a CPU, depthwise convolutions with a stride multiply float32, whatever they are given or cast to.

    oneDNN takes thirty times as long for their gradient in bfloat16 as in float32: a third of what MobileNetV2 takes to
    be trained. Nothing is done about networks that have no such layer.
    """
    layers = (layer for net in nets for layer in net.modules() if isinstance(layer, nn.Conv2d))
    return _InFloat32() if any(_strided(layer.in_channels, layer.groups, layer.stride) for layer in layers) else _AS_IS


_AS_IS = nullcontext()


def _strided(channels: int, groups: int, stride: Sequence[int]) -> bool:
    return groups == channels > 1 and max(stride) > 1


@final
class _InFloat32(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        match args:
            case (images, weight, bias, stride, padding, dilation, groups) if (
                func is functional.conv2d and images.is_cpu and _strided(images.shape[1], groups, stride)
            ):  # as layers call it
                casting = torch.is_autocast_enabled("cpu")
                given = torch.get_autocast_dtype("cpu") if casting else images.dtype
                finer = None if bias is None else bias.float()
                with torch.autocast("cpu", enabled=False):
                    made = functional.conv2d(images.float(), weight.float(), finer, stride, padding, dilation, groups)
                return made.to(given)
        return func(*args, **kwargs or {})
