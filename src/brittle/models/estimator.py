"""Whatever has been fitted and predicts, such as an estimator of scikit-learn."""

from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from brittle.errors import BrittleError
from brittle.models.digest import digest_of
from brittle.types import Access, Images, Logits

_BATCH = 1024
_FLOOR = 1e-30  # of a probability: its logarithm, -69, leaves what float32 resolves near a tie finer than 1e-3


@final
class Estimator:
    """What a fitted estimator answers: images ``[B, C, H, W]`` -> logits ``[B, K]``, without gradients.

    It is given float64 ``[B, C * H * W]``: channel after channel, and each row after row. What ``access`` says is asked
    for: "score", the logarithms of ``predict_proba``, or else ``decision_function``; "decision", the one-hot vector of
    what it predicts, where it has neither. Class k is ``classes_[k]``, and labels are these indices.

    The class with the largest score is the one it predicts. An SVM of libsvm needs care: its probabilities, which are
    fitted apart, contradict its decisions and are not asked for; one-against-one scores are not those of classes, and
    make it one of "decision"; and where as many pairs vote for one class as for another, it predicts the first of them
    and not the one with the largest score (``break_ties``), so that these two scores are exchanged.

    class_names: the ``classes_`` as text, or None where they are 0 .. K - 1 and say nothing.
    Raises BrittleError for what cannot predict, is not fitted, or answers more than one question for an image.
    """

    def __init__(self, estimator: Any) -> None:
        if not callable(getattr(estimator, "predict", None)) or isinstance(estimator, type):
            kind = f"the class {estimator.__name__}" if isinstance(estimator, type) else type(estimator).__name__
            raise BrittleError(f"expected a fitted estimator with predict(), got {kind}")
        self.estimator = estimator
        self.classes = _classes_of(estimator)
        self.scores, self.votes = _scores_of(estimator)
        self.access: Access = "decision" if self.scores is None else "score"
        if self.classes is None and (self.scores != "predict_proba" or hasattr(estimator, "fit")):
            raise BrittleError(
                f"expected an estimator that says which classes it knows, got {type(estimator).__name__} without"
                " classes_: fit it first; a regressor or an outlier detector has none"
            )

    @property
    def name(self) -> str:
        return type(self.estimator).__name__

    @property
    def batch_size(self) -> int:
        return _BATCH

    @property
    def class_count(self) -> int | None:
        return None if self.classes is None else len(self.classes)

    @property
    def channels(self) -> None:
        """Features have none."""

    @property
    def class_names(self) -> tuple[str, ...] | None:
        if self.classes is None or self.classes == list(range(len(self.classes))):
            return None
        return tuple(str(name) for name in self.classes)

    def answers(self, images: Images) -> Logits:
        rows = images.detach().flatten(1).double().cpu().numpy()
        wanted = getattr(self.estimator, "n_features_in_", rows.shape[1])
        if wanted != rows.shape[1]:
            shape = " x ".join(str(size) for size in images.shape[1:])
            raise BrittleError(
                f"expected images of {wanted} values, as many features as the estimator was fitted on, got"
                f" {rows.shape[1]} ({shape}: channels x height x width)"
            )
        columns = getattr(self.estimator, "feature_names_in_", None)
        if columns is not None:
            # Imported here: who has fitted it on a table has pandas in memory already, and the others need it not.
            from pandas import DataFrame

            rows = DataFrame(rows, columns=columns)
        return torch.from_numpy(self._answers(rows)).to(images.device)

    def _answers(self, rows: Any) -> Any:
        """Float32 ``[B, K]``, or ``[B]`` for the one score of two classes."""
        if self.scores is None or self.scores == "predict_proba":
            answers = self._one_hot(rows) if self.scores is None else _as_array(self.estimator.predict_proba(rows))
            outputs = answers.shape[1] if answers.ndim == 2 else 1
        else:
            answers = _as_array(self.estimator.decision_function(rows))
            outputs = 2 if answers.ndim == 1 else answers.shape[1]
            if self.votes:
                _exchange(answers, answers.argmax(1), self._one_hot(rows).argmax(1))
        if outputs != len(self.classes or range(max(outputs, 2))):
            raise BrittleError(
                f"expected {len(self.classes or (0, 1))} scores for an image, one for a class, got {outputs} from"
                f" {self.scores}() of {type(self.estimator).__name__}"
            )
        if self.scores == "predict_proba":
            answers = np.log(np.maximum(answers, _FLOOR))
        return answers.astype(np.float32)

    def _one_hot(self, rows: Any) -> Any:
        index = {label: k for k, label in enumerate(self.classes or ())}
        predicted = np.asarray(self.estimator.predict(rows)).tolist()
        return np.eye(len(index))[[index[label] for label in predicted]].reshape(len(predicted), len(index))

    def digest(self) -> bytes:
        """sha256 of what the estimator has learnt and been told: the same in any process, before storing and after."""
        return digest_of(self.estimator)


def _classes_of(estimator: Any) -> list[Any] | None:
    found = getattr(estimator, "classes_", None)
    if found is None:
        return None
    try:
        classes = np.asarray(found)
        one_question = classes.ndim == 1 and not isinstance(found[0], (list, np.ndarray))
    except (ValueError, IndexError, KeyError):  # ragged, or empty
        one_question = False
    if not one_question:
        raise BrittleError(f"expected an estimator that gives an image one label, got classes_ {found!r:.80}")
    if len(classes) < 2:
        raise BrittleError(f"expected an estimator of at least two classes, got the classes {classes.tolist()}")
    return list(classes.tolist())


def _scores_of(estimator: Any) -> tuple[str | None, bool]:
    """The method to ask for scores, None: there is only ``predict``; and whether that goes by votes instead."""
    last = _chosen(estimator)
    while hasattr(last, "steps"):
        last = _chosen(last.steps[-1][1])
    settings = last.get_params(deep=False) if hasattr(last, "get_params") else {}
    libsvm = "decision_function_shape" in settings
    if not libsvm and callable(getattr(estimator, "predict_proba", None)):
        return "predict_proba", False
    several = len(getattr(estimator, "classes_", ())) > 2
    pairs = several and settings.get("decision_function_shape") == "ovo"
    if pairs or not callable(getattr(estimator, "decision_function", None)):
        return None, False
    return "decision_function", libsvm and several and not settings["break_ties"]


def _exchange(scores: Any, first: Any, second: Any) -> None:
    """In each row of scores, those of two classes."""
    rows = np.arange(len(scores))
    scores[rows, first], scores[rows, second] = scores[rows, second], scores[rows, first]


def _chosen(estimator: Any) -> Any:
    """The estimator that a search has settled on; any other is its own."""
    return getattr(estimator, "best_estimator_", estimator)


def _as_array(answers: Any) -> Any:
    return answers.detach().cpu().numpy() if isinstance(answers, Tensor) else np.asarray(answers, dtype=np.float64)
