"""A classifier that only answers: a fitted estimator, a file that another program runs."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, final

import torch
from torch import nn

from brittle.checks import brief, text, texts, whole
from brittle.data.fit import Fit
from brittle.errors import BrittleError, Unsupported
from brittle.goals import FLOAT32, Rounding
from brittle.models.answers import as_logits, check_classes, classes_known
from brittle.models.classes import reject_of
from brittle.models.classifier import Pullback, Score, Settings, evenly_cut
from brittle.models.device import usable
from brittle.models.estimator import Estimator
from brittle.models.normalisation import Normalisation
from brittle.types import Access, Images, Logits, Precision


class Answering(Protocol):
    """What stands in a black box."""

    @property
    def name(self) -> str: ...

    @property
    def access(self) -> Access: ...

    @property
    def class_names(self) -> tuple[str, ...] | None: ...

    @property
    def batch_size(self) -> int:
        """Rows that it likes to be asked about at once."""

    @property
    def class_count(self) -> int | None:
        """K, where it is known before the first answer."""

    @property
    def channels(self) -> int | None: ...

    def answers(self, images: Images) -> Logits:
        """Float ``[B, K]`` or ``[B]``, for normalised images."""

    def digest(self) -> bytes:
        """Of all that its answers depend on, the same in any process."""


@final
class BlackBox:
    """A ``Classifier`` without gradients, of what only gives scores or decisions.

    inside: a fitted estimator of scikit-learn's kind (SVM, forest, nearest neighbours, a pipeline): see
    ``brittle.models.estimator``. It sees images flattened channel by channel, and labels are indices into its
    ``classes_``. One fitted on pixels up to 255 gets ``mean=(0,), std=(1 / 255,)``. Or anything ``Answering``.
    class_names: default: its own. batch_size: default: what it likes. The others are as for ``Network``.
    """

    def __init__(
        self,
        inside: Any,
        *,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        class_names: Sequence[str] | None = None,
        device: str | torch.device | None = None,
        batch_size: int | None = None,
        name: str | None = None,
        reject: str | int | None = None,
        fit: Fit | None = None,
    ) -> None:
        if isinstance(inside, nn.Module):
            raise BrittleError(f"{type(inside).__name__} is a torch.nn.Module: brittle.Network takes it")
        self.inside: Answering = inside if callable(getattr(inside, "answers", None)) else Estimator(inside)
        if batch_size is not None:
            whole("batch_size", batch_size, least=1)
        if fit is not None and not isinstance(fit, Fit):
            raise BrittleError(f"expected fit as brittle.data.fit.Fit(channels, height, width), got {brief(fit)}")
        self.normalisation = Normalisation.of(mean, std)
        own = self.inside.class_names
        self.class_names = own if class_names is None else texts("class_names", class_names)
        self.reject = None if reject is None else reject_of(reject, self.class_names)
        self.device = usable("cpu" if device is None else device)
        self.batch_size = batch_size or self.inside.batch_size
        self.fit = fit
        self.name = self.inside.name if name is None else text("name", name, "mine")
        self.forwards, self.backwards = 0, 0
        self._counted = self.inside.class_count  # later: in the last pass

    def __repr__(self) -> str:
        return f"BlackBox({self.name}, {self.access}s, batch_size={self.batch_size})"

    def adjusted(self, said: Settings) -> "BlackBox":
        own = {
            "mean": self.normalisation.mean,
            "std": self.normalisation.std,
            "class_names": self.class_names,
            "device": self.device,
            "batch_size": self.batch_size,
            "name": self.name,
            "reject": self.reject,
            "fit": self.fit,
        }
        return BlackBox(self.inside, **said.over(own))

    @property
    def access(self) -> Access:
        return self.inside.access

    @property
    def num_classes(self) -> int:
        return classes_known(self._counted, self.class_names)

    @property
    def channels(self) -> int | None:
        return self.inside.channels

    @property
    def unit(self) -> float:
        return torch.finfo(torch.float32).eps

    @property
    def precision(self) -> Precision:
        return "fp32"

    @property
    def fingerprint(self) -> str:
        """sha256 hex over what is inside and the normalisation."""
        told = f"{type(self.inside).__name__}\0{self.normalisation.mean}\0{self.normalisation.std}\0"
        return hashlib.sha256(told.encode() + self.inside.digest()).hexdigest()

    def logits(self, images: Images, *, plain: bool = False) -> Logits:
        """plain: there is only one way."""
        with torch.no_grad():
            parts = [self._pass(images[rows]) for rows in self.chunks(len(images))]
        self.forwards += len(images)
        return torch.cat(parts) if parts else images.new_zeros(0, self._counted or len(self.class_names or ()) or 1)

    @contextmanager
    def settled(self, images: Images, logits: Logits) -> Iterator[Rounding]:
        """float32 is what it answers in; what it computes in, nobody sees."""
        yield FLOAT32

    def gradient(self, images: Images, score: Score) -> tuple[Logits, Images]:
        raise self._refusal()

    def linearize(self, images: Images) -> tuple[Logits, Pullback]:
        raise self._refusal()

    def _refusal(self) -> Unsupported:
        return Unsupported(
            f"{self.name} has no gradients, only {self.access}s: expected an attack that asks for no more;"
            " `brittle attacks` says what each asks for"
        )

    def chunks(self, count: int) -> Iterator[slice]:
        return evenly_cut(count, self.batch_size)

    def _pass(self, images: Images) -> Logits:
        logits = as_logits(self.inside.answers(self.normalisation.applied(images)).to(images.device), len(images))
        check_classes(logits.shape[1], self.class_names, self.reject)
        self._counted = logits.shape[1]
        return logits
