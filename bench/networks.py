"""Networks beside ResNet-20 that strength is measured on, robust and plain ones: those of the data folder.

``weights/definitions.py`` there defines them; it is run from where it lies.
"""

import importlib.util
from dataclasses import dataclass
from types import ModuleType
from typing import final

from torch import Tensor, nn

from bench.setting import CIFAR, Normalised, Setting, Skipped, data_file, resnet20, right_images, test_set
from brittle.errors import BrittleError, did_you_mean
from brittle.models import load_weights
from brittle.models.network import Network

MNIST = "mnist/test.parquet"


@final
@dataclass(frozen=True, slots=True)
class Known:
    """A network: who defines it, its weights, its test set, how it was trained, and how many images it has time for."""

    factory: str
    weights: str
    data: str
    robust: bool
    count: int = 32


NETWORKS = {
    "lenet5-adv": Known("LeNet5", "mnist_advertorch_lenet5_adv", MNIST, robust=True),
    "wong-0.1": Known("wong_mnist", "mnist_wong_0_1", MNIST, robust=True),
    "trades": Known("TradesCNN", "mnist_trades_smallcnn", MNIST, robust=True),
    "lenet5": Known("LeNet5", "mnist_advertorch_lenet5_clean", MNIST, robust=False),
    "resnet4b-adv": Known("resnet4b_adversarial", "cifar10_resnet4b_adv", CIFAR, robust=True),
    "resnet8": Known("ResNet8", "cifar10_mlperf_tiny_resnet8", CIFAR, robust=False),
    "resnet20": Known("ResNet20", "cifar10_resnet20", CIFAR, robust=False),
    "densenet-bc": Known("densenet_bc_100", "cifar10_densenet_bc_100_12", CIFAR, robust=False, count=16),
}
"""By the names of the bench's rows, the cheapest to attack first."""


def setting_of(name: str, count: int | None = None, batch_size: int | None = None) -> Setting:
    """A new classifier of one of ``NETWORKS``, and the first ``count`` test images that it classifies correctly."""
    if name not in NETWORKS:
        raise BrittleError(f"unknown network {name!r}{did_you_mean(name, NETWORKS)}")
    known = NETWORKS[name]
    classifier, plain = _resnet20(batch_size) if name == "resnet20" else _defined(name, known, batch_size)
    return right_images(classifier, plain, test_set(known.data), known.count if count is None else count)


def _resnet20(batch_size: int | None) -> tuple[Network, nn.Module]:
    classifier = resnet20(batch_size)
    return classifier, Normalised(classifier.net, classifier)


def _defined(name: str, known: Known, batch_size: int | None) -> tuple[Network, nn.Module]:
    """Normalisation is the classifier's own work, where there is one; the plain network has it inside."""
    plain: nn.Module = getattr(_definitions(), known.factory)()
    net, mean, std = plain, None, None
    if isinstance(inner := getattr(plain, "net", None), nn.Module):
        net, mean, std = inner, _numbers(plain.mean), _numbers(plain.std)
    load_weights(net, data_file(f"weights/{known.weights}.safetensors"))
    return Network(net, mean=mean, std=std, batch_size=batch_size, name=name), plain


def _numbers(values: object) -> tuple[float, ...]:
    if not isinstance(values, Tensor):
        raise Skipped(f"expected a tensor of one number per channel, got {type(values).__name__}")
    return tuple(values.flatten().tolist())


def _definitions() -> ModuleType:
    path = data_file("weights/definitions.py")
    spec = importlib.util.spec_from_file_location("definitions", path)
    if spec is None or spec.loader is None:
        raise Skipped(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
