"""Estimators as classifiers: their scores and decisions are those of scikit-learn, and they have no gradients."""

import io
import pickle
import subprocess
import sys
from functools import cache
from typing import Any

import joblib  # type: ignore[import-untyped]
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier
from torch import Tensor

from brittle.data import digits_split
from brittle.errors import BrittleError, Unsupported
from brittle.goals import Untargeted
from brittle.models.black_box import BlackBox
from brittle.models.estimator import Estimator
from brittle.models.preflight import preflight
from brittle.types import Access

pytestmark = pytest.mark.usefixtures("one_thread")


@cache
def digits() -> tuple[Tensor, Tensor]:
    """300 images ``[300, 1, 8, 8]`` and their labels."""
    train, _ = digits_split()
    assert train.labels is not None
    return train.images(0, 300), train.labels[:300]


def table(images: Tensor, scale: float = 1.0) -> Any:
    return images.flatten(1).double().numpy() * scale


def fitted(estimator: Any, *, scale: float = 1.0, classes: int = 10) -> Any:
    images, labels = digits()
    return estimator.fit(table(images, scale), labels.numpy() % classes)


@cache
def mixtures() -> Tensor:
    """Images between two others: some are near a boundary."""
    images, _ = digits()
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randint(len(images), (1500,), generator=generator) for _ in range(2))
    share = torch.rand(1500, 1, 1, 1, generator=generator)
    return share * images[one] + (1 - share) * images[other]


class OnlyPredicts:
    """All that is left of an estimator behind a narrow door."""

    def __init__(self, estimator: Any) -> None:
        self.estimator, self.classes_ = estimator, estimator.classes_

    def predict(self, rows: Any) -> Any:
        return self.estimator.predict(rows)


class Answers:
    """Gives the same row of probabilities for any image, and says nothing of classes."""

    def __init__(self, *row: float) -> None:
        self.row = row

    def predict(self, rows: Any) -> Any:
        return np.full(len(rows), np.argmax(self.row))

    def predict_proba(self, rows: Any) -> Any:
        return np.tile(self.row, (len(rows), 1))


KINDS: list[tuple[Any, Access, int]] = [
    (RandomForestClassifier(10, random_state=0), "score", 10),
    (RandomForestClassifier(10, random_state=0), "score", 2),
    (KNeighborsClassifier(), "score", 10),
    (KNeighborsClassifier(algorithm="kd_tree"), "score", 10),
    (LogisticRegression(), "score", 10),
    (LogisticRegression(), "score", 2),
    (make_pipeline(StandardScaler(), LinearSVC(random_state=0)), "score", 10),
    (LinearSVC(random_state=0), "score", 2),
    (SVC(), "score", 10),
    (SVC(), "score", 2),
    (make_pipeline(StandardScaler(), SVC(break_ties=True)), "score", 10),
    (SVC(decision_function_shape="ovo"), "decision", 3),
    (SVC(decision_function_shape="ovo"), "score", 2),
    (GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [1, 3]}, cv=2), "score", 10),
]


@pytest.mark.parametrize(("estimator", "access", "classes"), KINDS, ids=str)
def test_the_decision_is_what_it_predicts_near_the_boundary_too(estimator: Any, access: Access, classes: int) -> None:
    classifier = BlackBox(fitted(estimator, classes=classes))
    logits = classifier.logits(mixtures())
    assert classifier.access == access
    assert classifier.num_classes == classes
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()
    assert logits.argmax(1).tolist() == estimator.predict(table(mixtures())).tolist()


def test_confidence_is_the_probability_it_gives() -> None:
    forest = fitted(RandomForestClassifier(10, random_state=0))
    given = torch.from_numpy(forest.predict_proba(table(mixtures()))).float()
    assert (given == 0).any()
    torch.testing.assert_close(BlackBox(forest).logits(mixtures()).softmax(1), given, atol=1e-6, rtol=1e-5)


def test_scores_are_the_decision_function() -> None:
    binary, several = fitted(SVC(), classes=2), fitted(LinearSVC(random_state=0))
    torch.testing.assert_close(
        BlackBox(several).logits(mixtures()), torch.from_numpy(several.decision_function(table(mixtures()))).float()
    )
    logits = BlackBox(binary).logits(mixtures())
    assert not logits[:, 0].any()
    torch.testing.assert_close(
        logits[:, 1], torch.from_numpy(binary.decision_function(table(mixtures()))).float(), rtol=1e-5, atol=1e-5
    )


def test_decisions_are_one_hot() -> None:
    tree = OnlyPredicts(fitted(DecisionTreeClassifier(random_state=0)))
    classifier = BlackBox(tree)
    logits = classifier.logits(digits()[0])
    assert classifier.access == "decision"
    assert torch.equal(logits, torch.nn.functional.one_hot(logits.argmax(1), 10).float())
    assert logits.argmax(1).tolist() == tree.predict(table(digits()[0])).tolist()


def test_probabilities_without_named_classes_are_counted() -> None:
    classifier = BlackBox(Answers(0.2, 0.0, 0.8))
    logits = classifier.logits(digits()[0][:2])
    assert classifier.class_names is None
    assert logits.argmax(1).tolist() == [2, 2]
    torch.testing.assert_close(logits.softmax(1)[0], torch.tensor([0.2, 0.0, 0.8]))
    assert logits.isfinite().all()


def test_labels_are_indices_into_its_classes() -> None:
    images, labels = digits()
    names = np.array(["zero", "one", "two"])[labels.numpy() % 3]
    for tree in (
        DecisionTreeClassifier(random_state=0),
        OnlyPredicts(DecisionTreeClassifier(random_state=0).fit(table(images), names)),
    ):
        if isinstance(tree, DecisionTreeClassifier):
            tree.fit(table(images), names)
        classifier = BlackBox(tree)
        assert classifier.class_names == ("one", "two", "zero")  # scikit-learn sorts them
        predicted = classifier.logits(images).argmax(1)
        assert [classifier.class_names[k] for k in predicted] == names.tolist()
    assert BlackBox(tree, class_names=["1", "2", "0"]).class_names == ("1", "2", "0")


def test_classes_that_are_numbers_from_nought_have_no_names() -> None:
    images, labels = digits()
    assert BlackBox(fitted(DecisionTreeClassifier())).class_names is None
    odd = DecisionTreeClassifier().fit(table(images), labels.numpy() * 2 + 1)
    assert BlackBox(odd).class_names == tuple(str(name) for name in range(1, 20, 2))


# ---- what it is given


class Sees:
    """Remembers the rows that it was asked about."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.classes_ = np.array([0, 1])

    def predict(self, rows: Any) -> Any:
        self.rows.append(rows)
        return np.zeros(len(rows), dtype=int)


def test_images_are_flattened_channel_by_channel() -> None:
    sees, images = Sees(), torch.rand(5, 3, 4, 2, generator=torch.Generator().manual_seed(0))
    BlackBox(sees).logits(images)
    assert sees.rows[0].dtype == np.float64
    assert np.array_equal(sees.rows[0], images.double().numpy().reshape(5, 24))


def test_mean_and_std_give_the_pixels_it_was_fitted_on() -> None:
    sees, images = Sees(), torch.arange(256).view(4, 1, 8, 8) / 255
    BlackBox(sees, mean=(0,), std=(1 / 255,)).logits(images)
    assert np.allclose(sees.rows[0].flatten(), np.arange(256), atol=1e-4)
    forest = fitted(RandomForestClassifier(10, random_state=0), scale=16)
    right = BlackBox(forest, mean=(0,), std=(1 / 16,)).logits(mixtures()).argmax(1)
    assert right.tolist() == forest.predict(table(mixtures(), 16)).tolist()


def test_column_names_are_given_as_it_knows_them() -> None:
    images, labels = digits()
    named = DecisionTreeClassifier(random_state=0).fit(
        pd.DataFrame(table(images), columns=[f"pixel {k}" for k in range(64)]), labels.numpy()
    )
    plain = fitted(DecisionTreeClassifier(random_state=0))
    assert torch.equal(BlackBox(named).logits(mixtures()), BlackBox(plain).logits(mixtures()))


def test_passes_are_counted_and_batches_kept() -> None:
    sees = Sees()
    classifier = BlackBox(sees, batch_size=100)
    classifier.logits(mixtures()[:250])
    assert (classifier.forwards, classifier.backwards) == (250, 0)
    assert [len(rows) for rows in sees.rows] == [83, 83, 84]
    assert BlackBox(sees).batch_size > 100


# ---- no gradients


def test_gradients_are_refused_before_any_pass() -> None:
    classifier = BlackBox(fitted(DecisionTreeClassifier()))
    images, labels = digits()
    for question in (
        lambda: classifier.linearize(images),
        lambda: classifier.gradient(images, Untargeted(labels).loss),
    ):
        with pytest.raises(Unsupported, match="DecisionTreeClassifier has no gradients, only scores"):
            question()
    assert (classifier.forwards, classifier.backwards) == (0, 0)


@pytest.mark.parametrize("estimator", [KNeighborsClassifier(3), LinearSVC(random_state=0), SVC()], ids=str)
def test_preflight_has_nothing_to_say_of_probabilities_and_gradients(estimator: Any) -> None:
    images, labels = digits()
    assert preflight(BlackBox(fitted(estimator)), images, labels) == []
    assert preflight(BlackBox(OnlyPredicts(fitted(estimator))), images, labels) == []


def test_preflight_sees_that_the_pixels_have_another_range() -> None:
    images, labels = digits()
    flags = preflight(BlackBox(fitted(LogisticRegression(), scale=255)), images[:64] * 0.1, labels[:64] * 0)
    assert [flag.code for flag in flags] == ["suspect-input-range"]


# ---- what is refused


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (5, "got int"),
        (StandardScaler(), "got StandardScaler"),
        (RandomForestClassifier, "got the class RandomForestClassifier"),
        (RandomForestClassifier(), "got RandomForestClassifier without classes_: fit it first"),
        (make_pipeline(StandardScaler(), SVC()), "got Pipeline without classes_: fit it first"),
        (LinearRegression(), "without classes_"),
        (IsolationForest(), "without classes_"),
        (KMeans(2), "without classes_"),
    ],
    ids=str,
)
def test_what_is_no_fitted_classifier_is_refused(estimator: Any, message: str) -> None:
    with pytest.raises(BrittleError, match=r"expected .*estimator") as refused:
        BlackBox(estimator)
    assert message in str(refused.value)


def test_estimators_of_several_labels_or_of_one_are_refused() -> None:
    images, labels = digits()
    twice = np.stack([labels.numpy() % 2, labels.numpy() % 3], axis=1)
    with pytest.raises(BrittleError, match="one label, got classes_"):
        BlackBox(DecisionTreeClassifier().fit(table(images), twice))
    with pytest.raises(BrittleError, match=r"at least two classes, got the classes \[0\]"):
        BlackBox(DecisionTreeClassifier().fit(table(images), 0 * labels.numpy()))


def test_images_of_another_size_are_refused() -> None:
    classifier = BlackBox(fitted(DecisionTreeClassifier()))
    with pytest.raises(BrittleError, match=r"expected images of 64 values.* got 192 \(3 x 8 x 8"):
        classifier.logits(torch.rand(4, 3, 8, 8))


def test_scores_of_another_number_of_classes_are_refused() -> None:
    class Fewer(OnlyPredicts):
        def predict_proba(self, rows: Any) -> Any:
            return np.full((len(rows), 3), 1 / 3)

    with pytest.raises(BrittleError, match=r"expected 10 scores for an image, one for a class, got 3"):
        BlackBox(Fewer(fitted(DecisionTreeClassifier()))).logits(digits()[0])


# ---- the fingerprint


FITS = """
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier
from brittle.models.black_box import BlackBox
rows = np.random.RandomState(0).rand(60, 4)
names = [f"class {k}" for k in rows[:, 0].round()]
kinds = (RandomForestClassifier(5, random_state=0), KNeighborsClassifier(algorithm="kd_tree"))
found = [BlackBox(kind.fit(rows, names)).fingerprint for kind in kinds]
"""


def test_fingerprint_is_that_of_another_process() -> None:
    here: dict[str, Any] = {}
    exec(FITS, here)
    there = subprocess.run(
        [sys.executable, "-c", f"{FITS}\nprint(found)"],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "7", "PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1"},
    )
    assert there.stdout.strip() == str(here["found"])


@pytest.mark.parametrize(("estimator", "access", "classes"), KINDS, ids=str)
def test_fingerprint_is_the_same_after_storing_and_asking(estimator: Any, access: Access, classes: int) -> None:
    file = io.BytesIO()
    fingerprint = BlackBox(fitted(estimator, classes=classes)).fingerprint
    joblib.dump(estimator, file)
    file.seek(0)
    stored = [joblib.load(file), pickle.loads(pickle.dumps(estimator))]
    estimator.predict(table(mixtures()))
    assert {BlackBox(one).fingerprint for one in (estimator, *stored)} == {fingerprint}
    assert BlackBox(fitted(estimator, classes=classes)).fingerprint == fingerprint  # fitted again on the same


def test_fingerprint_changes_with_what_was_learnt_and_set_and_with_the_range() -> None:
    images, labels = digits()
    forest = RandomForestClassifier(3, random_state=0)
    found = [
        BlackBox(fitted(forest)).fingerprint,
        BlackBox(forest, mean=(0,), std=(0.5,)).fingerprint,
        BlackBox(forest.fit(table(images[1:]), labels[1:].numpy())).fingerprint,
        *(BlackBox(fitted(KNeighborsClassifier(k))).fingerprint for k in (1, 3)),
        *(
            BlackBox(fitted(make_pipeline(FunctionTransformer(change), SVC()))).fingerprint
            for change in (lambda rows: 2 * rows, lambda rows: 3 * rows)
        ),
    ]
    assert len(set(found)) == len(found)
    assert BlackBox(fitted(RandomForestClassifier(3, random_state=0, n_jobs=1))).fingerprint == found[0]


def test_what_cannot_be_stored_has_no_fingerprint() -> None:
    tree = OnlyPredicts(fitted(DecisionTreeClassifier()))
    vars(tree)["rows"] = (row for row in range(3))
    with pytest.raises(BrittleError, match="a generator in what is to be attacked cannot be stored"):
        _ = BlackBox(tree).fingerprint


def test_an_estimator_in_the_place_of_a_network_is_taken_for_what_it_is() -> None:
    images, _ = digits()
    net = Estimator(fitted(DecisionTreeClassifier(random_state=0)))
    assert BlackBox(net).access == "score"
    assert BlackBox(net).name == "DecisionTreeClassifier"
    assert torch.equal(BlackBox(net).logits(images), BlackBox(net.estimator).logits(images))
