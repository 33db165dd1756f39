"""Fronts: steps before a classifier, from images to images, each with a gradient to attack it by."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, final

import torch
from torch import Tensor, nn

from brittle.errors import BrittleError
from brittle.goals import Rounding
from brittle.models.around import Passing
from brittle.models.classifier import Classifier, Pullback, Settings
from brittle.models.digest import digest_of
from brittle.models.modes import evaluating
from brittle.models.precision import exact
from brittle.models.stairs import Stairs, unrounded
from brittle.types import Images, Logits

Step: TypeAlias = Callable[[Images], Images]
"""Images ``[B, C, H, W]`` -> as many images, each of its own image alone; their size may change."""

_HALVINGS = 24  # of a change of at most 1, to the last place of float32


@final
@dataclass(frozen=True, slots=True)
class Front:
    """A step before a classifier: what a photograph goes through, or a defence.

    step: what is done to the images, exactly. gradient: what an attack differentiates in its place. "own": the step
    itself. "straight-through": nothing, as if it were the identity, for steps that round or encode at the same size.
    Or a step that can be differentiated and comes near: forwards is exact, backwards is the approximation's (Athalye et
    al. 2018, arXiv:1802.00420, backward pass differentiable approximation, section 4.1). rounds: each value by itself,
    to some level, and higher values to none that is lower; what a change does within a level is then taken back.
    """

    step: Step
    gradient: Literal["own", "straight-through"] | Step = "own"
    rounds: bool = False

    def __post_init__(self) -> None:
        if not callable(self.step):
            raise BrittleError(f"expected a step from images to images, got {type(self.step).__name__}")
        if not callable(self.gradient) and self.gradient not in ("own", "straight-through"):
            raise BrittleError(
                f'expected the gradient "own", "straight-through" or a step that approximates, got {self.gradient!r}'
            )

    @property
    def from_afar(self) -> "Front":
        """The same step; where it rounds, with the slope that it has over many levels."""
        if not isinstance(self.gradient, Stairs):
            return self
        return replace(self, gradient=replace(self.gradient, soft=unrounded))

    def __call__(self, images: Images) -> Images:
        """The step; where a graph is being made, with the gradient that was chosen."""
        if self.gradient == "own":
            return self.step(images)
        smooth = self.gradient(images) if callable(self.gradient) else images
        with torch.no_grad():
            exact = self.step(images.detach())
        if exact.shape != smooth.shape:
            told = "its approximation" if callable(self.gradient) else "straight-through"
            raise BrittleError(
                f"expected a step that gives images {tuple(smooth.shape)[1:]}, as {told} does, got"
                f" {tuple(exact.shape)[1:]}; give it a gradient of its own"
            )
        return smooth + (exact - smooth.detach())


@final
class Fronted(Passing):
    """A ``Classifier`` behind fronts: images go through them in order, and then to another classifier.

    That one stays as it is, with its batches, its counts and its fast path.
    """

    def __init__(self, inner: Classifier, *fronts: Front) -> None:
        wrong = [one for one in fronts if not isinstance(one, Front)]
        if wrong:
            raise BrittleError(f"expected brittle.Front(step), got {type(wrong[0]).__name__}")
        self.inner, self.fronts = inner, fronts
        for step in self._modules():
            step.to(inner.device)

    def adjusted(self, said: Settings) -> "Fronted":
        return Fronted(self.inner.adjusted(said), *self.fronts)

    @property
    def channels(self) -> None:
        """A front may change them."""

    @property
    def fingerprint(self) -> str:
        digest = hashlib.sha256(self.inner.fingerprint.encode())
        for front in self.fronts:
            digest.update(digest_of((front.step, front.gradient)))
        return digest.hexdigest()

    def logits(self, images: Images, *, plain: bool = False) -> Logits:
        with torch.no_grad(), exact() if plain else nullcontext():
            parts = [self.inner.logits(self._through(images[rows]), plain=plain) for rows in self.chunks(len(images))]
        return torch.cat(parts) if parts else self.inner.logits(images, plain=plain)

    def settled(self, images: Images, logits: Logits) -> AbstractContextManager[Rounding]:
        with torch.no_grad():
            parts = [self._through(images[rows]) for rows in self.chunks(len(images))]
        return self.inner.settled(torch.cat(parts) if parts else images, logits)

    def linearize(self, images: Images) -> tuple[Logits, Pullback]:
        with torch.inference_mode(False), torch.enable_grad():
            leaf = (images.clone() if images.is_inference() else images.detach()).requires_grad_()
            seen = self._through(leaf)
        logits, inner = self.inner.linearize(seen.detach())

        def pullback(cotangents: Tensor, *, more: bool = False) -> Images:
            pulled = inner(cotangents, more=more)
            if not seen.requires_grad:
                return torch.zeros_like(images)
            (gradient,) = torch.autograd.grad(seen, leaf, pulled, retain_graph=more, allow_unused=True)
            return torch.zeros_like(images) if gradient is None else gradient.contiguous()

        return logits, pullback

    def _through(self, images: Images) -> Images:
        with ExitStack() as stack:
            for module in self._modules():
                stack.enter_context(evaluating(module))
            for front in self.fronts:
                images = front(images)
        return images

    def _modules(self) -> Iterator[nn.Module]:
        for front in self.fronts:
            yield from (one for one in (front.step, front.gradient) if isinstance(one, nn.Module))


@final
@dataclass(frozen=True, slots=True)
class Rounded:
    """A classifier taken apart behind a front that rounds: the front, its stairs, and the classifier behind it."""

    front: Front
    stairs: Stairs
    behind: Classifier


def taken_apart(classifier: Classifier) -> Rounded | None:
    """None where what an image meets first does not round, or nobody may ask for gradients."""
    if not isinstance(classifier, Fronted) or classifier.access != "gradient":
        return None
    first, *others = classifier.fronts
    if not isinstance(first.gradient, Stairs):
        return None
    return Rounded(first, first.gradient, Fronted(classifier.inner, *others) if others else classifier.inner)


def from_afar(classifier: Classifier) -> Classifier:
    """The same, for attacks whose steps go all the way to a boundary: what rounds has the slope that it has over many
    levels, and not that near its jumps. What it answers is the same."""
    if not isinstance(classifier, Fronted):
        return classifier
    return Fronted(from_afar(classifier.inner), *(front.from_afar for front in classifier.fronts))


def taken_back(classifier: Classifier, images: Images, changed: Images) -> Images:
    """Behind a first front that rounds each value by itself, what is as near to images as it cannot tell from what they
    were changed to; elsewhere that itself."""
    if not isinstance(classifier, Fronted) or not classifier.fronts or not classifier.fronts[0].rounds:
        return changed
    with torch.no_grad():
        return _within_levels(classifier.fronts[0].step, images, changed)


def _within_levels(step: Step, images: Images, changed: Images) -> Images:
    """By halving the way of each value that is not needed."""
    level, change = step(changed), changed - images
    least, most = torch.zeros_like(images), torch.ones_like(images)
    for _ in range(_HALVINGS):
        middle = (least + most) / 2
        enough = step(images + middle * change) == level
        least, most = torch.where(enough, least, middle), torch.where(enough, middle, most)
    there = step(images) == level
    near = torch.where(there, images, images + most * change)
    return torch.where(step(near) == level, near, changed)
