"""Numbers as people read them: nothing reads as more certain, nearer or rounder than it is."""

import math

import pytest

from brittle.text import NONE, colour, counted, duration, percent, plain, significant, similarity, size, sure, wanted


def test_only_what_is_certain_reads_as_certain() -> None:
    shares = (0.0, 0.0001, 0.0005, 0.81, 0.99949, 0.9995, 1 - 1e-9, 1.0)
    read = ["0 %", "< 0.1 %", "0.1 %", "81.0 %", "99.9 %", "> 99.9 %", "> 99.9 %", "100 %"]
    assert [percent(share) for share in shares] == read
    assert [wanted(share) for share in (0.99, 0.07, 0.9999, 0.5)] == ["99 %", "7 %", "99.99 %", "50 %"]
    assert [colour(one) for one in (0.0, 0.004, 0.0051, 1.234)] == ["0.00", "< 0.01", "0.01", "1.23"]
    ssims = (1.0, 0.99999, 0.99995, 0.9999, 0.5)
    assert [similarity(one) for one in ssims] == ["1", "> 0.9999", "> 0.9999", "0.9999", "0.5000"]


def test_a_share_that_is_no_number_is_none() -> None:
    assert percent(math.nan) == NONE


def test_sizes_and_times_have_three_digits() -> None:
    values = (0, 0.07312, 12.34, 1024.4, 0.000021, 0.999, 99.95)
    assert [significant(value) for value in values] == ["0", "0.0731", "12.3", "1,024", "2.10e-05", "0.999", "100.0"]
    times = (0, 0.0071, 3.217, 119, 600, 12345)
    assert [duration(one) for one in times] == ["0 ms", "7.10 ms", "3.22 s", "119 s", "10.0 min", "206 min"]
    assert [counted(count, "image") for count in (0, 1, 1024)] == ["0 images", "1 image", "1,024 images"]
    assert [counted(count, "class") for count in (1, 10)] == ["1 class", "10 classes"]


def test_a_number_of_no_unit_may_not_exist() -> None:
    """As the median of distances, most of which are infinite."""
    assert [plain(one) for one in (1024.0, 0.5, float("inf"), float("nan"))] == ["1,024", "0.500", NONE, NONE]


@pytest.mark.parametrize(
    ("budget", "read"),
    [
        (2 / 255, "2/255"),
        (0.00784314, "2/255"),  # as a label has it
        (8 / 255, "8/255"),
        (8 / 255 * 1.001, "0.0314039"),
        (0.2, "0.2"),  # 51/255 too, but nobody says so
        (1.0, "1"),
        (0.001, "0.001"),
        (1e-9, "1e-09"),
        (3.0, "3"),
        (1500, "1,500"),
    ],
)
def test_a_budget_reads_in_grey_levels_where_it_is_some(budget: float, read: str) -> None:
    assert size(budget) == read


def test_what_falls_short_does_not_read_as_reached() -> None:
    pairs = [(0.9921, 0.99), (0.981, 0.99), (0.98996, 0.99), (0.9998, 0.9999), (0.99 - 1e-12, 0.99), (0.0001, 0.5)]
    read = ["99.2 %", "98.1 %", "98.996 %", "99.98 %", "< 99 %", "< 0.1 %"]
    assert [sure(*pair) for pair in pairs] == read
