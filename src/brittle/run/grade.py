"""Grading: what an attack's images really do, by a fresh pass through the plain network."""

from dataclasses import dataclass
from typing import Any, NamedTuple, final

import torch
from torch import Tensor

from brittle.attacks import Outcome
from brittle.catalog import traits_of
from brittle.geometry import box
from brittle.geometry.levels import to_8bit
from brittle.geometry.norms import LINF, Norm
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.types import Images, Labels

_HALF_ULP = 2.0**-25  # what adding a perturbation to a pixel in [0.5, 1] and taking it away again can lose


@final
@dataclass(frozen=True, slots=True)
class Rules:
    """What an attack has promised: to stay in the box, to stay within a budget."""

    box: bool
    budget: tuple[Norm, float] | None

    @staticmethod
    def of(attack: Any) -> "Rules":
        """What a registered attack promises: its ``eps`` if it is a budget attack, the box unless ``box=False``."""
        traits = traits_of(attack)
        return Rules(traits.box, None if traits.eps is None else (traits.norm, traits.eps))

    def kept(self, images: Images, perturbed: Images) -> tuple[Tensor, Tensor]:
        """bool ``[B]`` each: inside the box (or need not be), within the budget (or has none)."""
        inside = box.contains(perturbed) if self.box else perturbed.isfinite().flatten(1).all(1)
        if self.budget is None:
            return inside, torch.ones_like(inside)
        norm, eps = self.budget
        rounding = _HALF_ULP * norm.measure(torch.ones_like(images)) if norm != LINF else _HALF_ULP
        return inside, norm.measure(perturbed - images) <= eps * (1 + 1e-6) + 2 * rounding


@final
class Rounded:
    """Whether images still fool after rounding to 8 bits: one more plain pass, made when it is asked for, and once."""

    def __init__(self, classifier: Classifier, images: Images, goal: Goal, kept: Tensor) -> None:
        self.classifier, self.images, self.goal, self.kept = classifier, images, goal, kept
        self._fooled: Tensor | None = None

    @property
    def fooled(self) -> Tensor:
        """bool ``[B]``: the goal is met, and the rules have been kept before rounding."""
        if self._fooled is None:
            logits = self.classifier.logits(to_8bit(self.images), plain=True)
            self._fooled = self.goal.is_met(logits) & self.kept
        return self._fooled


class Grade(NamedTuple):
    """What was found out about each image; all ``[B]``.

    fooled: the goal is met by a fresh pass, and the rules are kept. rounded: tells it of 8 bits.
    margin: logits missing to the goal, by that pass.
    non_finite: the network gives NaN or infinity; that is neither fooled nor robust.
    """

    prediction: Labels
    confidence: Tensor
    margin: Tensor
    fooled: Tensor
    rounded: Rounded
    inside_box: Tensor
    within_budget: Tensor
    non_finite: Tensor


def looked_at(images: Images) -> Outcome:
    """Images that no attack has looked for, as the outcome of one: nothing is claimed, and no pass was made."""
    none = torch.zeros(len(images), dtype=torch.int64, device=images.device)
    return Outcome(images, none.bool(), none, none, none)


def grade(classifier: Classifier, images: Images, outcome: Outcome, goal: Goal, rules: Rules) -> Grade:
    """Grades an attack's outcome on images ``[B, C, H, W]``; a pass through the plain network."""
    perturbed = outcome.images
    if perturbed.shape != images.shape or perturbed.dtype != images.dtype:
        raise TypeError(
            f"expected an attack to keep shape {tuple(images.shape)} and {images.dtype}, got"
            f" {tuple(perturbed.shape)} and {perturbed.dtype}"
        )
    inside, within = rules.kept(images, perturbed)
    logits = classifier.logits(perturbed, plain=True)
    kept = inside & within
    confidence, prediction = logits.softmax(1).max(1)
    return Grade(
        prediction=prediction,
        confidence=confidence,
        margin=goal.margin(logits),
        fooled=goal.is_met(logits) & kept,
        rounded=Rounded(classifier, perturbed, goal, kept),
        inside_box=inside,
        within_budget=within,
        non_finite=~logits.isfinite().all(1),
    )
