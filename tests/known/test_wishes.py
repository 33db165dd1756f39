"""Wishes: what each means for a photograph, and the answer to those that mean nothing."""

import pytest
import torch

from brittle.errors import BrittleError
from brittle.models.classes import class_of
from brittle.rng import Rng
from brittle.studies.wishes import check_wishes, targets_of

NAMES = ("ostrich", "school bus", "crane", "tench", "crane", "garbage truck", "tow truck")
LOGITS = torch.tensor([0.1, 3.0, 2.0, -1.0, 0.5, 0.2, -0.5])


def targets(*wishes: str, seed: int = 0, photo: str = "a") -> list[int | None]:
    return targets_of(wishes, LOGITS, NAMES, Rng(seed, (photo,)), "photo.jpg")


def test_choices_follow_what_the_network_says() -> None:
    assert targets("least-likely", "next-best", "untargeted") == [3, 2, None]


@pytest.mark.parametrize(("wish", "index"), [("ostrich", 0), ("OSTRICH", 0), (" Tench ", 3), ("4", 4), ("0", 0)])
def test_classes_go_by_name_in_any_case_and_by_index(wish: str, index: int) -> None:
    assert targets(wish) == [index]


def test_random_targets_differ_from_each_other_and_from_what_is_seen_and_repeat_with_the_seed() -> None:
    drawn = targets(*["random"] * 6)
    assert sorted(one for one in drawn if one is not None) == [0, 2, 3, 4, 5, 6]
    assert targets(*["random"] * 6) == drawn
    assert len({tuple(targets(*["random"] * 6, seed=seed)) for seed in range(5)}) > 1
    assert len({tuple(targets(*["random"] * 6, photo=photo)) for photo in "abcde"}) > 1


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ("school bus", "photo.jpg for 'school bus' already"),
        ("1", "photo.jpg for 'school bus' already"),
        ("7", "below 7, got 7"),
        ("crane", "names 2 classes; say which by its index: 2, 4"),
        ("truck", "did you mean 'garbage truck' or 'tow truck'"),
        ("ostritch", "did you mean 'ostrich'"),
        ("zzzz", "no class is called 'zzzz'"),
        ("", "no class is called ''"),
    ],
)
def test_what_cannot_be_wished_for_is_said_in_one_line(wish: str, said: str) -> None:
    with pytest.raises(BrittleError, match=said):
        targets(wish)


def test_without_names_only_indices_will_do() -> None:
    assert class_of("2", None, 3) == 2
    with pytest.raises(BrittleError, match="have no names; expected an index below 3"):
        class_of("ostrich", None, 3)


def test_wishes_are_checked_before_any_photograph() -> None:
    check_wishes(["random", "ostrich", "untargeted"], NAMES, len(NAMES))
    with pytest.raises(BrittleError, match="expected a target"):
        check_wishes([], NAMES, len(NAMES))
    with pytest.raises(BrittleError, match="no class"):
        check_wishes(["random", "nothing"], NAMES, len(NAMES))
