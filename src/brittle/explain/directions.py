"""Units of a layer beside random directions of it: Szegedy et al. 2014 (arXiv:1312.6199), section 3."""

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from brittle.explain.inside import activations
from brittle.explain.objective import Objective
from brittle.models.features import features_of
from brittle.models.network import Network
from brittle.rng import Rng
from brittle.types import Images

What: TypeAlias = Literal["unit", "direction", "chance"]
WHAT: tuple[What, ...] = ("unit", "direction", "chance")
"""unit: a channel. direction: a random one. chance: numbers that have nothing to do with an image."""


def outputs_of(network: Network, images: Images, layer: str) -> Tensor:
    """What a layer gives for images, the mean over positions: float ``[N, C]``. ``""``: what the last linear one sees.

    Raises BrittleError for a layer that the network has not.
    """
    if not layer:
        return features_of(network, images)
    found = activations(network, images, [layer])[layer].float()
    return found.reshape(len(found), found.shape[1] if found.ndim > 1 else 1, -1).mean(2).cpu()


def chosen(what: What, count: int, channels: int, seed: int) -> list[int]:
    """The numbers of at most ``count`` of each: units by chance, directions as ``explain activation`` numbers them."""
    if what != "unit":
        return list(range(seed * count, (seed + 1) * count))
    order = Rng(seed, ("units",)).uniform("order", torch.empty(1, channels))[0].argsort()
    return sorted(order[:count].tolist())


def values_of(what: What, numbers: list[int], outputs: Tensor, rng: Rng) -> Tensor:
    """How much each image excites each of some: float ``[N, len(numbers)]``. rng: of the images."""
    if what == "chance":
        drawn = rng.uniform("chance", torch.empty(len(outputs), max(numbers) + 1))
        return drawn[:, numbers]
    vectors = torch.stack([Objective(what, one).vector(outputs.shape[1]) for one in numbers])
    return outputs @ vectors.T
