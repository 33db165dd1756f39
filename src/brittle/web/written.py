"""Layers, images and what an audit has found of them, as the data of a page."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from brittle.types import Images
from brittle.web.layers import Scale

_PLAIN = {nn.ReLU: "relu", nn.Sigmoid: "sigmoid", nn.Tanh: "tanh"}


def layers_written(sequence: nn.Sequential, image: Images) -> list[dict[str, Any]]:
    """The layers of ``sequence_of`` for images as ``image`` ``[1, C, H, W]``, with the shapes of what they give.

    Flatten is left out: a page has its values in a row, channel by channel, anyway.
    """
    made, shape = [], image
    with torch.no_grad():
        for layer in sequence:
            shape = layer(shape)
            if not isinstance(layer, nn.Flatten):
                made.append({"out": list(shape.shape[1:]), **_layer(layer)})
    return made


def images_written(images: Images) -> dict[str, Any]:
    """uint8 where 8 bits hold them all, as ``k / 255``, or else float32."""
    levels = (images * 255).round()
    if torch.equal((levels / 255).float(), images.float()):
        return {"type": "uint8", "values": _text(levels.to(torch.uint8).numpy().tobytes())}
    return {"type": "float32", "values": floats(images)}


def floats(values: Tensor | Sequence[float]) -> str:
    """base64 of float32, little-endian."""
    return _text(np.asarray(values, dtype="<f4").tobytes())


def _layer(layer: nn.Module) -> dict[str, Any]:
    if type(layer) in _PLAIN:
        return {"kind": _PLAIN[type(layer)]}
    if isinstance(layer, nn.Conv2d):
        window = {"kernel": layer.kernel_size, "stride": layer.stride, "padding": _pair(layer.padding)}
        return {"kind": "convolution", **window, "dilation": layer.dilation, "groups": layer.groups, **_weights(layer)}
    if isinstance(layer, (nn.MaxPool2d, nn.AvgPool2d)):
        sizes: dict[str, Any] = {"kernel": layer.kernel_size, "stride": layer.stride, "padding": layer.padding}
        kind = "largest" if isinstance(layer, nn.MaxPool2d) else "mean"
        return {"kind": kind} | {name: _pair(value) for name, value in sizes.items()}
    assert isinstance(layer, (nn.Linear, Scale))
    return {"kind": "linear" if isinstance(layer, nn.Linear) else "scale", **_weights(layer)}


def _weights(layer: nn.Module) -> dict[str, str]:
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, Tensor)
    bias = bias if isinstance(bias, Tensor) else torch.zeros(len(weight))
    return {"weight": floats(weight.detach().cpu()), "bias": floats(bias.detach().cpu())}


def _pair(value: Any) -> list[int]:
    if value == "valid":
        return [0, 0]
    return [int(one) for one in value] if isinstance(value, (tuple, list)) else [int(value)] * 2


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
