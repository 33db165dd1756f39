"""A classifier that answers by the mean over several views of an image: crops of it, or random draws."""

import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias, final

import torch
from torch import Tensor

from brittle.goals import Rounding, spread_of
from brittle.models.around import Counting
from brittle.models.classifier import Classifier, Pullback, Settings, evenly_cut
from brittle.models.digest import digest_of
from brittle.rng import Rng
from brittle.types import Images, Logits

DrawnStep: TypeAlias = Callable[[Images, Rng], Images]
"""Images and a stream for each -> as many images of one size, each of its own image and stream alone."""


class Views(Protocol):
    """What is shown to a classifier in place of an image. Views have one size, and may be differentiated."""

    @property
    def count(self) -> int:
        """How many an attacker sees."""

    def answered(self, images: Images) -> list[Images]:
        """Those by which the defence answers."""

    def attacked(self, images: Images) -> list[Images]:
        """Those that an attacker takes the mean over."""

    @property
    def drawn(self) -> int:
        """How many an answer is the mean over, where these are not those that an attacker sees; 0 where they are."""


@final
@dataclass(frozen=True, slots=True)
class Draws:
    """Random views.

    The defence's own belong to the image: a function of the seed and of its content. So it answers the same whenever it
    is asked, and an attacker cannot know of the image it is about to make how it will be drawn. Attackers have draws of
    their own, the same for every image and every question, so that their mean is one function that can be walked on
    (Athalye et al. 2018, arXiv:1707.07397).

    samples: by which the defence answers. draws: of the attacker.
    """

    step: DrawnStep
    samples: int
    draws: int
    seed: int

    @property
    def count(self) -> int:
        return self.draws

    @property
    def drawn(self) -> int:
        return self.samples

    def answered(self, images: Images) -> list[Images]:
        ids = tuple(hashlib.sha256(image.detach().cpu().numpy().tobytes()).hexdigest() for image in images)
        return [self.step(images, Rng(self.seed, ids).another(f"answer {k}")) for k in range(self.samples)]

    def attacked(self, images: Images) -> list[Images]:
        ids = ("every image",) * len(images)
        return [self.step(images, Rng(self.seed, ids).another(f"attack {k}")) for k in range(self.draws)]


@final
class Viewed(Counting):
    """A ``Classifier`` whose logits are the mean over views of an image: plain ones over those by which it answers.

    ``forwards`` and ``backwards`` count what it is asked; the inner classifier counts each view.
    """

    def __init__(self, inner: Classifier, views: Views) -> None:
        self.inner, self.views = inner, views

    def adjusted(self, said: Settings) -> "Viewed":
        return Viewed(self.inner.adjusted(said), self.views)

    @property
    def channels(self) -> None:
        """A view may change them."""

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.inner.fingerprint.encode() + digest_of(self.views)).hexdigest()

    def chunks(self, count: int) -> Iterator[slice]:
        """So many that all their views are one batch."""
        return evenly_cut(count, max(1, self.inner.batch_size // self.views.count))

    @contextmanager
    def settled(self, images: Images, logits: Logits) -> Iterator[Rounding]:
        """Where an answer has draws of its own, success has to exceed what these differ by, too: on the boundary of the
        mean every second answer would be right."""
        chunks = list(self.chunks(len(images)))
        with torch.no_grad():
            seen = [self.views.attacked(images[rows])[0] for rows in chunks]
        with self.inner.settled(torch.cat(seen) if seen else images, logits) as rounding:
            if self.views.drawn and seen:
                apart = torch.cat([self._apart(images[rows]) for rows in chunks])
                least = torch.as_tensor(rounding.share, dtype=apart.dtype, device=apart.device)
                rounding = replace(rounding, share=apart.maximum(least))
            yield rounding

    def _apart(self, images: Images) -> Tensor:
        """The standard deviation of an answer's gaps to the likeliest class, of that which differs most, as a share of
        how far its logits are spread, ``[B]``."""
        with torch.no_grad():
            each = self.inner.logits(torch.cat(self.views.attacked(images)))
        each = each.view(-1, len(images), each.shape[1])
        mean = each.mean(0)
        gaps = each - each.gather(2, mean.argmax(1).expand(len(each), -1).unsqueeze(2))
        deviation = gaps.std(0, correction=0).amax(1) / math.sqrt(self.views.drawn)
        return deviation / spread_of(mean).clamp_min(torch.finfo(each.dtype).tiny)

    def logits(self, images: Images, *, plain: bool = False) -> Logits:
        self.forwards += len(images)
        views = self.views.answered if plain else self.views.attacked
        with torch.no_grad():
            parts = [
                self._mean(self.inner.logits(torch.cat(views(images[rows])), plain=plain), rows)
                for rows in self.chunks(len(images))
            ]
        return torch.cat(parts) if parts else self.inner.logits(images, plain=plain)

    def linearize(self, images: Images) -> tuple[Logits, Pullback]:
        self.forwards += len(images)
        with torch.inference_mode(False), torch.enable_grad():
            leaf = (images.clone() if images.is_inference() else images.detach()).requires_grad_()
            seen = torch.cat(self.views.attacked(leaf))
        logits, inner = self.inner.linearize(seen.detach())
        views = len(seen) // len(images)

        def pullback(cotangents: Tensor, *, more: bool = False) -> Images:
            self._count_backwards(cotangents)
            pulled = inner(cotangents.repeat(views, 1) / views, more=more)
            (gradient,) = torch.autograd.grad(seen, leaf, pulled, retain_graph=more, allow_unused=True)
            return torch.zeros_like(images) if gradient is None else gradient.contiguous()

        return self._mean(logits, slice(0, len(images))), pullback

    def _mean(self, logits: Logits, rows: slice) -> Logits:
        return logits.view(-1, rows.stop - rows.start, logits.shape[1]).mean(0)
