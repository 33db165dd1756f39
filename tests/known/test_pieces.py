"""How work is cut: by what examples take, never by much more at once, and at the end so that nobody waits."""

import logging
from dataclasses import replace
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from fake_run import manifest_of
from hypothesis import given, settings
from hypothesis import strategies as st

from brittle.run.pieces import Pieces
from brittle.run.study import Done, Unit
from brittle.run.tally import Logged, Tally
from brittle.run.workers import Local


def unit(key: str = "a", examples: int = 256, guess: float = 1.0, group: str = "dear") -> Unit:
    return Unit(key=key, group=group, start=0, stop=examples, at=None, guess=guess)


def pieces_of(*units: Unit) -> Pieces:
    return Pieces([(one, *one.span) for one in units])


def sizes(pieces: Pieces, seconds: float, workers: int = 1) -> list[int]:
    """What is handed out where each example takes so long."""
    found = []
    while (piece := pieces.take(workers)) is not None:
        found.append(len(piece))
        pieces.took(piece, seconds * len(piece))
    return found


def test_a_piece_takes_twenty_seconds_and_grows_by_steps() -> None:
    assert sizes(pieces_of(unit(guess=2.0)), 2.0) == [10] * 25 + [6]  # as guessed
    assert sizes(pieces_of(unit(guess=0.5)), 0.4) == [40, 50, 50, 50, 66]  # somewhat less than guessed
    assert sizes(pieces_of(unit(guess=20.0)), 0.01)[:5] == [1, 4, 16, 64, 100]  # far less
    assert sizes(pieces_of(unit(guess=0.01)), 0.01) == [256]  # whole, under its own key
    assert sizes(pieces_of(unit(guess=0.0)), 9.0) == [256]  # may not be cut


def test_easy_examples_promise_nothing_of_those_to_come() -> None:
    """An attack that ends where it has fooled: one that it cannot fool takes all that was guessed."""
    pieces = pieces_of(unit(guess=14.0))
    for _ in range(6):
        piece = pieces.take()
        assert piece is not None and 14.0 * len(piece) <= 30.0
        pieces.took(piece, 1.0 * len(piece))


def test_what_is_seen_counts_for_later_units_of_the_group_and_for_no_other() -> None:
    pieces = pieces_of(unit("a", guess=0.05), unit("b", guess=0.05), unit("c", guess=0.05, group="other"))
    first = pieces.take()
    assert first is not None and (first.key, len(first)) == ("a", 256)
    pieces.took(first, 512.0)
    keys = [piece.key for piece in iter(pieces.take, None)]
    assert keys[:2] == ["b/00000000-00000010", "b/00000010-00000020"]
    assert keys[-1] == "c"


def test_two_workers_end_together() -> None:
    """The last pieces are small, as far as batches stay worth their while, whoever finishes first."""
    found = sizes(pieces_of(*(unit(f"{k}", guess=0.01) for k in range(4))), 0.01, workers=2)
    assert sum(found) == 4 * 256
    assert found[0] == 256
    assert max(found[-3:]) <= 48
    assert min(found) >= 16


class Idle:
    """A study that does nothing."""

    def do(self, unit: Unit, manifest: Any, files: Any) -> Done:
        return Done(pa.table({}), {})

    def shared(self, unit: Unit, manifest: Any) -> dict[str, bytes]:
        return {}

    def given(self, unit: Unit) -> str:
        return ""


def test_work_that_no_other_process_is_started_for_is_not_cut_for_one() -> None:
    none: Any = None
    study: Any = Idle()
    little = pieces_of(*(unit(f"{k}", guess=0.005) for k in range(4)))  # 5 seconds
    assert [len(one.piece) for one in Local(2).do(study, none, little, none)] == [256] * 4


@given(
    units=st.lists(st.tuples(st.integers(1, 300), st.floats(0, 30)), min_size=1, max_size=5),
    workers=st.integers(1, 3),
    seed=st.integers(0, 99),
)
@settings(max_examples=50, deadline=None)
def test_every_example_is_handed_out_once(units: list[tuple[int, float]], workers: int, seed: int) -> None:
    """Also where a worker dies and its piece is handed out again."""
    draw = Random(seed)
    made = [unit(f"{k}", examples, guess, group=f"{k % 2}") for k, (examples, guess) in enumerate(units)]
    pieces, done = pieces_of(*made), list[tuple[str, int]]()
    while (piece := pieces.take(workers)) is not None:
        if draw.random() < 0.1:
            pieces.back(piece)
            continue
        assert piece in pieces.begun
        done += [(piece.key.partition("/")[0], place) for place in range(*piece.span)]
        pieces.took(piece, 100 * draw.random())
    assert sorted(done) == sorted((one.key, place) for one in made for place in range(*one.span))
    assert not pieces.begun


def test_the_time_left_is_that_of_what_has_been_seen() -> None:
    tally, table = Tally(), pa.table({})
    two = [unit("a", 100), unit("b", 10, group="other")]
    tally.planned(manifest_of(examples=100, study="audit"), two)
    assert (tally.time_left(), tally.line("dear")) == ("", "dear: 0 of 100")
    tally.done(two[0].part(0, 20), table, 15, None)
    assert tally.line("dear") == "dear: 20 of 100, 75.0 % misclassified (resumed)"
    tally.done(two[0].part(20, 60), table, 40, 60.0)
    assert tally.line("dear") == "dear: 60 of 100, 91.7 % misclassified (resumed), 60.0 s left"
    assert tally.time_left().startswith("more than ")
    tally.done(replace(two[1]), table, 0, 5.0)
    assert not tally.time_left().startswith("more than ")


def test_guesses_shrink_by_what_those_before_them_came_to() -> None:
    """DeepFool is guessed with all its steps: what took a tenth of that promises no more of PGD, and hires nobody."""
    pieces = pieces_of(unit(examples=8, guess=2.0), unit("b", examples=8, guess=0.5, group="other"))
    assert (pieces.seconds_shown(), pieces.seconds_left()) == (0, 20)
    piece = pieces.take()
    assert piece is not None
    pieces.took(piece, 0.2 * len(piece))
    assert pieces.seconds_shown() == pytest.approx(0.2 * (8 - len(piece)) + 0.05 * 8)


def test_python_s_logger_is_told(caplog: pytest.LogCaptureFixture) -> None:
    one, logged = unit("a", 100), Logged()
    with caplog.at_level(logging.INFO, "brittle"):
        logged.planned(manifest_of(examples=100, study="audit"), [one])
        logged.done(one.part(0, 50), pa.table({}), 25, 10.0)
        logged.lost(one.part(50, 100), 12.0)
    assert caplog.messages == [
        "audit of 100 examples: dear",
        "dear: 50 of 100, 50.0 % misclassified, 10.0 s left",
        "stopped in the middle of dear, examples 51 to 100: 12.0 s of work are lost",
    ]
