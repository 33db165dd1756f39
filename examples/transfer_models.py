"""Models for a transfer matrix on CIFAR-10: `brittle run examples/transfer.toml --out runs/transfer`.

Each function is a model, as ``python:examples.transfer_models:forest``: networks that the data folder has weights of,
and estimators that see pixels, fitted on one or the other of two disjoint sets of training images. ``$BRITTLE_DATA`` is
that folder.
"""

import os
import runpy
from functools import cache
from pathlib import Path
from typing import Any

from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

import brittle
from brittle.models import load_weights

DATA = Path(os.environ.get("BRITTLE_DATA", "data"))
EACH = 4000  # images that an estimator is fitted on


def densenet() -> brittle.Network:
    return network("densenet_bc_100", "cifar10_densenet_bc_100_12")


def resnet8() -> brittle.Network:
    return network("ResNet8", "cifar10_mlperf_tiny_resnet8")


def robust() -> brittle.Network:
    return network("resnet4b_adversarial", "cifar10_resnet4b_adv")


def linear_1() -> brittle.BlackBox:
    return estimator(RidgeClassifier(alpha=1000.0, solver="cholesky"), half=0)


def linear_2() -> brittle.BlackBox:
    return estimator(RidgeClassifier(alpha=1000.0, solver="cholesky"), half=1)


def forest() -> brittle.BlackBox:
    return estimator(RandomForestClassifier(50, max_depth=14, n_jobs=1, random_state=0), half=0)


def tree() -> brittle.BlackBox:
    return estimator(DecisionTreeClassifier(max_depth=10, random_state=0), half=0)


def machine() -> brittle.BlackBox:
    return estimator(SVC(C=3.0, break_ties=True), half=0)


def neighbours() -> brittle.BlackBox:
    return estimator(KNeighborsClassifier(10), half=1)


def network(factory: str, weights: str) -> brittle.Network:
    """One that ``weights/definitions.py`` defines, with its normalisation inside."""
    whole: Any = definitions()[factory]()
    load_weights(getattr(whole, "net", whole), DATA / "weights" / f"{weights}.safetensors")
    return brittle.Network(whole, name=factory)


def estimator(unfitted: Any, half: int) -> brittle.BlackBox:
    """Fitted on images of one half of the training data: every second one, so that no image is in both halves."""
    rows, labels = training()
    mine = slice(half, 2 * EACH, 2)
    return brittle.BlackBox(unfitted.fit(rows[mine], labels[mine]))


@cache
def definitions() -> dict[str, Any]:
    return runpy.run_path(str(DATA / "weights" / "definitions.py"))


@cache
def training() -> tuple[Any, Any]:
    """Pixels ``[n, 3072]`` and labels of the first images of the training data."""
    examples = brittle.load_data(DATA / "cifar10-jpeg" / "train.parquet", limit=2 * EACH)
    assert examples.labels is not None
    return examples.images(0, 2 * EACH).flatten(1).double().numpy(), examples.labels.numpy()
