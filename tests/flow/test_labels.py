"""Class names: labels are counted as the network counts, or refused."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import nn

import brittle
from brittle.errors import BrittleError
from brittle.records import read_manifest, read_records
from brittle.run.labels import check_class_count, in_classes_of


def data(names: Sequence[str] | None, labels: list[int] | None) -> brittle.Examples:
    count = 4 if labels is None else len(labels)
    images = torch.linspace(0, 1, count).view(-1, 1, 1, 1).expand(count, 1, 2, 2).contiguous()
    return brittle.examples_of(images, None if labels is None else torch.tensor(labels), class_names=names)


def mapped(network: Sequence[str] | None, names: Sequence[str] | None, labels: list[int] | None) -> list[int] | None:
    found = in_classes_of(network, data(names, labels)).labels
    return None if found is None else found.tolist()


PETS = ["cat", "dog", "horse", "polar bear"]


@pytest.mark.parametrize(
    ("network", "names", "expected"),
    [
        pytest.param(PETS, PETS, [0, 1, 2, 3], id="the same"),
        pytest.param(PETS, ["polar bear", "horse", "dog", "cat"], [3, 2, 1, 0], id="another order"),
        pytest.param(PETS, ["Polar_Bear", "HORSE", " dog", "cat"], [3, 2, 1, 0], id="spelling"),
        pytest.param(PETS, ["polar-bear", "horse", "dog", "cat"], [3, 2, 1, 0], id="hyphen"),
        pytest.param([*PETS, "emu", "ox"], ["ox", "emu", "cat", "dog"], [5, 4, 0, 1], id="a part of the classes"),
        pytest.param(
            ["tench, Tinca tinca", "goldfish, Carassius auratus", "crane", "crane, bird"],
            ["Tinca_tinca", "goldfish", "bird", "tench"],
            [0, 1, 3, 0],
            id="synonyms of the network's",
        ),
        pytest.param(["emu", "tench"], ["tench, Tinca tinca", "emu", "EMU", "tench"], [1, 0, 0, 1], id="of the data's"),
        pytest.param(PETS, ["n01", "n02", "n03", "n04"], [0, 1, 2, 3], id="as many, none known"),
        pytest.param(PETS, ["cat", "dog", "pony", "ice bear"], [0, 1, 2, 3], id="as many, the known ones in place"),
        pytest.param(["crane", "crane", "emu"], ["emu", "emu", "emu", "emu"], [2, 2, 2, 2], id="ambiguous, not asked"),
        pytest.param(None, PETS[::-1], [0, 1, 2, 3], id="the network names none"),
        pytest.param(PETS, None, [0, 1, 2, 3], id="the data name none"),
    ],
)
def test_labels_become_the_network_s(
    network: Sequence[str] | None, names: Sequence[str] | None, expected: list[int]
) -> None:
    assert mapped(network, names, [0, 1, 2, 3]) == expected


def test_nothing_changes_where_nothing_moves() -> None:
    for names in (PETS, ["n01", "n02", "n03", "n04"], [name.upper() for name in PETS]):
        examples = data(names, [0, 1, 2, 3])
        assert in_classes_of(PETS, examples) is examples
    unlabelled = data(["a", "b"], None)
    assert in_classes_of(PETS, unlabelled) is unlabelled


def test_mapped_examples_are_other_data_with_the_network_s_names() -> None:
    examples = data(PETS[::-1], [0, 1, 2, 3])
    found = in_classes_of(PETS, examples)
    assert found.class_names == tuple(PETS)
    assert found.fingerprint != examples.fingerprint
    assert found.fingerprint == in_classes_of(PETS, examples).fingerprint
    assert found.fingerprint != in_classes_of([*PETS[1:], "cat"], examples).fingerprint
    assert found.ids == examples.ids


@pytest.mark.parametrize(
    ("network", "names", "said"),
    [
        (
            PETS,
            ["cat", "dgo"],
            "the data has 2 (cat, dgo), the network 4 (cat, dog, horse, ...), among them no 'dgo'; did you mean 'dog'?",
        ),
        (
            PETS,
            ["243", "559", "990", "949", "853"],
            "the data has 5 (243, 559, 990, ...), the network 4 (cat, dog, horse, ...), among them no '243'",
        ),
        (
            PETS,
            ["dog", "cat", "horse", "zebra"],
            "got 'dog' as class 0 of the data and class 1 of the network, which has no 'zebra'; rename the data's",
        ),
        (["crane", "crane"], ["crane"], "the data has 1 (crane), the network 2 (crane, crane), among them no 'crane'"),
    ],
)
def test_what_does_not_belong_together_is_refused(network: list[str], names: list[str], said: str) -> None:
    with pytest.raises(BrittleError, match=re.escape(said)):
        mapped(network, names, [0, 0, 0, 0])


def test_a_label_without_a_name_is_refused() -> None:
    with pytest.raises(BrittleError, match="expected labels from 0 to 3, as the data names 4 classes, got 4"):
        mapped(PETS, PETS, [0, 4])


def test_a_run_counts_classes_as_the_network_does(tmp_path: Path) -> None:
    """A network that answers "b" for dark and "a" for bright images, on data whose first class is "a"."""
    linear = nn.Linear(4, 2)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[-1.0] * 4, [1.0] * 4]))
        linear.bias.copy_(torch.tensor([2.0, -2.0]))
    classifier = brittle.Network(nn.Sequential(nn.Flatten(), linear), class_names=["b", "a"])
    examples = data(["a", "b"], [1, 1, 0, 0])  # dark, dark, bright, bright
    brittle.audit(classifier, examples, [brittle.FGSM(eps=0.1)], out=tmp_path)
    records = read_records(tmp_path)
    assert records["label"].tolist() == records["clean_prediction"].tolist() == [0, 0, 1, 1]
    (model,) = read_manifest(tmp_path).models
    assert model.class_names == ["b", "a"]
    assert model.data_fingerprint != examples.fingerprint


def test_fewer_classes_than_a_nameless_network_has_outputs_are_refused() -> None:
    examples = data(["cat", "dog"], [0, 1])
    with pytest.raises(BrittleError, match=r"expected data of 10 classes.*got 2 .*give the Classifier its class_names"):
        check_class_count(None, 10, examples)
    check_class_count(None, 2, examples)
    check_class_count(None, 3, examples, reject=2)
    check_class_count(["cat", "dog"], 2, examples)
