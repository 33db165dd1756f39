"""A network and the images that it gets right; most rows are measured on ResNet-20 and the CIFAR-10 test set."""

import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from brittle.data import Examples, load_data
from brittle.models import Classifier, Network, load_model
from brittle.rng import Rng
from brittle.types import Images, Labels, Logits

CIFAR = "cifar10-jpeg/test.parquet"


class Skipped(Exception):
    """Why a row cannot be measured here."""


class Normalised(nn.Module):
    """A network with its normalisation inside, as the peers want it: pixels in [0, 1] -> logits."""

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, classifier: Network, *, channels_last: bool = False) -> None:
        super().__init__()
        self.net = net
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.register_buffer("mean", torch.tensor(classifier.mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(classifier.std).view(1, -1, 1, 1))

    def forward(self, images: Images) -> Logits:
        logits: Logits = self.net(((images - self.mean) / self.std).contiguous(memory_format=self.layout))
        return logits


class Setting(NamedTuple):
    """One network twice, as brittle and as everybody else sees it, and images that it gets right."""

    classifier: Network
    plain: nn.Module
    images: Images
    labels: Labels
    rng: Rng


def setting(count: int, batch_size: int | None = None) -> Setting:
    """A new ResNet-20 and the first ``count`` test images that it classifies correctly."""
    classifier = resnet20(batch_size)
    return right_images(classifier, Normalised(classifier.net, classifier), test_set(CIFAR), count)


def right_images(classifier: Network, plain: nn.Module, examples: Examples, count: int) -> Setting:
    """A classifier, the same as a plain network of pixels in [0, 1], and the first images that it gets right."""
    plain.eval().requires_grad_(False)
    images, labels = _first(examples, 2 * count)
    with torch.no_grad():
        right = (plain(images).argmax(1) == labels).nonzero().squeeze(1)[:count]
    if len(right) < count:
        raise Skipped(f"the network gets {len(right)} of the first {2 * count} images right, {count} are needed")
    return Setting(classifier, plain, images[right], labels[right], Rng(0, tuple(f"{row:05d}" for row in right)))


def resnet20(batch_size: int | None = None) -> Network:
    """ResNet-20 with its published weights, as the command line loads it."""
    weights = data_file("weights/cifar10_resnet20.safetensors")
    return network_of(load_model("resnet20", weights=weights, batch_size=batch_size))


def network_of(classifier: Classifier) -> Network:
    """A classifier that is one of a PyTorch network."""
    if not isinstance(classifier, Network):
        raise Skipped(f"{classifier.name} is no network of PyTorch")
    return classifier


def first_images(count: int) -> tuple[Images, Labels]:
    """The first CIFAR-10 test images, right or wrong."""
    return _first(test_set(CIFAR), count)


def _first(examples: Examples, count: int) -> tuple[Images, Labels]:
    if examples.labels is None:
        raise Skipped("the test set has no labels")
    return examples.images(0, count), examples.labels[:count]


@cache
def test_set(name: str) -> Examples:
    """One of the Parquet files of the data folder."""
    return load_data(str(data_file(name)), limit=None, fit=None)


def data_file(name: str) -> Path:
    """A file under $BRITTLE_DATA, or ../shared/data beside the checkout."""
    root = os.environ.get("BRITTLE_DATA") or Path(__file__).parents[2] / "shared" / "data"
    path = Path(root) / name
    if not path.exists():
        raise Skipped(f"{name} is not there; set BRITTLE_DATA to the folder that holds it")
    return path
