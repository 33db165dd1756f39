"""Drawn signs: functions of their names alone, of every class alike, and no two plates of a kind."""

import hashlib
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
import torch

from brittle.data import Examples, Fit, load_data
from brittle.data.signs import SIGNS, signs_test, signs_train
from brittle.data.signs.plates import plate
from brittle.errors import BrittleError

DIGEST = """
import hashlib
from brittle.data.signs import load_signs_test
print(hashlib.sha256(load_signs_test("signs", limit=5, fit=None).images(0, 5).numpy().tobytes()).hexdigest())
"""


@pytest.fixture(scope="module")
def everything() -> Examples:
    return signs_test()


def test_an_image_is_a_function_of_its_id(everything: Examples) -> None:
    few = load_data("signs", limit=5, fit=Fit(channels=3, height=64, width=64))
    assert few.ids[0] == "stop-00" and len(set(few.ids)) == 5
    for row, name in enumerate(few.ids):
        place = everything.ids.index(name)
        assert torch.equal(few.images(row, row + 1), everything.images(place, place + 1))
    elsewhere = subprocess.run([sys.executable, "-c", DIGEST], capture_output=True, text=True, check=True)
    assert elsewhere.stdout.strip() == hashlib.sha256(few.images(0, 5).numpy().tobytes()).hexdigest()


def test_parts_are_balanced_and_share_no_image(everything: Examples) -> None:
    train, test = signs_train(3), everything
    assert train.labels is not None and test.labels is not None
    assert train.labels.bincount().tolist() == [3] * 16 and test.labels.bincount().tolist() == [30] * 16
    assert set(train.ids).isdisjoint(test.ids)
    images = torch.cat([part.images(0, 480) for part in (train, test)])
    assert images.shape == (528, 3, 64, 64)
    assert len({image.numpy().tobytes() for image in images}) == 528
    assert torch.equal(images.mul(255).round().div(255), images)
    assert (test.class_names, test.source) == (SIGNS, "signs (test part)")


def test_no_two_plates_are_alike() -> None:
    drawn = {name: np.asarray(plate(name), dtype=np.float64) for name in SIGNS}
    for one, other in combinations(SIGNS, 2):
        share = (np.abs(drawn[one] - drawn[other]).max(axis=2) > 64).mean()
        assert share > 0.02, (one, other)


def test_another_size_is_refused() -> None:
    with pytest.raises(BrittleError, match=r"64 x 64 pixels, not resized; the network wants 1 x 8 x 8"):
        load_data("signs", fit=Fit(channels=1, height=8, width=8))
