"""A network that computes with few bits (Lin et al. 2019, arXiv:1904.08444)."""

import copy
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from brittle.catalog import option
from brittle.data.examples import Examples
from brittle.defend.defence import register_defence
from brittle.models.classifier import Classifier
from brittle.models.features import inputs_seen
from brittle.models.modes import evaluating
from brittle.models.network import Network
from brittle.models.quantised import Range, layers_to_quantise, quantise
from brittle.types import Images

_SAMPLED = 100_000  # values of a layer and a batch, evenly spread, by which shares are told


@register_defence(
    "quantised",
    paper="arXiv:1904.08444",
    attacker="the gradient straight through all roundings",
    backward="straight-through",
    fitted=True,
    inside=True,
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Quantised:
    """Rounds weights, and what each convolution and linear layer is given, to few bits.

    The image itself is left as it is (``bit-depth`` rounds it), and so are biases and norms. Activations are rounded
    between what clean images reach, each output's weights between their extremes. Networks trained by the recipe
    ``quantised`` stand behind it as they were trained.
    """

    bits: int = option(4, "bits of activations", at_least=1, at_most=8)
    weight_bits: int | None = option(None, "bits of weights; default: as many", at_least=1, at_most=16)
    within: float = option(1.0, "share of a layer's values on clean images that its range spans", above=0.5, at_most=1)
    images: int = option(256, "clean images by which ranges are told, at most", at_least=1)

    def fitted(self, classifier: Classifier, clean: Examples) -> Classifier:
        assert isinstance(classifier, Network)  # the registry sees to it
        images = clean.images(0, self.images).to(classifier.device)
        net = copy.deepcopy(classifier.net)
        told = f", within={self.within:g}, fitted on {clean.fingerprint}"
        quantise(net, self.bits, self.weight_bits or self.bits, self._ranges(classifier, images), told)
        return classifier.holding(net)

    def _ranges(self, network: Network, images: Images) -> dict[str, Range]:
        layers = layers_to_quantise(network.net)
        found = {name: list[Tensor]() for name in layers}
        with torch.no_grad(), evaluating(network.net), inputs_seen(list(layers.values())) as seen:
            for rows in network.chunks(len(images)):
                network.plain(images[rows])
                for place, name in enumerate(layers):
                    found[name].append(self._told(seen[place].flatten()))
        return {name: _range(torch.cat(one), self.within) for name, one in found.items()}

    def _told(self, values: Tensor) -> Tensor:
        return torch.stack(values.aminmax()) if self.within == 1 else values[:: -(-len(values) // _SAMPLED)]


def _range(values: Tensor, within: float) -> Range:
    """As much is left out at either end."""
    ends = values.new_tensor([(1 - within) / 2, (1 + within) / 2])
    low, high = (values.aminmax() if within == 1 else values.quantile(ends)) if len(values) else (0.0, 0.0)
    return Range(float(low), float(high))
