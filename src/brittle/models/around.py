"""What stands around a classifier and changes only some of its answers."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager

import torch

from brittle.data.fit import Fit
from brittle.goals import Rounding
from brittle.models.classifier import Classifier, Pullback, Score, Settings, gradient_by_chunks
from brittle.types import Access, Images, Logits


class Around(ABC):
    """The parts of a ``Classifier`` that a wrapper leaves as they are: facts are the inner classifier's.

    A wrapper is a final class that says what its logits are, how they are differentiated and counted, and what it is.
    """

    inner: Classifier

    @abstractmethod
    def logits(self, images: Images, *, plain: bool = False) -> Logits: ...

    @abstractmethod
    def linearize(self, images: Images) -> tuple[Logits, Pullback]: ...

    @abstractmethod
    def adjusted(self, said: Settings) -> Classifier: ...

    @property
    @abstractmethod
    def fingerprint(self) -> str: ...

    def gradient(self, images: Images, score: Score) -> tuple[Logits, Images]:
        if not len(images):
            return self.logits(images), torch.zeros_like(images)
        return gradient_by_chunks(self.linearize, self.chunks(len(images)), images, score)

    def settled(self, images: Images, logits: Logits) -> AbstractContextManager[Rounding]:
        return self.inner.settled(images, logits)

    def chunks(self, count: int) -> Iterator[slice]:
        return self.inner.chunks(count)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.inner!r})"

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def access(self) -> Access:
        return self.inner.access

    @property
    def device(self) -> torch.device:
        return self.inner.device

    @property
    def batch_size(self) -> int:
        return self.inner.batch_size

    @property
    def class_names(self) -> tuple[str, ...] | None:
        return self.inner.class_names

    @property
    def num_classes(self) -> int:
        return self.inner.num_classes

    @property
    def reject(self) -> int | None:
        return self.inner.reject

    @property
    def fit(self) -> Fit | None:
        return self.inner.fit

    @property
    def channels(self) -> int | None:
        return self.inner.channels

    @property
    def unit(self) -> float:
        return self.inner.unit
