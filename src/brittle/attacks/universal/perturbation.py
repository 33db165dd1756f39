"""A universal perturbation that has been fitted, as an attack on any classifier."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

from torch import Tensor

from brittle.attacks.parts.asking import asking_first
from brittle.attacks.parts.contract import Outcome
from brittle.catalog import option, register
from brittle.data.perturbation import Perturbation, perturbation_of
from brittle.errors import BrittleError
from brittle.geometry.box import clip
from brittle.geometry.norms import Norm
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images


@register(
    "perturbation",
    paper="arXiv:1610.08401",
    kind="budget",
    norms=("l1", "l2", "linf", "lp"),
    goals=("untargeted",),
    access="decision",
    cost="F",
    looks=False,
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class AddPerturbation:
    """Adds one perturbation to every image: what ``universal`` or ``universal-sgd`` has fitted.

    ``clip(x + v)``. It need not have been fitted on the classifier that it now attacks, and asks it for no gradient;
    images must have v's shape. An image that meets the goal as it is comes back unchanged.

    Another ``eps`` than the one that v was fitted for scales it: ``v * eps / fitted eps``.
    """

    file: Perturbation | str | Path = option(
        ..., "FILE that `brittle fit` has written; in Python also what a fit returns", reads=perturbation_of
    )
    eps: float | None = option(
        None, "budget, to which the perturbation is scaled; default: what it was fitted for", at_least=0
    )

    def __post_init__(self) -> None:
        eps = self.perturbation.eps if self.eps is None else self.eps
        # Frozen: while it is being made, the attack may still do this.
        object.__setattr__(self, "eps", eps)
        self.perturbation.scaled(eps)  # or it is refused

    @property
    def perturbation(self) -> Perturbation:
        """What was fitted, in its own size."""
        return perturbation_of(self.file)

    @property
    def values(self) -> Tensor:
        """What is added to an image, ``[C, H, W]``: that, of size ``eps``."""
        return self.perturbation.scaled(self.perturbation.eps if self.eps is None else self.eps).values

    @property
    def norm(self) -> Norm:
        """The norm that it was fitted in."""
        return self.perturbation.norm

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        values = self.values.to(images.device)
        if images.shape[1:] != values.shape:
            wanted, got = (" x ".join(map(str, shape)) for shape in (values.shape, images.shape[1:]))
            raise BrittleError(
                f"expected images of {wanted} (channels x height x width), as the perturbation was fitted on, got {got}"
            )
        ask = asking_first(classifier, images, goal)
        met, _ = ask.look(ask.everyone, images)
        rows = (~met).nonzero().squeeze(1)
        ask.stepped(rows)
        ask.best.leave(rows, clip(images[rows] + values))
        return ask.outcome()
