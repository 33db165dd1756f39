"""What a network's last linear layer sees of images."""

import torch
from torch import Tensor, nn

from brittle.errors import BrittleError
from brittle.models.classifier import Classifier
from brittle.models.network import Network
from brittle.types import Images


def features_of(classifier: Classifier, images: Images) -> Tensor:
    """The input of the last linear layer, ``[B, D]``, by the plain network, of which nothing is changed.

    Raises BrittleError for what is no network of PyTorch, and for one without such a layer.
    """
    modules = classifier.net.modules() if isinstance(classifier, Network) else ()
    layers = [one for one in modules if isinstance(one, nn.Linear)]
    if not layers:
        raise BrittleError(f"expected a network that ends in a linear layer, got {classifier.name}")
    seen: list[Tensor] = []
    hook = layers[-1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().flatten(1)))
    try:
        parts = []
        for part in classifier.chunks(len(images)):
            seen.clear()
            some = images[part]
            classifier.logits(some, plain=True)
            parts.append(torch.cat(seen)[: len(some)].float().cpu())  # without those that were there for company
    finally:
        hook.remove()
    return torch.cat(parts)
