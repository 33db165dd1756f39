"""Goals: what an attack is for. They replace every ``targeted`` flag and every sign flip."""

from dataclasses import dataclass
from typing import Protocol, TypeVar, final

import torch
from torch import Tensor

from brittle.types import Labels, Logits

G = TypeVar("G", bound="Goal")

_ULPS = 2  # of the largest logit: two logits rounded by two paths can be this far from each other's difference


@final
@dataclass(frozen=True, slots=True)
class Rounding:
    """What rounding can make of a difference of two logits: ``share`` of their spread, and a few units in last place.

    The spread is that of the logits around their mean, as a common offset says nothing; but what it costs in precision
    is real. share: 1e-5 is what float32 does in a deep network; ``Classifier.settled`` knows that of a network. ``[B]``
    where it is each image's own, as of answers that are drawn.
    eps: of the coarsest type that the network computes in. least: ``[B]``, the spread that is assumed at the least,
    for which that of the original image is good: between two classes the spread vanishes on the boundary, but what is
    rounded inside the network does not. By default 1.
    """

    share: float | Tensor = 1e-5
    eps: float = torch.finfo(torch.float32).eps
    least: Tensor | None = None

    def of(self, logits: Logits) -> Tensor:
        """float ``[B]``, in logits."""
        spread = spread_of(logits)
        spread = spread.clamp_min(1) if self.least is None else spread.maximum(self.least)
        return torch.maximum(self.share * spread, _ULPS * self.eps * logits.abs().amax(1))

    def __getitem__(self, rows: Tensor | slice) -> "Rounding":
        share = self.share[rows] if isinstance(self.share, Tensor) else self.share
        return Rounding(share, self.eps, None if self.least is None else self.least[rows])


FLOAT32 = Rounding()


def spread_of(logits: Logits) -> Tensor:
    """float ``[B]``: the largest distance of a logit from their mean; no common offset changes it."""
    return (logits - logits.mean(1, keepdim=True)).abs().amax(1)


class Goal(Protocol):
    """What a perturbed example must achieve. ``goal[rows]`` is the same goal for a subset of the batch."""

    @property
    def labels(self) -> Labels:
        """The class to leave (untargeted) or to reach (targeted), ``[B]``."""

    def is_met(self, logits: Logits) -> Tensor:
        """bool ``[B]``: reached, on finite logits; a NaN never counts as success."""

    def is_surely_met(self, logits: Logits) -> Tensor:
        """bool ``[B]``: met by more than rounding, so that another path, batch or machine will agree."""

    def tolerance(self, logits: Logits) -> Tensor:
        """float ``[B]``: what rounding can make of a margin; a step that aims at less may end nowhere."""

    def own(self, logits: Logits) -> Labels:
        """int64 ``[B]``: untargeted the class that is to be left; targeted the one that is to be reached."""

    def others(self, logits: Logits) -> Logits:
        """The logits ``[B, K]`` of the classes on the other side of the boundary; -inf for all that are not."""

    def margin(self, logits: Logits) -> Tensor:
        """float ``[B]``: logit distance still to go, positive until met."""

    def loss(self, logits: Logits) -> Tensor:
        """float ``[B]``: what a gradient attack ascends; the direction of cross-entropy, without its saturation."""

    def towards(self, logits: Logits, rivals: Labels) -> tuple[Tensor, Tensor]:
        """One class for each row, int64 ``[B]``, of those that ``others`` leaves: the gap to it, the margin if it were
        the only one, float ``[B]``; and the cotangents ``[B, K]`` along which that gap falls."""

    def __getitem__(self: G, rows: Tensor | slice) -> G: ...

    def __len__(self) -> int: ...


def _at(logits: Logits, labels: Labels) -> Tensor:
    return logits.gather(1, labels.unsqueeze(1)).squeeze(1)


def _gap(logits: Logits, down: Labels, up: Labels) -> tuple[Tensor, Tensor]:
    """``logits[down] - logits[up]``, and the cotangents of its negative."""
    cotangents = torch.zeros_like(logits).scatter_(1, up.unsqueeze(1), 1.0).scatter_(1, down.unsqueeze(1), -1.0)
    return _at(logits, down) - _at(logits, up), cotangents


def _without(logits: Logits, labels: Labels) -> Logits:
    return logits.scatter(1, labels.unsqueeze(1), -torch.inf)


@final
@dataclass(frozen=True, slots=True)
class Untargeted:
    """Any class but ``labels`` (int64 ``[B]``), and but ``reject``, the class by which a network refuses to answer.

    rounding: what success has to exceed; an attack's caller sets it, see ``Classifier.settled``.
    """

    labels: Labels
    reject: int | None = None
    rounding: Rounding = FLOAT32

    def is_met(self, logits: Logits) -> Tensor:
        reached = logits.argmax(1)
        left = reached != self.labels
        if self.reject is not None:
            left &= reached != self.reject
        return left & logits.isfinite().all(1)

    def is_surely_met(self, logits: Logits) -> Tensor:
        return (self.margin(logits) < -self.tolerance(logits)) & logits.isfinite().all(1)

    def tolerance(self, logits: Logits) -> Tensor:
        return self.rounding.of(logits)

    def own(self, logits: Logits) -> Labels:
        """The label; or the reject class, where its logit is the larger one."""
        if self.reject is None:
            return self.labels
        return torch.where(logits[:, self.reject] > _at(logits, self.labels), self.reject, self.labels)

    def others(self, logits: Logits) -> Logits:
        others = _without(logits, self.labels)
        if self.reject is not None:
            others[:, self.reject] = -torch.inf
        return others

    def margin(self, logits: Logits) -> Tensor:
        return _at(logits, self.own(logits)) - self.others(logits).amax(1)

    def loss(self, logits: Logits) -> Tensor:
        """``log((1 - p) / p)`` of the label (and the reject class), exact where ``1 - p`` would round to 0.

        It is a monotone function of the cross-entropy, so its gradient has the same direction, but it does not vanish
        when the classifier is so confident that float32 rounds ``p`` to 1 (a common cause of attacks that silently
        fail).
        """
        kept = _at(logits, self.labels)
        if self.reject is not None:  # where the label is the reject class, it counts once
            rejected = logits[:, self.reject].masked_fill(self.labels == self.reject, -torch.inf)
            kept = torch.logaddexp(kept, rejected)
        return torch.logsumexp(self.others(logits), dim=1) - kept

    def towards(self, logits: Logits, rivals: Labels) -> tuple[Tensor, Tensor]:
        return _gap(logits, down=self.own(logits), up=rivals)

    def __getitem__(self, rows: Tensor | slice) -> "Untargeted":
        return Untargeted(self.labels[rows], self.reject, self.rounding[rows])

    def __len__(self) -> int:
        return len(self.labels)


@final
@dataclass(frozen=True, slots=True)
class Targeted:
    """Exactly the class ``labels`` (int64 ``[B]``). rounding: as for ``Untargeted``."""

    labels: Labels
    rounding: Rounding = FLOAT32

    def is_met(self, logits: Logits) -> Tensor:
        return (logits.argmax(1) == self.labels) & logits.isfinite().all(1)

    def is_surely_met(self, logits: Logits) -> Tensor:
        return (self.margin(logits) < -self.tolerance(logits)) & logits.isfinite().all(1)

    def tolerance(self, logits: Logits) -> Tensor:
        return self.rounding.of(logits)

    def own(self, logits: Logits) -> Labels:
        return self.labels

    def others(self, logits: Logits) -> Logits:
        return _without(logits, self.labels)

    def margin(self, logits: Logits) -> Tensor:
        return self.others(logits).amax(1) - _at(logits, self.labels)

    def loss(self, logits: Logits) -> Tensor:
        """``log(p / (1 - p))`` of the target; see ``Untargeted.loss``."""
        return _at(logits, self.labels) - torch.logsumexp(self.others(logits), dim=1)

    def towards(self, logits: Logits, rivals: Labels) -> tuple[Tensor, Tensor]:
        return _gap(logits, down=rivals, up=self.labels)

    def __getitem__(self, rows: Tensor | slice) -> "Targeted":
        return Targeted(self.labels[rows], self.rounding[rows])

    def __len__(self) -> int:
        return len(self.labels)
