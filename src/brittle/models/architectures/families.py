"""ResNet-50, DenseNet-169, MobileNetV2 and Inception v3 for CIFAR: torchvision's networks with another stem, and slim.

The stems are those of github.com/huyvnphan/PyTorch_CIFAR10, whose weights have the same names and load. torchvision is
imported where a network is built: it takes longer than all else that a command needs.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction

import torch
from torch import nn

from brittle.models.architectures.slim import slimmed

_QUARTER = Fraction(1, 4)


def resnet50(classes: int) -> nn.Module:
    """He et al. 2016 (arXiv:1512.03385); the first convolution is 3 x 3 with stride 1."""
    from torchvision import models

    net: nn.Module = models.resnet50(num_classes=classes)
    net.conv1 = _stem(64)
    return _with_idle_branches(net)


def resnet50_slim(classes: int) -> nn.Module:
    """All 50 layers, at a quarter of their width."""
    return _with_idle_branches(slimmed(_outline(resnet50, classes), _QUARTER))


def densenet169(classes: int) -> nn.Module:
    """Huang et al. 2017 (arXiv:1608.06993); the first convolution is 3 x 3 with stride 1."""
    return _densenet(classes, growth=32, blocks=(6, 12, 32, 32))


def densenet169_slim(classes: int) -> nn.Module:
    """A third of the layers in each dense block, with a growth of 16 instead of 32."""
    return _densenet(classes, growth=16, blocks=(2, 4, 10, 10))


def _densenet(classes: int, growth: int, blocks: tuple[int, int, int, int]) -> nn.Module:
    from torchvision import models

    net: nn.Module = models.DenseNet(growth, blocks, num_init_features=2 * growth, num_classes=classes)
    net.get_submodule("features").conv0 = _stem(2 * growth)
    return net


def mobilenet_v2(classes: int) -> nn.Module:
    """Sandler et al. 2018 (arXiv:1801.04381); the stem and the second stage keep the resolution."""
    return _mobilenet(classes, width=1.0, strides=(1, 1, 2, 2, 1, 2, 1))


def mobilenet_v2_slim(classes: int) -> nn.Module:
    """All blocks, at half of their width, but for the last 1280 channels; what comes first halves the resolution."""
    return _mobilenet(classes, width=0.5, strides=(2, 1, 2, 1, 2, 1, 1))


def _mobilenet(classes: int, width: float, strides: Sequence[int]) -> nn.Module:
    from torchvision import models

    # Sandler et al., table 2: expansion, channels and blocks of each stage.
    stages = [(1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1)]
    setting = [[*stage, stride] for stage, stride in zip(stages, strides, strict=True)]
    net: nn.Module = models.MobileNetV2(num_classes=classes, width_mult=width, inverted_residual_setting=setting)
    stem = net.get_submodule("features.0.0")
    assert isinstance(stem, nn.Conv2d)
    stem.stride = (1, 1)
    return _with_idle_branches(net)


def inception_v3(classes: int) -> nn.Module:
    """Szegedy et al. 2016 (arXiv:1512.00567), without the auxiliary head: one convolution, 3 x 3 with stride 1, is
    instead of the first five and their two poolings."""
    return _without(_inception(classes), "maxpool2")


def inception_v3_slim(classes: int) -> nn.Module:
    """A quarter of the width, each kind of mixed block once or twice, and a pooling after the first convolution."""
    net = slimmed(_outline(_inception, classes), _QUARTER)
    return _without(net, "Mixed_5d", "Mixed_6c", "Mixed_6d", "Mixed_6e", "Mixed_7c")


def _inception(classes: int) -> nn.Module:
    from torchvision.models import inception

    # Its own initialisation draws truncated normals for minutes.
    net: nn.Module = inception.Inception3(num_classes=classes, aux_logits=False, init_weights=False)
    net.Conv2d_1a_3x3 = inception.BasicConv2d(3, 192, kernel_size=3, padding=1)
    return _without(net, "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1", "Conv2d_3b_1x1", "Conv2d_4a_3x3")


def _without(net: nn.Module, *parts: str) -> nn.Module:
    for part in parts:
        net.set_submodule(part, nn.Identity())
    return net


def _with_idle_branches(net: nn.Module) -> nn.Module:
    """The network with every residual branch zero at first, by the weight of its last batch norm: Goyal et al. 2017,
    section 5.1 (arXiv:1706.02677). In few epochs it learns much more so: ``docs/bench.md``."""
    from torchvision.models.mobilenetv2 import InvertedResidual
    from torchvision.models.resnet import Bottleneck

    for block in net.modules():
        if isinstance(block, Bottleneck):
            nn.init.zeros_(block.bn3.weight)
        elif isinstance(block, InvertedResidual) and block.use_res_connect:
            last = block.conv[-1]
            assert isinstance(last, nn.BatchNorm2d)
            nn.init.zeros_(last.weight)
    return net


def _stem(channels: int) -> nn.Conv2d:
    stem = nn.Conv2d(3, channels, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
    return stem


def _outline(build: Callable[[int], nn.Module], classes: int) -> nn.Module:
    """The network without memory for its weights."""
    with torch.device("meta"):
        return build(classes)
