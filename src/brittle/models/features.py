"""What layers of a network see of images."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from brittle.errors import BrittleError
from brittle.models.classifier import Classifier
from brittle.models.network import Network
from brittle.types import Images


@contextmanager
def inputs_seen(layers: Sequence[nn.Module]) -> Iterator[dict[int, Tensor]]:
    """Inside, after each pass, what each of the layers was given, by its place among them; no hook is left behind."""
    seen: dict[int, Tensor] = {}

    def seeing(place: int, layer: nn.Module) -> torch.utils.hooks.RemovableHandle:
        return layer.register_forward_pre_hook(lambda _, inputs: seen.__setitem__(place, inputs[0]))

    handles = [seeing(*one) for one in enumerate(layers)]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def features_of(classifier: Classifier, images: Images) -> Tensor:
    """The input of the last linear layer, ``[B, D]``, by the plain network, of which nothing is changed.

    Raises BrittleError for what is no network of PyTorch, and for one without such a layer.
    """
    modules = classifier.net.modules() if isinstance(classifier, Network) else ()
    layers = [one for one in modules if isinstance(one, nn.Linear)]
    if not layers:
        raise BrittleError(f"expected a network that ends in a linear layer, got {classifier.name}")
    parts = []
    with inputs_seen(layers[-1:]) as seen:
        for part in classifier.chunks(len(images)):
            some = images[part]
            classifier.logits(some, plain=True)
            # Without those that were there for company.
            parts.append(seen[0].detach().flatten(1)[: len(some)].float().cpu())
    return torch.cat(parts)
