"""Images as people have them: the same audit, whatever they come in."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import killable
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset
from torchvision.transforms.functional import to_pil_image

import brittle
from brittle.data.given import as_examples
from brittle.errors import BrittleError


class Pictures(Dataset[tuple[Image.Image, int]]):
    """As torchvision's data sets are: Pillow images, labels, and the names of the classes."""

    classes = tuple("0123456789")

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: int) -> tuple[Image.Image, int]:
        return to_pil_image(self.images[place]), int(self.labels[place])


class Stream(IterableDataset[Tensor]):
    def __iter__(self) -> Iterator[Tensor]:
        return iter(())


def data() -> tuple[Tensor, Tensor]:
    examples = killable.examples(10)
    assert examples.labels is not None
    return (examples.images(0, 10) * 255).round() / 255, examples.labels


def test_the_same_images_give_the_same_records(tmp_path: Path) -> None:
    images, labels = data()
    pairs = TensorDataset(images, labels)
    given: dict[str, Any] = {
        "pair": (images, labels),
        "dataset": pairs,
        "loader": DataLoader(pairs, batch_size=3, shuffle=True),
        "pictures": Pictures(images, labels),
    }
    found = {}
    for name, one in given.items():
        run = brittle.audit(killable.classifier(), one, [brittle.FGSM(eps=0.1)], out=tmp_path / name)
        found[name] = run.records.drop(columns=["seconds", "example"])
    for name in given:
        pd.testing.assert_frame_equal(found[name], found["pair"])


def test_labels_and_names_are_the_datasets() -> None:
    images, labels = data()
    examples = as_examples(Pictures(images, labels))
    assert examples.labels is not None and examples.labels.tolist() == labels.tolist()
    assert examples.class_names == tuple("0123456789")
    assert torch.equal(examples.images(2, 5), images[2:5])
    assert as_examples(images).labels is None
    other = as_examples(Pictures(images.flip(0), labels))
    assert other.fingerprint != examples.fingerprint


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([1, 2], "expected Examples, .*, got list"),
        ("digits", "got str"),
        (Stream(), "got Stream"),
        (TensorDataset(torch.zeros(2, 1, 4, 4) - 1, torch.zeros(2).long()), "leave normalising to the Network"),
        (TensorDataset(torch.zeros(2, 4)), r"expected images \[C, H, W\]"),
    ],
)
def test_anything_else_is_refused_in_a_line(given: object, message: str) -> None:
    with pytest.raises(BrittleError, match=message) as refused:
        as_examples(given)
    assert "\n" not in str(refused.value)
