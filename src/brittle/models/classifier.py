"""The one door to a classifier: pixels in [0, 1] go in, logits come out, and every pass is counted."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeGuard, final

import torch
from torch import Tensor

from brittle.data.fit import Fit
from brittle.errors import BrittleError
from brittle.goals import Rounding
from brittle.types import Access, Images, Logits, Precision

Score: TypeAlias = Callable[[Logits], Tensor]
"""Logits ``[B, K]`` -> float ``[B]``, a number for each row, of that row alone: ``goal.loss``, one class's logit.

It is given as many rows as there are images, whatever number of them goes through the network at once.
"""


class Pullback(Protocol):
    """Cotangents on the logits ``[B, K]`` -> gradient of ``sum(cotangents * logits)`` in the images, ``[B, C, H, W]``.

    more: another question will follow. Without, the graph is freed on the way, which is faster by a twentieth.
    """

    def __call__(self, cotangents: Tensor, *, more: bool = False) -> Images: ...


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What may be said of a classifier from outside; None leaves a setting as it is. All as for ``Network``."""

    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    class_names: Sequence[str] | None = None
    device: str | torch.device | None = None
    batch_size: int | None = None
    precision: Precision | None = None
    steady: bool | None = None
    name: str | None = None
    reject: str | int | None = None

    def over(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """A classifier's own settings, by name, with what is said of them in their place; mean and std go together."""
        said = {name: getattr(self, name) for name in own if getattr(self, name, None) is not None}
        if "mean" in said or "std" in said:
            said |= {"mean": self.mean, "std": self.std}
        return {**own, **said}


class Classifier(Protocol):
    """What attacks, checks and runs may ask; ``Network``, ``BlackBox``, ``Fronted`` and ``Averaged`` are ones.

    Nobody looks behind it: what a network, a fitted estimator, a file or an average of passes is, only its own class
    knows. Images are ``[B, C, H, W]`` in [0, 1] on its device, logits float32 ``[B, K]``.
    """

    @property
    def name(self) -> str:
        """What reports call it."""

    @property
    def access(self) -> Access:
        """The most that an attack may ask it for; a "decision" is a one-hot row of logits."""

    @property
    def device(self) -> torch.device: ...

    @property
    def batch_size(self) -> int:
        """The most rows for one pass."""

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """By index; None where classes have no names."""

    @property
    def num_classes(self) -> int:
        """K; BrittleError where it is known only after the first pass."""

    @property
    def reject(self) -> int | None:
        """The class with which it refuses to answer."""

    @property
    def fit(self) -> Fit | None:
        """The image size that it wants, and how to get there; None: any, or not known."""

    @property
    def channels(self) -> int | None:
        """Of the images that it takes, where that can be known without a pass."""

    @property
    def unit(self) -> float:
        """The relative rounding of the type that it computes in, as far as its weights tell."""

    @property
    def precision(self) -> Precision:
        """What its answers are made of, but for plain ones, which are float32 all through."""

    @property
    def fingerprint(self) -> str:
        """sha256 hex over all that makes its function: equal function, equal fingerprint, in any process."""

    @property
    def forwards(self) -> int:
        """Examples that have been passed through."""

    @property
    def backwards(self) -> int:
        """Examples that gradients have been taken of."""

    def logits(self, images: Images, *, plain: bool = False) -> Logits:
        """Logits without a graph, ``batch_size`` rows at a time. plain: by no shortcut; what graders ask."""

    def settled(self, images: Images, logits: Logits) -> AbstractContextManager[Rounding]:
        """For the time of one attack on images whose logits are at hand: how finely logits can be told apart, and no
        more looking for changes."""

    def gradient(self, images: Images, score: Score) -> tuple[Logits, Images]:
        """Logits, and the gradient of each row's score in that row's image, ``batch_size`` rows at a time."""

    def linearize(self, images: Images) -> tuple[Logits, Pullback]:
        """Logits of one batch and the pull-back that differentiates any combination of them, as often as needed.

        One forward pass; each call of the pull-back is one backward pass for the rows whose cotangents are not all
        zero. Memory is that of one pass over all rows: callers keep to ``batch_size`` rows. Raises Unsupported where
        ``access`` is not "gradient".
        """

    def chunks(self, count: int) -> Iterator[slice]:
        """Slices that cover ``count`` rows, as few as ``batch_size`` allows and of equal size, as nearly as can be."""

    def adjusted(self, said: Settings) -> "Classifier":
        """The same function, weights shared, with other settings and its own counts."""


def in_float32(classifier: Classifier) -> Classifier:
    """The same function, whose every answer is made of float32."""
    return classifier if classifier.precision == "fp32" else classifier.adjusted(Settings(precision="fp32"))


_ASKED = ("logits", "settled", "gradient", "linearize", "chunks", "adjusted")


def is_classifier(thing: object) -> TypeGuard[Classifier]:
    """Whether it can be asked like one. Properties are not read: a fingerprint takes a second."""
    return not isinstance(thing, type) and all(callable(getattr(type(thing), name, None)) for name in _ASKED)


def checked_classifier(thing: object) -> Classifier:
    """The thing itself; BrittleError, with the way to make one, where it is no classifier."""
    if not is_classifier(thing):
        raise BrittleError(
            f"expected a classifier, got {type(thing).__name__}; wrap it: brittle.Network(net, ...), or"
            " brittle.BlackBox(estimator)"
        )
    return thing


def evenly_cut(count: int, most: int) -> Iterator[slice]:
    """``Classifier.chunks`` for ``batch_size=most``."""
    parts = -(-count // most)
    for part in range(parts):
        yield slice(count * part // parts, count * (part + 1) // parts)


def asked_about(cotangents: Tensor) -> Tensor:
    """int64 ``[B]``: 1 for each row whose cotangents are not all zero, for which a backward pass is counted; else 0."""
    return (cotangents != 0).any(1).long()


def gradient_by_chunks(
    linearize: Callable[[Images], tuple[Logits, Pullback]], chunks: Iterable[slice], images: Images, score: Score
) -> tuple[Logits, Images]:
    """``Classifier.gradient`` by its ``linearize`` and ``chunks``, of one image at least."""
    logits, gradients = [], []
    for rows in chunks:
        part, pullback = linearize(images[rows])
        gradients.append(pullback(_cotangents(score, part, rows, len(images))))
        logits.append(part)
    return torch.cat(logits), torch.cat(gradients)


def _cotangents(score: Score, part: Logits, rows: slice, count: int) -> Tensor:
    """The derivative of the score in some of the rows' logits; the others are zeros meanwhile."""
    with torch.inference_mode(False), torch.enable_grad():
        leaf = part.clone().requires_grad_()
        whole = leaf if len(part) == count else torch.cat(_around(leaf, rows, count))
        (cotangents,) = torch.autograd.grad(score(whole)[rows].sum(), leaf)
    return cotangents


def _around(part: Logits, rows: slice, count: int) -> tuple[Tensor, Tensor, Tensor]:
    classes = part.shape[1]
    return part.new_zeros(rows.start, classes), part, part.new_zeros(count - rows.stop, classes)
