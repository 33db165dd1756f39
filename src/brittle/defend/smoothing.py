"""Randomised smoothing, the defence that proves something (Cohen et al. 2019, arXiv:1902.02918)."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor

from brittle.catalog import option
from brittle.defend.binomial import at_least, is_ahead
from brittle.defend.defence import register_defence
from brittle.errors import BrittleError
from brittle.models.around import Counting
from brittle.models.classifier import Classifier, Pullback, Settings, evenly_cut
from brittle.rng import Rng
from brittle.types import Images, Labels, Logits

_FIRST = 100  # votes that choose the class which is then certified (Cohen et al., section 4.1)
_AT_ONCE = 50  # votes of an image in one batch


class Certificate(NamedTuple):
    """Of each image the class, -1 where none could be told, and the L2 radius within which no change alters it."""

    prediction: Labels
    radius: Tensor


@register_defence(
    "smoothing", paper="arXiv:1902.02918", attacker="the log of the mean probability over draws", drawn=True
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Smoothing:
    """Answers by a vote under Gaussian noise, or not at all where the vote is close; and certifies an L2 radius.

    A network that was not trained on such noise is seldom sure of anything under it.
    """

    sd: float = option(0.25, "standard deviation of the noise, in pixels of [0, 1]", above=0)
    samples: int = option(100, "votes for an answer", at_least=2)
    certify: int = option(1000, "votes for a certificate; the largest radius grows with them", at_least=2)
    alpha: float = option(0.001, "chance that an answer, or a certificate, is wrong", above=0, below=1)
    draws: int = option(16, "draws of an attacker who knows of it", at_least=1)

    def __post_init__(self) -> None:
        unanimous = (("samples", is_ahead(self.samples, 0, self.alpha)), ("certify", self.share(self.certify) > 0.5))
        for name, enough in unanimous:
            if not enough:
                raise BrittleError(
                    f"expected more {name} for smoothing: even if all {getattr(self, name)} votes agree, they are too"
                    f" few for alpha={self.alpha:g}"
                )

    def share(self, count: int) -> float:
        """What share a class surely has that gets so many of the votes for a certificate."""
        return at_least(count, self.certify, self.alpha)

    def around(self, classifier: Classifier, seed: int) -> "Smoothed":
        return Smoothed(classifier, self, seed)


@final
class Smoothed(Counting):
    """The ``Classifier``. Plain logits are those of the vote, in logs of shares; the last class is: no answer.

    The votes' noise belongs to the image, as that of other defences does; an attacker has draws of their own, and sees
    the log of the mean probability over them (Salman et al. 2019, arXiv:1906.04584, eq. 3).
    """

    refusal = "no answer"

    def __init__(self, inner: Classifier, how: Smoothing, seed: int) -> None:
        if inner.reject is not None:
            raise BrittleError(f"expected a model without a reject class for smoothing, got {inner.name}")
        self.inner, self.how, self.seed = inner, how, seed

    def adjusted(self, said: Settings) -> "Smoothed":
        return Smoothed(self.inner.adjusted(said), self.how, self.seed)

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(f"{self.inner.fingerprint}\0{self.how}\0{self.seed}".encode()).hexdigest()

    def chunks(self, count: int) -> Iterator[slice]:
        return evenly_cut(count, max(1, self.inner.batch_size // self.how.draws))

    def logits(self, images: Images, *, plain: bool = False) -> Logits:
        self.forwards += len(images)
        if not len(images):
            return _with_reject(self.inner.logits(images, plain=plain))
        if plain:
            return self._answered(images)
        parts = [self._attacked(self.inner.logits(self._drawn(images[rows]))) for rows in self.chunks(len(images))]
        return torch.cat(parts)

    def linearize(self, images: Images) -> tuple[Logits, Pullback]:
        self.forwards += len(images)
        seen, inner = self.inner.linearize(self._drawn(images))
        with torch.inference_mode(False), torch.enable_grad():
            leaf = seen.detach().clone().requires_grad_()
            logits = self._attacked(leaf)

        def pullback(cotangents: Tensor, *, more: bool = False) -> Images:
            self._count_backwards(cotangents)
            (of_each,) = torch.autograd.grad((logits * cotangents).sum(), leaf, retain_graph=more)
            return inner(of_each, more=more).view(self.how.draws, *images.shape).sum(0)

        return logits.detach(), pullback

    def certificate(self, images: Images) -> Certificate:
        """Algorithm 2: the class by the first votes, its share by others, ``radius = sd * quantile(share)``.

        The whole of it is wrong for an image with a chance of at most alpha.
        """
        chosen = self._votes(images, "choose", _FIRST).argmax(1)
        votes = self._votes(images, "certify", self.how.certify).gather(1, chosen.unsqueeze(1)).squeeze(1)
        share = [self.how.share(int(count)) for count in votes.tolist()]
        sure = torch.tensor(share, dtype=torch.float64, device=images.device)
        told = sure > 0.5
        radius = torch.where(told, self.how.sd * torch.special.ndtri(sure.clamp(0.5, 1)), 0)
        return Certificate(torch.where(told, chosen, -1), radius)

    def _answered(self, images: Images) -> Logits:
        votes = self._votes(images, "answer", self.how.samples)
        first, second = votes.topk(2, dim=1).values.unbind(1)
        pairs = zip(first.tolist(), second.tolist(), strict=True)
        ahead = torch.tensor([is_ahead(int(a), int(b), self.how.alpha) for a, b in pairs], device=images.device)
        shares = ((votes + 0.5) / (self.how.samples + 1)).log()
        no_answer = torch.where(ahead, shares.amin(1) - 1, shares.amax(1) + 1)
        return torch.cat([shares, no_answer.unsqueeze(1)], 1)

    def _votes(self, images: Images, purpose: str, count: int) -> Tensor:
        """float ``[B, K]``: how many draws each class gets, of an image's own draws."""
        ids = tuple(hashlib.sha256(image.cpu().numpy().tobytes()).hexdigest() for image in images)
        votes = torch.zeros(len(images), 0, device=images.device)
        for start in range(0, count, _AT_ONCE):
            draws = range(start, min(start + _AT_ONCE, count))
            noisy = [self._noisy(images, Rng(self.seed, ids), f"{purpose} {k}") for k in draws]
            logits = self.inner.logits(torch.cat(noisy), plain=True)
            if not votes.shape[1]:
                votes = votes.new_zeros(len(images), logits.shape[1])
            winners = logits.argmax(1).view(len(draws), len(images))
            for each in winners:
                votes[torch.arange(len(images), device=images.device), each] += 1
        return votes

    def _drawn(self, images: Images) -> Images:
        rng = Rng(self.seed, ("every image",) * len(images))
        return torch.cat([self._noisy(images, rng, f"attack {k}") for k in range(self.how.draws)])

    def _noisy(self, images: Images, rng: Rng, purpose: str) -> Images:
        return images + self.how.sd * rng.normal(purpose, images)

    def _attacked(self, logits: Logits) -> Logits:
        each = logits.view(self.how.draws, -1, logits.shape[1]).log_softmax(2)
        return _with_reject(each.logsumexp(0))


def _with_reject(logits: Logits) -> Logits:
    """With a last class that an attacker never sees win."""
    least = logits.detach().amin(1, keepdim=True) if logits.shape[1] else logits.new_zeros(len(logits), 1)
    return torch.cat([logits, least - 1], 1)
