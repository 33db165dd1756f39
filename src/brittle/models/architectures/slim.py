"""A network at a part of its width: the same layers with fewer channels."""

from fractions import Fraction

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def slimmed(net: nn.Module, width: Fraction) -> nn.Module:
    """``net`` with each number of channels times ``width``, but for colours at one end and classes at the other.

    Its convolutions, batch norms and linear layers are exchanged for narrower ones, He-initialised (convolutions by
    their outputs), so what joins them must not care for the number of channels: sums, concatenations, pooling do not.
    It has to start with a convolution of the image and end with a linear layer. Raises ValueError for a width that
    leaves no whole number of channels somewhere. Building ``net`` under ``torch.device("meta")`` saves its memory.
    """
    layers = [name for name, module in net.named_modules() if isinstance(module, nn.Conv2d | nn.Linear | _BatchNorm)]
    first, last = layers[0], layers[-1]
    for name in layers:
        module = net.get_submodule(name)
        if isinstance(module, nn.Conv2d):
            inputs = module.in_channels if name == first else _of(module.in_channels, width)
            slim: nn.Module = _convolution(module, inputs, width)
        elif isinstance(module, nn.Linear):
            outputs = module.out_features if name == last else _of(module.out_features, width)
            slim = nn.Linear(_of(module.in_features, width), outputs, bias=module.bias is not None)
        else:
            assert isinstance(module, nn.BatchNorm2d)
            slim = nn.BatchNorm2d(_of(module.num_features, width), eps=module.eps, momentum=module.momentum)
        net.set_submodule(name, slim)
    return net


def _convolution(module: nn.Conv2d, inputs: int, width: Fraction) -> nn.Conv2d:
    slim = nn.Conv2d(
        inputs,
        _of(module.out_channels, width),
        module.kernel_size,  # type: ignore[arg-type]
        stride=module.stride,  # type: ignore[arg-type]
        padding=module.padding,  # type: ignore[arg-type]
        groups=module.groups if module.groups == 1 else _of(module.groups, width),
        bias=module.bias is not None,
    )
    nn.init.kaiming_normal_(slim.weight, mode="fan_out", nonlinearity="relu")
    return slim


def _of(channels: int, width: Fraction) -> int:
    slim = channels * width
    if slim.denominator != 1:
        raise ValueError(f"a width of {width} leaves {slim} of {channels} channels")
    return int(slim)
