"""Images around which the layers see too many dimensions are rejected (Ma et al. 2018, arXiv:1801.02613)."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from brittle.catalog import label_of, option
from brittle.data.examples import Examples, content_hashes
from brittle.defend.defence import register_defence
from brittle.defend.rejecting import FPR, IMAGES
from brittle.defend.watched import Watcher, network_without_reject, put_before, seen_by
from brittle.errors import BrittleError
from brittle.goals import Untargeted
from brittle.models.classifier import Classifier
from brittle.models.network import Network
from brittle.models.quantised import layers_to_quantise
from brittle.rng import Rng
from brittle.types import Images, Logits

_STEP, _STEPS = 2 / 255, 64  # of the examples that it learns from


@register_defence(
    "local-intrinsic-dimension",
    paper="arXiv:1801.02613",
    attacker="the gradient of answer and score together, through all layers",
    fitted=True,
    inside=True,
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class LocalIntrinsicDimension:
    """Rejects images around which layers see more dimensions than around clean ones, by a logistic regression.

    The dimension is estimated from the distances to the nearest of half of the clean images (eq. 4), at the input of
    each convolution and linear layer but the first. A quarter teaches the regression, beside the same images with
    noise, which count as clean, and attacked by iterated FGSM until they fool. The last quarter sets the threshold.
    """

    neighbours: int = option(20, "nearest clean images by which the dimension is estimated", at_least=2)
    fpr: float = option(0.05, FPR, above=0, below=1)
    images: int = option(1000, IMAGES, at_least=8)

    def fitted(self, classifier: Classifier, clean: Examples) -> Classifier:
        from sklearn.linear_model import LogisticRegression  # here, as it takes a second to import

        network = network_without_reject(classifier, label_of(self))
        layers = list(layers_to_quantise(network.net))[1:]
        images = clean.images(0, self.images).to(network.device)
        references, _ = seen_by(network, layers, images[::2])
        if not layers or len(images[::2]) < self.neighbours:
            raise BrittleError(
                f"expected {2 * self.neighbours} clean images and a network of two layers for {label_of(self)}, got"
                f" {len(images)} and {len(layers) + 1}"
            )
        teaching = images[1::4]
        attacked = fooling(network, teaching)
        noisy = like(teaching, attacked)
        dimensions = Dimensions(references, self.neighbours)
        parts = [dimensions.of(seen_by(network, layers, one)[0]) for one in (teaching, noisy, attacked)]
        values = torch.cat(parts).double().cpu().numpy()
        wrong = [0] * (2 * len(teaching)) + [1] * len(attacked)
        centre, spread = values.mean(0), values.std(0) + 1e-9
        learnt = LogisticRegression(max_iter=1000).fit((values - centre) / spread, wrong)
        weights = learnt.coef_[0] / spread
        dimensions.weights = torch.tensor(weights, dtype=torch.float32, device=network.device)
        return put_before(network, layers, dimensions, clean, images[3::4], self.fpr, label_of(self))


@final
class Dimensions(Watcher):
    """The weighted sum of the logs of the layers' local intrinsic dimensions.

    In logs, as a dimension is the reciprocal of a mean that may come near to 0. The references are always the same,
    where the paper takes the rest of a batch: an image's answer must not hang on others.
    """

    weights: Tensor

    def __init__(self, references: list[Tensor], neighbours: int) -> None:
        super().__init__()
        self.neighbours, self.layers = neighbours, len(references)
        for place, one in enumerate(references):
            self.register_buffer(f"references_{place}", one, persistent=False)
        self.register_buffer("weights", torch.ones(len(references)), persistent=False)

    def forward(self, seen: list[Tensor], logits: Logits) -> Tensor:
        return (self.of(seen) * self.weights).sum(1)

    def of(self, seen: list[Tensor]) -> Tensor:
        """``[B, L]``."""
        each = [
            log_dimension(one, getattr(self, f"references_{place}"), self.neighbours) for place, one in enumerate(seen)
        ]
        return torch.stack(each, 1)


def log_dimension(points: Tensor, references: Tensor, neighbours: int) -> Tensor:
    """The log of the local intrinsic dimension ``[B]`` at points ``[B, D]``, by the nearest of references ``[N, D]``.

    ``-log(-mean(log(r_i / r_k)))`` with the k smallest distances (Amsaleg et al. 2015; Ma et al., eq. 4).
    """
    distances = torch.cdist(points, references, compute_mode="donot_use_mm_for_euclid_dist")
    logs = distances.topk(neighbours, dim=1, largest=False).values.clamp_min(1e-6).log()
    return -(logs[:, -1:] - logs).mean(1).clamp_min(1e-3).log()


def fooling(network: Network, images: Images) -> Images:
    """The images, each moved along the sign of the gradient until the network answers otherwise (Kurakin et al. 2017,
    arXiv:1607.02533), or for 64 steps of 2/255."""
    found, rows = images.clone(), torch.arange(len(images), device=images.device)
    labels = network.logits(images, plain=True).argmax(1)
    for _ in range(_STEPS):
        if not len(rows):
            break
        _, gradient = network.gradient(found[rows], Untargeted(labels[rows]).loss)
        found[rows] = (found[rows] + _STEP * gradient.sign()).clamp(0, 1)
        rows = rows[network.logits(found[rows], plain=True).argmax(1) == labels[rows]]
    return found


def like(images: Images, changed: Images) -> Images:
    """The images with noise as large as another change of theirs, in L2; drawn by the image alone."""
    noise = Rng(0, tuple(content_hashes(images))).normal("noise", images)
    size, wanted = (one.flatten(1).norm(dim=1).view(-1, 1, 1, 1) for one in (noise, changed - images))
    noisy: Images = (images + noise / size * wanted).clamp(0, 1)
    return noisy
