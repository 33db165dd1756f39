"""Images far from all that the network has seen of the class it answers are rejected (Feinman et al. 2017)."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from brittle.catalog import label_of, option
from brittle.data.examples import Examples
from brittle.defend.defence import register_defence
from brittle.defend.rejecting import FPR, IMAGES
from brittle.defend.watched import Watcher, network_without_reject, put_before, seen_by
from brittle.errors import BrittleError
from brittle.models.classifier import Classifier
from brittle.types import Labels, Logits

_TRIED = 30  # bandwidths, from a thousandth of the references' own spread to three times it
_LEAST = -1e6  # log density of a class that no reference is of


@register_defence(
    "kernel-density",
    paper="arXiv:1703.00410",
    attacker="the gradient of answer and density together",
    fitted=True,
    inside=True,
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class KernelDensity:
    """Rejects images that lie, before the last layer, where few clean ones of the answered class do.

    The density is a Gaussian kernel's over half of the clean images, by the classes that the network gives them, so
    that no labels are needed; the other half sets the threshold.
    """

    fpr: float = option(0.05, FPR, above=0, below=1)
    images: int = option(1000, IMAGES, at_least=4)

    def fitted(self, classifier: Classifier, clean: Examples) -> Classifier:
        network = network_without_reject(classifier, label_of(self))
        layers = [name for name, one in network.net.named_modules() if isinstance(one, nn.Linear)][-1:]
        if not layers:
            raise BrittleError(f"expected a network that ends in a linear layer, got {network.name}")
        images = clean.images(0, self.images).to(network.device)
        (features,), logits = seen_by(network, layers, images[::2])
        watcher = Density(features, logits.argmax(1))
        return put_before(network, layers, watcher, clean, images[1::2], self.fpr, label_of(self))


@final
class Density(Watcher):
    """Minus the log density of features ``[B, D]`` among references of the class that the logits answer."""

    references: Tensor
    classes: Labels

    def __init__(self, references: Tensor, classes: Labels) -> None:
        super().__init__()
        self.register_buffer("references", references, persistent=False)
        self.register_buffer("classes", classes, persistent=False)
        self.bandwidth = likeliest_bandwidth(references, classes)

    def forward(self, seen: list[Tensor], logits: Logits) -> Tensor:
        near = _log_kernel(_distances(seen[0], self.references), self.bandwidth)
        among = self.classes == logits.argmax(1, keepdim=True)
        return -_log_mean(near, among).clamp_min(_LEAST)


def likeliest_bandwidth(references: Tensor, classes: Labels) -> float:
    """The one under which each reference is likeliest on average, by the others of its class."""
    distances = _distances(references, references)
    among = (classes == classes.unsqueeze(1)) & ~torch.eye(len(classes), dtype=torch.bool, device=classes.device)
    known = among.any(1)
    if not known.any():
        raise BrittleError(f"expected two clean images of one class at least, got {len(references)}, each of its own")
    spread = float(distances[among].square().mean().sqrt().clamp_min(1e-6))
    dimensions = references.shape[1]
    tried = [spread * 10 ** (-3 + 3.5 * step / (_TRIED - 1)) for step in range(_TRIED)]
    likely = [
        float(_log_mean(_log_kernel(distances[known], one), among[known]).mean())
        - dimensions * torch.tensor(one).log().item()
        for one in tried
    ]
    return tried[max(range(_TRIED), key=likely.__getitem__)]


def _distances(features: Tensor, references: Tensor) -> Tensor:
    return torch.cdist(features, references, compute_mode="donot_use_mm_for_euclid_dist")


def _log_kernel(distances: Tensor, bandwidth: float) -> Tensor:
    return -distances.square() / (2 * bandwidth**2)


def _log_mean(values: Tensor, among: Tensor) -> Tensor:
    """The log of the mean of exponentials ``[B]`` of those ``[B, N]`` that are among; very little where none is."""
    some = among.any(1)
    filled = values.masked_fill(~(among | ~some.unsqueeze(1)), -torch.inf)
    found = filled.logsumexp(1) - among.sum(1).clamp_min(1).log()
    return torch.where(some, found, _LEAST)
