"""The architectures by name."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

from torch import nn

from brittle.data.fit import Fit
from brittle.errors import BrittleError
from brittle.models.architectures import families
from brittle.models.architectures.acgan import Discriminator
from brittle.models.architectures.architecture import Architecture
from brittle.models.architectures.cifar_resnet import CifarResNet
from brittle.models.architectures.mlp import MLP, CodeClassifier, Maxout
from brittle.models.architectures.mnist_cnn import MnistCNN, TwoConvolutions
from brittle.models.architectures.synthesis import Synthesis
from brittle.models.architectures.two_class_mlp import TwoClassMLP

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)  # of the training images, and what the published weights were trained with
CIFAR10_STD = (0.2471, 0.2435, 0.2616)

_MNIST, _CIFAR = Fit(channels=1, height=28, width=28), Fit(channels=3, height=32, width=32)


def _cifar(
    name: str, summary: str, build: Callable[[int], nn.Module], mean: tuple[float, ...], std: tuple[float, ...]
) -> Architecture:
    return Architecture(
        name=name, summary=summary, build=build, fit=_CIFAR, class_names=CIFAR10_CLASSES, mean=mean, std=std
    )


def _cifar_resnet(depth: int) -> Architecture:
    # The published weights, github.com/akamaster/pytorch_resnet_cifar10, go with the mean and std of ImageNet.
    summary = f"ResNet-{depth} as He et al. made it for CIFAR-10"
    return _cifar(f"resnet{depth}", summary, partial(_resnet, depth), IMAGENET_MEAN, IMAGENET_STD)


def _resnet(depth: int, classes: int) -> nn.Module:
    return CifarResNet(depth, classes)


def _family(name: str, summary: str, build: Callable[[int], nn.Module]) -> Architecture:
    return _cifar(name, summary, build, CIFAR10_MEAN, CIFAR10_STD)


def _mnist(name: str, summary: str, build: Callable[[int], nn.Module]) -> Architecture:
    return Architecture(name=name, summary=summary, build=build, fit=_MNIST, class_names=tuple("0123456789"))


def _mlp(*hidden: int) -> Architecture:
    name = f"fc{'-'.join(map(str, (*hidden, 10)))}"
    what = "dense layers with sigmoids" if hidden else "a softmax classifier"
    return _mnist(name, f"{what} for MNIST (arXiv:1312.6199)", partial(_dense, hidden))


def _dense(hidden: Sequence[int], classes: int) -> nn.Module:
    return MLP(28 * 28, hidden, classes)


def _smaller(side: int) -> Architecture:
    return Architecture(
        name=f"fc100-100-10-at-{side}",
        summary=f"fc100-100-10 for MNIST at {side} x {side} pixels",
        build=partial(_dense_at, side),
        fit=Fit(channels=1, height=side, width=side, resize=(side, side)),
        class_names=tuple("0123456789"),
    )


def _dense_at(side: int, classes: int) -> nn.Module:
    return MLP(side * side, (100, 100), classes)


def _of_madry(classes: int) -> nn.Module:
    return TwoConvolutions(32, 1024, pooled=True, classes=classes)


def _of_wong(classes: int) -> nn.Module:
    return TwoConvolutions(16, 100, pooled=False, classes=classes)


def _maxout(classes: int) -> nn.Module:
    return Maxout(28 * 28, [240, 240], 5, classes)


def _autoencoded(classes: int) -> nn.Module:
    return CodeClassifier(28 * 28, [400], sigmoid=True, classes=classes)


def _variational(classes: int) -> nn.Module:
    return CodeClassifier(28 * 28, [400, 50], sigmoid=False, head=[100], classes=classes)


def _synthesis(classes: int) -> nn.Module:
    return Synthesis(28 * 28, 8, [128], starts=1000, steps=20, classes=classes)


def _coloured(name: str, hidden: int, what: str, *, blind: bool = False) -> Architecture:
    return Architecture(
        name=name,
        summary=f"two dense layers for Colored MNIST{what} (arXiv:1907.02893)",
        build=partial(_two_class, hidden, blind),
        fit=Fit(channels=3, height=14, width=14),
        class_names=("0 to 4", "5 to 9"),
    )


def _two_class(hidden: int, blind: bool, classes: int) -> nn.Module:
    if classes != 2:
        raise BrittleError(f"expected data of 2 classes for a network of Colored MNIST, got {classes}")
    return TwoClassMLP(14 * 14, hidden, blind=blind)


_WIDE = 196
_SHALLOW = (2, 1, 2, 1), (2, 1, 2)
_DEEP = (1, 2, 1, 2, 1, 1, 1, 2), (2, 1, 1, 1, 2, 1, 2)
"""Strides of a discriminator, and what its generator enlarges by; the deep ones are the assignment's."""


def _discriminator(
    name: str, what: str, fit: Fit, width: int, shape: tuple[tuple[int, ...], tuple[int, ...]]
) -> Architecture:
    return Architecture(
        name=name,
        summary=f"a discriminator with a class head, {what} (arXiv:1610.09585)",
        build=partial(_playing, fit, width, shape),
        fit=fit,
        class_names=CIFAR10_CLASSES if fit.channels == 3 else tuple("0123456789"),
        mean=(0.5,) * fit.channels,
        std=(0.5,) * fit.channels,
    )


def _playing(fit: Fit, width: int, shape: tuple[tuple[int, ...], tuple[int, ...]], classes: int) -> nn.Module:
    return Discriminator(fit.channels, fit.height, width, *shape, classes)


_ALL = (
    _mnist("mnist-cnn", "four convolutions for MNIST", MnistCNN),
    _mnist("mnist-cnn-1024", "two convolutions and a wide dense layer for MNIST (arXiv:1706.06083)", _of_madry),
    _mnist("mnist-cnn-100", "two strided convolutions and a dense layer for MNIST (arXiv:1711.00851)", _of_wong),
    *(_mlp(*hidden) for hidden in ((), (100, 100), (200, 200), (123, 456), (400,))),
    *(_smaller(side) for side in (7, 14, 21)),
    _mnist("maxout240-240-10", "two layers of maxout units of five pieces for MNIST (arXiv:1302.4389)", _maxout),
    _mnist("ae400-10", "a softmax classifier on an autoencoder's code (arXiv:1312.6199)", _autoencoded),
    _mnist("vae400-50-100-10", "a classifier on the mean code of a variational autoencoder", _variational),
    _mnist("synthesis-mnist", "a decoder for each class, whose best image tells it (arXiv:1805.09190)", _synthesis),
    _coloured("coloured-mlp256", 256, ""),
    _coloured("coloured-mlp83-blind", 83, ", which see no colour", blind=True),
    _discriminator("acgan-mnist", "four wide layers for MNIST", _MNIST, _WIDE, _SHALLOW),
    _discriminator("acgan-mnist-slim", "four narrow layers for MNIST", _MNIST, 32, _SHALLOW),
    _discriminator("acgan-cifar10", "eight wide layers for CIFAR-10", _CIFAR, _WIDE, _DEEP),
    _discriminator("acgan-cifar10-slim", "four narrow layers for CIFAR-10", _CIFAR, 64, _SHALLOW),
    *(_cifar_resnet(depth) for depth in (20, 32, 44, 56)),
    _family("resnet50-slim", "all of resnet50 at a quarter of its width", families.resnet50_slim),
    _family("densenet169-slim", "a third of densenet169's layers at half of their growth", families.densenet169_slim),
    _family("mobilenet-v2-slim", "all of mobilenet-v2 at half of its width", families.mobilenet_v2_slim),
    _family(
        "inception-v3-slim", "half of inception-v3's blocks at a quarter of their width", families.inception_v3_slim
    ),
    _family("resnet50", "ResNet-50 with a 3 x 3 stem", families.resnet50),
    _family("densenet169", "DenseNet-169 with a 3 x 3 stem", families.densenet169),
    _family("mobilenet-v2", "MobileNetV2 with a stem and a second stage of stride 1", families.mobilenet_v2),
    _family("inception-v3", "Inception v3 with a stem of one 3 x 3 convolution", families.inception_v3),
)

ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType({one.name: one for one in _ALL})
"""What ``--model NAME --weights FILE`` takes, and what can be trained."""


def _torchvision(name: str) -> nn.Module:
    from torchvision import models

    # Inception's own initialisation draws truncated normals for minutes.
    options = {"init_weights": False} if name == "inception_v3" else {}
    net: nn.Module = models.get_model(name, weights=None, **options)
    return net


IMAGENET_FORMS: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {
        f"torchvision:{name}": partial(_torchvision, name)
        for name in ("resnet50", "densenet169", "mobilenet_v2", "inception_v3")
    }
)
"""The same families for ImageNet: the model spec -> torchvision's network, Inception with its auxiliary head."""
