"""Networks of dense sigmoid layers, and classifiers on a code: those of Szegedy et al. 2014 (arXiv:1312.6199)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import final

from torch import nn

from brittle.types import Images, Logits


@final
class MLP(nn.Module):
    """Dense layers with a sigmoid behind each but the last; without hidden ones a softmax classifier.

    Images ``[B, C, H, W]`` of ``pixels`` values each -> logits ``[B, classes]``.
    """

    def __init__(self, pixels: int, hidden: Sequence[int], classes: int = 10) -> None:
        super().__init__()
        self.layers = dense(pixels, *hidden, classes)

    def forward(self, images: Images) -> Logits:
        """Logits ``[B, classes]``."""
        logits: Logits = self.layers(images.flatten(1))
        return logits


@final
class Maxout(nn.Module):
    """Dense layers of which each unit is the largest of several linear ones (Goodfellow et al. 2013, arXiv:1302.4389).

    Images ``[B, C, H, W]`` of ``pixels`` values each -> logits ``[B, classes]``.
    """

    def __init__(self, pixels: int, hidden: Sequence[int], pieces: int, classes: int = 10) -> None:
        super().__init__()
        self.pieces = pieces
        sizes = (pixels, *hidden)
        self.hidden = nn.ModuleList([nn.Linear(one, pieces * other) for one, other in pairwise(sizes)])
        self.last = nn.Linear(sizes[-1], classes)

    def forward(self, images: Images) -> Logits:
        """Logits ``[B, classes]``."""
        seen = images.flatten(1)
        for layer in self.hidden:
            seen = layer(seen).unflatten(1, (-1, self.pieces)).amax(2)
        logits: Logits = self.last(seen)
        return logits


@final
class CodeClassifier(nn.Module):
    """A classifier of codes: an encoder, which can be trained without labels, and a head.

    Images ``[B, C, H, W]`` of ``pixels`` values each -> logits ``[B, classes]``. encoder: sizes of its layers, of which
    the last is the code; sigmoid: whether one is behind the code, too, as it is for bits and not for a Gaussian's mean.
    head: sizes of the hidden layers between code and classes.
    """

    def __init__(
        self, pixels: int, encoder: Sequence[int], *, sigmoid: bool, head: Sequence[int] = (), classes: int = 10
    ) -> None:
        super().__init__()
        self.pixels, self.code = pixels, encoder[-1]
        self.encoder = dense(pixels, *encoder)
        if sigmoid:
            self.encoder.append(nn.Sigmoid())
        self.head = dense(self.code, *head, classes)

    def forward(self, images: Images) -> Logits:
        """Logits ``[B, classes]``."""
        logits: Logits = self.head(self.encoder(images.flatten(1)))
        return logits


def dense(*sizes: int) -> nn.Sequential:
    """Linear layers of these sizes with sigmoids between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Sigmoid()] * bool(layers) + [nn.Linear(inputs, outputs)]
    return nn.Sequential(*layers)
