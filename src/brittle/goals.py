"""Goals: what an attack is for. They replace every ``targeted`` flag and every sign flip."""

from dataclasses import dataclass
from typing import Protocol, TypeVar, final

import torch
from torch import Tensor

from brittle.types import Labels, Logits

G = TypeVar("G", bound="Goal")

_ROUNDING = 1e-5


class Goal(Protocol):
    """What a perturbed example must achieve. ``goal[rows]`` is the same goal for a subset of the batch."""

    @property
    def labels(self) -> Labels:
        """The class to leave (untargeted) or to reach (targeted), ``[B]``."""

    def is_met(self, logits: Logits) -> Tensor:
        """bool ``[B]``: reached, on finite logits; a NaN never counts as success."""

    def is_surely_met(self, logits: Logits) -> Tensor:
        """bool ``[B]``: met by more than rounding, so that another path, batch or machine will agree."""

    def margin(self, logits: Logits) -> Tensor:
        """float ``[B]``: logit distance still to go, positive until met."""

    def loss(self, logits: Logits) -> Tensor:
        """float ``[B]``: what a gradient attack ascends; the direction of cross-entropy, without its saturation."""

    def __getitem__(self: G, rows: Tensor | slice) -> G: ...

    def __len__(self) -> int: ...


def _split(logits: Logits, labels: Labels) -> tuple[Tensor, Tensor]:
    """The labelled logit ``[B]`` and all logits with the labelled one masked to -inf ``[B, K]``."""
    index = labels.unsqueeze(1)
    return logits.gather(1, index).squeeze(1), logits.scatter(1, index, -torch.inf)


def _beyond_rounding(margin: Tensor, logits: Logits) -> Tensor:
    """Whether a negative margin exceeds what float32 rounding does to logits of this size in a deep network."""
    return (margin < -_ROUNDING * logits.abs().amax(1).clamp_min(1)) & logits.isfinite().all(1)


def _log_odds_against(logits: Logits, labels: Labels) -> Tensor:
    """``log((1 - p) / p)`` of the labelled class, exact where ``1 - p`` would round to 0.

    It is a monotone function of the cross-entropy, so its gradient has the same direction, but it does not vanish
    when the classifier is so confident that float32 rounds ``p`` to 1 (a common cause of attacks that silently fail).
    """
    own, others = _split(logits, labels)
    return torch.logsumexp(others, dim=1) - own


@final
@dataclass(frozen=True, slots=True)
class Untargeted:
    """Any class but ``labels`` (int64 ``[B]``)."""

    labels: Labels

    def is_met(self, logits: Logits) -> Tensor:
        return (logits.argmax(1) != self.labels) & logits.isfinite().all(1)

    def is_surely_met(self, logits: Logits) -> Tensor:
        return _beyond_rounding(self.margin(logits), logits)

    def margin(self, logits: Logits) -> Tensor:
        own, others = _split(logits, self.labels)
        return own - others.amax(1)

    def loss(self, logits: Logits) -> Tensor:
        return _log_odds_against(logits, self.labels)

    def __getitem__(self, rows: Tensor | slice) -> "Untargeted":
        return Untargeted(self.labels[rows])

    def __len__(self) -> int:
        return len(self.labels)


@final
@dataclass(frozen=True, slots=True)
class Targeted:
    """Exactly the class ``labels`` (int64 ``[B]``)."""

    labels: Labels

    def is_met(self, logits: Logits) -> Tensor:
        return (logits.argmax(1) == self.labels) & logits.isfinite().all(1)

    def is_surely_met(self, logits: Logits) -> Tensor:
        return _beyond_rounding(self.margin(logits), logits)

    def margin(self, logits: Logits) -> Tensor:
        own, others = _split(logits, self.labels)
        return others.amax(1) - own

    def loss(self, logits: Logits) -> Tensor:
        return -_log_odds_against(logits, self.labels)

    def __getitem__(self, rows: Tensor | slice) -> "Targeted":
        return Targeted(self.labels[rows])

    def __len__(self) -> int:
        return len(self.labels)
