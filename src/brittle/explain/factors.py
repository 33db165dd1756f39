"""By how much a single layer can make a change larger, in L2: operator norms and slopes."""

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from brittle.explain.lanczos import linear_norm

AFFINE = (
    nn.Linear,
    nn.modules.conv._ConvNd,
    nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._AdaptiveAvgPoolNd,
    nn.modules.padding._ConstantPadNd,
    nn.modules.padding._ReflectionPadNd,
    nn.modules.padding._ReplicationPadNd,
)
"""Layers with a matrix. What is linear in them is found by products alone, whatever strides, paddings, groups and
dilations they have."""

_EXACT = 1024  # the smaller side of a dense matrix, up to which all its singular values are computed

SLOPES: dict[type[nn.Module], float] = {
    nn.Identity: 1.0,
    nn.Flatten: 1.0,
    nn.Unflatten: 1.0,
    nn.Dropout: 1.0,  # in eval mode
    nn.Dropout2d: 1.0,
    nn.AlphaDropout: 1.0,
    nn.ReLU: 1.0,
    nn.ReLU6: 1.0,
    nn.Hardtanh: 1.0,
    nn.Softplus: 1.0,
    nn.Softsign: 1.0,
    nn.LogSigmoid: 1.0,
    nn.Tanh: 1.0,
    nn.Sigmoid: 0.25,
    nn.Hardsigmoid: 1 / 6,
    nn.Hardswish: 1.5,
    nn.CELU: 1.0,
    nn.SELU: 1.7580993408473766,  # scale * alpha
    nn.SiLU: 1.09984,
    nn.GELU: 1.12891,
    nn.Mish: 1.0885,
    nn.Softmax: 0.5,  # the largest eigenvalue of diag(p) - p p^T
}
"""The largest slope of each, anywhere; of SiLU, GELU and Mish rounded up, to what a test finds on a grid."""


def factor_of(module: nn.Module, inputs: Tensor) -> tuple[float | None, str]:
    """The L2 Lipschitz constant of a layer on inputs of this shape ``[1, ...]``, in eval mode; or None and why not."""
    if isinstance(module, AFFINE):
        return affine_factor(module, inputs), ""
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return _batch_norm(module)
    if isinstance(module, nn.modules.pooling._MaxPoolNd):
        return max_pool_factor(module.kernel_size, module.stride, module.dilation, inputs.ndim - 2), ""
    if isinstance(module, nn.LeakyReLU):
        return max(1.0, abs(module.negative_slope)), ""
    if isinstance(module, nn.PReLU):
        return max(1.0, float(module.weight.detach().abs().max())), ""
    if isinstance(module, nn.ELU):
        return max(1.0, abs(module.alpha)), ""
    if isinstance(module, nn.LogSoftmax):
        return math.sqrt(inputs.shape[1]), ""  # I - 1 p^T, with p a corner of the simplex
    for kind, slope in SLOPES.items():
        if isinstance(module, kind):
            return slope, ""
    return None, f"a {type(module).__name__} has neither a matrix nor a slope that is known"


def affine_factor(module: nn.Module, inputs: Tensor) -> float:
    """The operator norm of an affine layer: of a dense one of ordinary size from its matrix, else by Lanczos."""
    twin = copy.deepcopy(module).float().eval().requires_grad_(False)
    if isinstance(twin, nn.Linear) and min(twin.weight.shape) <= _EXACT:
        return float(torch.linalg.matrix_norm(twin.weight.double(), 2))
    return linear_norm(twin.forward, inputs.float())  # not called: hooks are the user's


def max_pool_factor(kernel: Any, stride: Any, dilation: Any, dimensions: int) -> float:
    """The root of how many windows a pixel may be the largest of: 1 where windows do not overlap, 2 for 3 x 3 by 2."""
    sides, steps, gaps = (_each(one, dimensions) for one in (kernel, kernel if stride is None else stride, dilation))
    counts = (
        # Windows reach a place by kernel offsets that differ by whole strides.
        max(sum((k * gap - first) % step == 0 for k in range(side)) for first in range(step))
        for side, step, gap in zip(sides, steps, gaps, strict=True)
    )
    return math.sqrt(math.prod(counts))


def _batch_norm(module: nn.modules.batchnorm._BatchNorm) -> tuple[float | None, str]:
    if module.running_var is None:
        return None, "a batch norm without running statistics has no fixed scale"
    scale = (module.running_var.double() + module.eps).rsqrt()
    if module.weight is not None:
        scale = scale * module.weight.detach().double()
    return float(scale.abs().max()), ""


def _each(value: Any, dimensions: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,) * dimensions


_NAMES = (
    *("relu", "relu_", "relu6", "hardtanh", "tanh", "softplus"),
    *("flatten", "reshape", "view", "permute", "transpose", "contiguous", "squeeze", "unsqueeze", "clone", "detach"),
    *("dropout", "dropout2d", "feature_dropout", "getitem", "chunk", "split", "float"),
)
FUNCTIONS: dict[str, float] = dict.fromkeys(_NAMES, 1.0) | {
    "sigmoid": 0.25,
    "softmax": 0.5,
    "silu": 1.09984,
    "hardswish": 1.5,
    "hardsigmoid": 1 / 6,
}
"""What is called without a module: by its name, what it may multiply a change by."""

LINEAR = frozenset(("avg_pool2d", "adaptive_avg_pool2d", "mean", "sum", "conv2d", "linear", "pad"))
"""The same for what is linear in its first argument: its norm is found by products."""
