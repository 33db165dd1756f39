"""Images whose answer changes when they are squeezed are rejected (Xu et al. 2018, arXiv:1704.01155)."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, final

import torch
from torch import Tensor

from brittle.catalog import label_of, option
from brittle.data.examples import Examples
from brittle.defend.bit_depth import BitDepth
from brittle.defend.defence import DEFENCES, register_defence
from brittle.defend.median import Median
from brittle.defend.rejecting import FPR, IMAGES, Bar, rejecting
from brittle.errors import BrittleError
from brittle.models.around import Counting
from brittle.models.classifier import Classifier, Pullback, Settings, evenly_cut
from brittle.models.front import Front
from brittle.types import Images, Logits


class Squeezer(Protocol):
    """A defence that is a function of the image alone."""

    def step(self, images: Images) -> Images: ...


@register_defence(
    "feature-squeezing",
    paper="arXiv:1704.01155",
    attacker="the gradient of answer and score together, through soft roundings",
    backward="approximation",
    fitted=True,
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureSqueezing:
    """Rejects images of which a squeezed copy gets other probabilities.

    The score is the largest L1 distance between the probabilities of an image and of its squeezed copies. For MNIST the
    paper squeezes by ``bit-depth(bits=1)+median(size=2)``, for CIFAR-10 by
    ``bit-depth(bits=5)+median(size=2)+non-local-means``.
    """

    squeezers: tuple[Squeezer, ...] = option(
        (BitDepth(bits=5), Median(size=2)), "what squeezes: defences that change the image alone", of=DEFENCES
    )
    fpr: float = option(0.05, FPR, above=0, below=1)
    images: int = option(1000, IMAGES, at_least=2)

    def __post_init__(self) -> None:
        for one in self.squeezers:
            if not hasattr(one, "step") or DEFENCES.entry_of(one).drawn:
                raise BrittleError(f"expected squeezers that change the image alone, got {label_of(one)}")

    def fitted(self, classifier: Classifier, clean: Examples) -> "Squeezed":
        images = clean.images(0, self.images).to(classifier.device)
        bare = Squeezed(classifier, self, Bar(0.0, 1.0), clean.fingerprint)
        beyond = torch.cat([bare.score(images[rows], plain=True) for rows in bare.chunks(len(images))])
        return Squeezed(classifier, self, Bar.of(beyond, self.fpr, "feature-squeezing"), clean.fingerprint)


@final
class Squeezed(Counting):
    """The ``Classifier``; the last class is: rejected. fitted_on: the fingerprint of what the bar comes from."""

    refusal = "rejected"

    def __init__(self, inner: Classifier, how: FeatureSqueezing, bar: Bar, fitted_on: str) -> None:
        if inner.reject is not None:
            raise BrittleError(f"expected a model without a reject class for feature-squeezing, got {inner.name}")
        self.inner, self.how, self.bar, self.fitted_on = inner, how, bar, fitted_on
        self.fronts = [Front(one.step, getattr(one, "soft", "own")) for one in how.squeezers]

    def adjusted(self, said: Settings) -> "Squeezed":
        return Squeezed(self.inner.adjusted(said), self.how, self.bar, self.fitted_on)

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(f"{self.inner.fingerprint}\0{self.how}\0{self.fitted_on}".encode()).hexdigest()

    def chunks(self, count: int) -> Iterator[slice]:
        return evenly_cut(count, max(1, self.inner.batch_size // (1 + len(self.fronts))))

    def score(self, images: Images, *, plain: bool = False) -> Tensor:
        """``[B]``: see ``apart``."""
        with torch.no_grad():
            return apart(self._each(self.inner.logits(self._seen(images), plain=plain)))

    def logits(self, images: Images, *, plain: bool = False) -> Logits:
        self.forwards += len(images)
        if not len(images):
            return images.new_zeros(0, self.num_classes)
        with torch.no_grad():
            parts = [
                self._answered(self.inner.logits(self._seen(images[rows]), plain=plain))
                for rows in self.chunks(len(images))
            ]
        return torch.cat(parts)

    def linearize(self, images: Images) -> tuple[Logits, Pullback]:
        self.forwards += len(images)
        with torch.inference_mode(False), torch.enable_grad():
            leaf = (images.clone() if images.is_inference() else images.detach()).requires_grad_()
            seen = self._seen(leaf)
        of_all, inner = self.inner.linearize(seen.detach())
        with torch.inference_mode(False), torch.enable_grad():
            answers = of_all.detach().clone().requires_grad_()
            logits = self._answered(answers)

        def pullback(cotangents: Tensor, *, more: bool = False) -> Images:
            self._count_backwards(cotangents)
            (of_each,) = torch.autograd.grad((logits * cotangents).sum(), answers, retain_graph=more)
            (gradient,) = torch.autograd.grad(seen, leaf, inner(of_each, more=more), retain_graph=more)
            return gradient.contiguous()

        return logits.detach(), pullback

    def _seen(self, images: Images) -> Images:
        return torch.cat([images, *(front(images) for front in self.fronts)])

    def _each(self, logits: Logits) -> Tensor:
        return logits.view(1 + len(self.fronts), -1, logits.shape[1])

    def _answered(self, logits: Logits) -> Logits:
        each = self._each(logits)
        return rejecting(each[0], self.bar.beyond(apart(each)))


def apart(each: Tensor) -> Tensor:
    """``[B]`` of logits ``[1 + S, B, K]``: the log-odds of half the largest L1 distance between the first probabilities
    and the others.

    In the order of that distance, so that the same images are rejected; but where probabilities are 1 in float32, as an
    attack makes them, the distance has no slope left, and its log-odds still have.
    """
    log = each.log_softmax(2)
    first, others = log[:1], log[1:]
    more, less = torch.maximum(first, others), torch.minimum(first, others)
    share = less.logsumexp(2)  # what both have in common: 1 - half the distance
    gap = (more - less).clamp_min(1e-7)  # or its log has no slope
    distance = (more + torch.log(-torch.expm1(-gap))).logsumexp(2) - torch.log(torch.tensor(2.0))
    return (distance - share).amax(0)
