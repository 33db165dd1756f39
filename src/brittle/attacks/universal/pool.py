"""What attacks share that fit one perturbation to many images."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, final

import torch
from torch import Tensor

from brittle.catalog import label_of
from brittle.data.examples import Examples
from brittle.data.perturbation import Perturbation
from brittle.errors import BrittleError
from brittle.geometry.box import clip
from brittle.geometry.norms import norm_of
from brittle.goals import Untargeted
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images, Logits

_KEPT_BYTES = 2**28  # images that take less are decoded once, and kept


class Step(NamedTuple):
    """How far a fit is: ``done`` of at most ``total`` images have been gone through, over all passes."""

    done: int
    total: int


OnStep = Callable[[Step], object]


@final
class Pool:
    """The images X of a fit, with the class that the classifier gives each: to leave that class is the goal.

    As in the papers labels are not looked at, so that an image which is misclassified to begin with must change its
    class too. Beyond a quarter of a gigabyte images are decoded as they are needed, and memory no longer grows.
    """

    def __init__(self, classifier: Classifier, examples: Examples, seed: int) -> None:
        if not isinstance(examples, Examples):
            raise BrittleError(
                f"expected brittle.Examples to fit to, got {type(examples).__name__}; make them of a tensor with"
                " brittle.examples_of(images)"
            )
        if not len(examples):
            raise BrittleError(f"expected at least one example to fit to, got none from {examples.source}")
        self.classifier, self.examples, self.rng = classifier, examples, Rng(seed, examples.ids)
        first = examples.images(0, 1)
        self._kept: Images | None = None
        if len(self) * first.nbytes <= _KEPT_BYTES:
            self._kept = examples.images(0, len(self)).to(classifier.device)
        self.nothing = torch.zeros_like(first, device=classifier.device)
        self.predicted = torch.cat([logits.argmax(1) for _, logits in self._logits(self.nothing)])

    def __len__(self) -> int:
        return len(self.examples)

    def images(self, rows: Sequence[int]) -> Images:
        """Some of the images, in the order asked for."""
        return self.examples.read(rows).to(self.classifier.device) if self._kept is None else self._kept[list(rows)]

    def goal(self, rows: Sequence[int]) -> Untargeted:
        """To leave the class that each of them has."""
        return Untargeted(self.predicted[list(rows)], self.classifier.reject)

    def order(self, purpose: str) -> list[int]:
        """All rows in random order; it depends on the seed and on the examples' ids, not on how the data are sorted."""
        draws = self.rng.uniform(purpose, torch.zeros(len(self), dtype=torch.float64))
        return draws.argsort(stable=True).tolist()

    def fooled(self, perturbation: Tensor) -> float:
        """The part of the images that leave their class with ``perturbation`` ``[1, C, H, W]`` added, and clipped."""
        left = [self.goal(rows).is_met(logits) for rows, logits in self._logits(perturbation)]
        return float(torch.cat(left).float().mean())

    def _logits(self, perturbation: Tensor) -> Iterator[tuple[range, Logits]]:
        for part in self.classifier.chunks(len(self)):
            rows = range(len(self))[part]
            yield rows, self.classifier.logits(clip(self.images(rows) + perturbation))

    def fitted(self, attack: Any, perturbation: Tensor, rate: float, *, passes: int) -> Perturbation:
        """What an attack has made, as one that can be used, with a word on where it comes from."""
        about = {
            "attack": label_of(attack),
            "model": self.classifier.name,
            "data": self.examples.source,
            "examples": str(len(self)),
            "seed": str(self.rng.seed),
            "fooling rate": f"{rate:.4f}",
            "passes": str(passes),
        }
        return Perturbation.of(perturbation[0], norm=norm_of(attack.norm), eps=attack.eps, about=about)
