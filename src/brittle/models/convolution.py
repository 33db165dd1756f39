"""The step that the small networks are built of."""

from torch import nn


def convolution(inputs: int, outputs: int, side: int, stride: int) -> tuple[nn.Module, ...]:
    """A convolution with zeros around, its batch norm, and a ReLU; parts of an ``nn.Sequential``."""
    return (
        nn.Conv2d(inputs, outputs, side, stride=stride, padding=side // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )
