"""The bookkeeping that iterative attacks share."""

from typing import final

import torch
from torch import Tensor

from brittle.attacks._contract import Outcome
from brittle.catalog import traits_of
from brittle.geometry.norms import Norm
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.types import Images


@final
class ActiveSet:
    """The rows of a batch that are still unsolved, as indices into the whole batch.

    A loop keeps its own tensors for these rows only, and cuts them with what ``drop`` returns::

        keep = active.drop(met)
        x, goal = x[keep], goal[keep]
    """

    def __init__(self, size: int, device: torch.device) -> None:
        self.rows = torch.arange(size, device=device)

    def __len__(self) -> int:
        return len(self.rows)

    def drop(self, solved: Tensor) -> Tensor:
        """Removes the rows where bool ``solved`` (one per active row) holds; gives the positions that stay."""
        keep = (~solved).nonzero().squeeze(1)
        self.rows = self.rows[keep]
        return keep


@final
class BestSoFar:
    """The smallest claimed perturbation of each row of a batch; where none is claimed, the last attempt."""

    def __init__(self, images: Images, norm: Norm) -> None:
        self.origin, self.norm = images, norm
        self.images = images.clone()
        self.size = torch.full((len(images),), torch.inf, device=images.device)

    @property
    def claimed(self) -> Tensor:
        """bool ``[B]``: something has been claimed for the row."""
        return self.size.isfinite()

    def offer(self, rows: Tensor, images: Images, claimed: Tensor) -> Tensor:
        """Keeps what is smaller than before; bool, one for each of ``rows``: where it was."""
        size = torch.where(claimed, self.norm.measure(images - self.origin[rows]), torch.inf)
        smaller = size < self.size[rows]
        taken = smaller | ~self.claimed[rows]  # a later attempt replaces an earlier one
        self.images[rows[taken]] = images[taken]
        self.size[rows[smaller]] = size[smaller]
        return smaller


def looked_at(attack: object, classifier: Classifier, images: Images, goal: Goal, found: Outcome) -> Outcome:
    """The outcome of an attack on images; of one that does not look at what it has made, after a look at it.

    That is one forward pass for each row that was changed and is not claimed.
    """
    if traits_of(attack).looks:
        return found
    rows = (~found.claimed & (found.images != images).flatten(1).any(1)).nonzero().squeeze(1)
    if not len(rows):
        return found
    claimed, forwards = found.claimed.clone(), found.forwards.clone()
    claimed[rows] = goal[rows].is_surely_met(classifier.logits(found.images[rows]))
    forwards[rows] += 1
    return found._replace(claimed=claimed, forwards=forwards)


def margins(classifier: Classifier, images: Images, goal: Goal) -> tuple[Tensor, Tensor]:
    """What random searches ask for: the margins, inf where not a number, and where the goal is surely met."""
    logits = classifier.logits(images)
    margin = goal.margin(logits).nan_to_num(nan=torch.inf)
    if not bool((margin < 0).any()):  # as mostly: what is_surely_met asks for on top is not worth its time
        return margin, torch.zeros_like(margin, dtype=torch.bool)
    return margin, goal.is_surely_met(logits)
