"""Controls: scikit-learn's classifiers, fitted on the spot to named data."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from brittle.data.fit import Fit
from brittle.data.sources import load_data
from brittle.errors import BrittleError, did_you_mean
from brittle.models.black_box import BlackBox
from brittle.models.classifier import Classifier

LIMIT = 10_000
"""Images that one is fitted to where nothing else is said: an SVM takes a minute for so many of MNIST."""
_FORM = "sklearn:KIND[,limit=N]:DATA"

# scikit-learn takes a second to import.


def _linear() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=200)


def _svm() -> Any:
    from sklearn.svm import SVC

    return SVC(C=5.0)


def _tree() -> Any:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(random_state=0)


def _forest() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(100, random_state=0)


def _knn() -> Any:
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(5)


KINDS: Mapping[str, Callable[[], Any]] = MappingProxyType(
    {"linear": _linear, "svm": _svm, "tree": _tree, "forest": _forest, "knn": _knn}
)
"""Logistic regression; a support vector machine with a Gaussian kernel; a tree; 100 trees; five nearest neighbours."""


def load_fitted(text: str, path: Path | None) -> Classifier:
    """``KIND[,limit=N]:DATA`` as a ``BlackBox``; BrittleError for another kind, and for data without labels."""
    if path is not None:
        raise BrittleError(f"expected no weights for what is fitted on the spot, got {str(path)!r}")
    found = re.fullmatch(r"([^:,]+)(?:,limit=(\d+))?:(.+)", text)
    if found is None:
        raise BrittleError(f"expected a classifier of scikit-learn as {_FORM}, got 'sklearn:{text}'")
    kind, limit, data = found.groups()
    if kind not in KINDS:
        raise BrittleError(f"unknown classifier {kind!r} in 'sklearn:{text}'{did_you_mean(kind, KINDS)}")
    return _fitted(kind, data, int(limit or LIMIT))


@cache  # in a process: several runs of a study ask for the same one
def _fitted(kind: str, data: str, limit: int) -> Classifier:
    examples = load_data(data, limit=limit)
    labels = examples.labels
    if labels is None or int(labels.max()) == int(labels.min()):
        raise BrittleError(f"expected images of at least two classes to fit a classifier to, got {examples.source}")
    images = examples.images(0, len(examples))
    estimator = KINDS[kind]().fit(images.flatten(1).double().numpy(), np.asarray(labels))
    names, known = examples.class_names, [int(one) for one in estimator.classes_]
    fit = Fit(channels=images.shape[1], height=images.shape[2], width=images.shape[3])
    given = None if names is None else [names[one] for one in known]
    return BlackBox(estimator, class_names=given, name=f"sklearn:{kind}", fit=fit)
