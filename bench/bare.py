"""Loops with nothing but passes through the network: what no attack can be faster than."""

import time

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.setting import Normalised, Skipped
from brittle.models import Network
from brittle.models.fold import folded
from brittle.types import Images, Labels


def fast_copy(classifier: Network) -> Normalised:
    """The folded network in channels_last that the classifier runs as well, without the classifier."""
    net = folded(classifier.net)
    if net is None:
        raise Skipped("the network cannot be folded")
    return Normalised(net, classifier, channels_last=True).eval()


def forward_backward(net: nn.Module, images: Images, labels: Labels, *, passes: int, chunk: int) -> None:
    """``passes`` times the input gradient of the cross-entropy, ``chunk`` images at a time."""
    for _ in range(passes):
        for part, truth in zip(torch.split(images, chunk), torch.split(labels, chunk), strict=True):
            leaf = part.detach().requires_grad_()
            torch.autograd.grad(functional.cross_entropy(net(leaf), truth, reduction="sum"), leaf)


def forward(classifier: Network, images: Images, *, rounds: int = 3) -> float:
    """Seconds of one pass of the folded network over images, in the classifier's batches: the best of some rounds."""
    net, seconds = fast_copy(classifier), []
    with torch.no_grad():
        for _ in range(rounds + 1):
            started = time.perf_counter()
            for part in torch.split(images, classifier.batch_size):
                net(part)
            seconds.append(time.perf_counter() - started)
    return min(seconds[1:])


def one_by_one(net: nn.Module, images: Images, labels: Labels, forwards: Tensor, backwards: Tensor) -> None:
    """For each image alone, as many forward and backward passes as given, the backward ones spread over the forward."""
    rows = zip(torch.split(images, 1), labels.tolist(), forwards.tolist(), backwards.tolist(), strict=True)
    for image, label, ahead, back in rows:
        for i in range(ahead):
            leaf = image.detach().requires_grad_()
            logit = net(leaf)[0, label]
            for _ in range((i + 1) * back // ahead - i * back // ahead):
                torch.autograd.grad(logit, leaf, retain_graph=True)
