"""What stands around a classifier and changes only some of its answers."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import ClassVar

import torch
from torch import Tensor

from brittle.data.fit import Fit
from brittle.goals import Rounding
from brittle.models.classifier import Classifier, Pullback, Score, Settings, asked_about, gradient_by_chunks
from brittle.types import Access, Images, Logits, Precision


class Around(ABC):
    """The parts of a ``Classifier`` that a wrapper leaves as they are: facts are the inner classifier's.

    A wrapper is a final class that says what its logits are, how they are differentiated and counted, and what it is.
    refusal: what it calls a class of its own, behind the others, by which it refuses to answer.
    """

    inner: Classifier
    refusal: ClassVar[str | None] = None

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
        names = self.inner.class_names
        return names if names is None or self.refusal is None else (*names, self.refusal)

    @property
    def num_classes(self) -> int:
        return self.inner.num_classes + (self.refusal is not None)

    @property
    def reject(self) -> int | None:
        return self.inner.reject if self.refusal is None else self.inner.num_classes

    @property
    def fit(self) -> Fit | None:
        return self.inner.fit

    @property
    def channels(self) -> int | None:
        return self.inner.channels

    @property
    def unit(self) -> float:
        return self.inner.unit

    @property
    def precision(self) -> Precision:
        return self.inner.precision


class Counting(Around):
    """A wrapper that asks the inner classifier several times for each answer, and counts what it is asked itself."""

    forwards: int = 0
    _backwards: int | Tensor = 0  # on the device: who reads it waits

    @property
    def backwards(self) -> int:
        return int(self._backwards)

    def _count_backwards(self, cotangents: Tensor) -> None:
        self._backwards = self._backwards + asked_about(cotangents).sum()


class Passing(Around):
    """A wrapper each of whose passes is one of the inner classifier's, which counts it; and that is the same function,
    unless it says otherwise."""

    @property
    def fingerprint(self) -> str:
        return self.inner.fingerprint

    @property
    def forwards(self) -> int:
        return self.inner.forwards

    @property
    def backwards(self) -> int:
        return self.inner.backwards
