"""A network and a detector that watches its layers, as one network with one more class."""

from typing import final

import torch
from torch import Tensor, nn

from brittle.data.examples import Examples
from brittle.defend.rejecting import Bar, rejecting
from brittle.errors import BrittleError
from brittle.models.classifier import Classifier
from brittle.models.features import inputs_seen
from brittle.models.modes import evaluating
from brittle.models.network import Network
from brittle.types import Images, Logits


class Watcher(nn.Module):
    """What gives a score to what layers were given, each ``[B, D]``, and to the logits ``[B, K]``."""

    def forward(self, seen: list[Tensor], logits: Logits) -> Tensor:
        """``[B]``: the larger, the less like clean images."""
        raise NotImplementedError


_SIDE = 4


@final
class Watched(nn.Module):
    """The network. layers: names of those that are watched. told: all that the watcher was fitted by and on; it stands
    for what it has learnt, which is no weight of the network, in the fingerprint."""

    def __init__(self, net: nn.Module, layers: list[str], watcher: Watcher, bar: Bar, told: str) -> None:
        super().__init__()
        self.net, self.layers, self.watcher, self.bar, self.told = net, layers, watcher, bar, told

    def extra_repr(self) -> str:
        return self.told

    def forward(self, images: Images) -> Logits:
        seen, logits = watched(self.net, self.layers, images)
        return rejecting(logits, self.bar.beyond(self.watcher(seen, logits)))


def watched(net: nn.Module, layers: list[str], images: Images) -> tuple[list[Tensor], Logits]:
    """What layers were given, each ``[B, D]``, and the logits, of one pass of normalised images."""
    modules = dict(net.named_modules())
    with inputs_seen([modules[name] for name in layers]) as seen:
        logits = net(images)
    return [_flat(seen[place]) for place in range(len(layers))], logits


def _flat(values: Tensor) -> Tensor:
    """Of maps the means over 4 x 4 places at the most: distances among thousands of values tell little, and cost more
    than the network."""
    if values.ndim == 4 and values.shape[2] * values.shape[3] > _SIDE**2:
        values = nn.functional.adaptive_avg_pool2d(values, _SIDE)
    return values.flatten(1)


def seen_by(network: Network, layers: list[str], images: Images) -> tuple[list[Tensor], Logits]:
    """The same of any number of images in [0, 1], without a graph."""
    parts = []
    with torch.no_grad(), evaluating(network.net):
        for rows in network.chunks(len(images)):
            seen, logits = watched(network.net, layers, network.normalisation.applied(images[rows]))
            parts.append([*seen, logits])
    *of_layers, answers = [torch.cat(part) for part in zip(*parts, strict=True)]
    return of_layers, answers


def put_before(
    classifier: Classifier, layers: list[str], watcher: Watcher, clean: Examples, held_out: Images, fpr: float, how: str
) -> Network:
    """The network with its watcher, and the bar by the scores of held-out clean images."""
    network = network_without_reject(classifier, how)
    device = network.device
    watcher.to(device)
    with torch.no_grad():
        seen, logits = seen_by(network, layers, held_out)
        scores = watcher(seen, logits)
    bar = Bar.of(scores, fpr, how.partition("(")[0])
    told = f"{how} fitted on {clean.fingerprint}"
    return network.holding(Watched(network.net, layers, watcher, bar, told), reject=logits.shape[1])


def network_without_reject(classifier: Classifier, how: str) -> Network:
    """The classifier as the network that it is; BrittleError for one that rejects already."""
    assert isinstance(classifier, Network)  # the registry sees to it
    if classifier.reject is not None:
        raise BrittleError(f"expected a model without a reject class for {how}, got {classifier.name}")
    return classifier
