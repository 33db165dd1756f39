"""What is read ahead is what would have been read, and says what is wrong when it is asked for."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from brittle import devices
from brittle.api import audit
from brittle.attacks import FGSM
from brittle.data import load_data
from brittle.data.ahead import Ahead
from brittle.data.examples import Examples, examples_of
from brittle.errors import BrittleError
from brittle.models import load_model
from brittle.types import Images

META, CPU = torch.device("meta"), torch.device("cpu")


class Watched:
    """Examples, ten by default; which of them have been read, and whether by another thread."""

    def __init__(self, plain: Examples | None = None, damaged: int | None = None) -> None:
        self.plain = plain or examples_of(torch.rand(10, 1, 4, 4, generator=torch.Generator().manual_seed(0)))
        self.examples = replace(self.plain, read=self._read)
        self.damaged, self.read, self.elsewhere = damaged, list[tuple[int, int]](), list[bool]()

    def _read(self, positions: Sequence[int]) -> Images:
        self.read.append((positions[0], positions[-1] + 1))
        self.elsewhere.append(threading.current_thread() is not threading.main_thread())
        if self.damaged in positions:
            raise BrittleError(f"image {self.damaged} is damaged")
        return self.plain.read(positions)


@pytest.fixture
def accelerated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU counts as a device that is asked now and then."""
    monkeypatch.setattr(devices, "AT_ONCE", frozenset())


def test_those_that_follow_are_read_by_another_thread_and_are_the_same(accelerated: None) -> None:
    watched, ahead = Watched(), Ahead()
    for start in (0, 4, 8):
        images = ahead.images(watched.examples, start, min(start + 4, 10), CPU)
        assert torch.equal(images, watched.plain.images(start, start + 4))
    assert watched.read == [(0, 4), (4, 8), (8, 10)]
    assert watched.elsewhere == [False, True, True]


def test_others_than_expected_are_read_at_once(accelerated: None) -> None:
    watched, other, ahead = Watched(), Watched(), Ahead()
    ahead.images(watched.examples, 0, 4, CPU)
    assert torch.equal(ahead.images(watched.examples, 6, 9, CPU), watched.plain.images(6, 9))
    assert torch.equal(ahead.images(other.examples, 9, 10, CPU), other.plain.images(9, 10))
    assert (other.read, other.elsewhere) == ([(9, 10)], [False])


def test_a_damaged_image_is_told_when_it_is_asked_for(accelerated: None) -> None:
    watched, ahead = Watched(damaged=5), Ahead()
    ahead.images(watched.examples, 0, 4, CPU)
    with pytest.raises(BrittleError, match="image 5 is damaged"):
        ahead.images(watched.examples, 4, 8, CPU)


def test_a_cpu_reads_nothing_ahead_and_an_accelerator_gets_its_images() -> None:
    watched, ahead = Watched(), Ahead()
    ahead.images(watched.examples, 0, 4, CPU)
    assert watched.read == [(0, 4)]
    assert ahead.images(watched.examples, 0, 4, META).device == META


@pytest.mark.usefixtures("without_report")
def test_an_audit_that_reads_ahead_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records, watched = list[pd.DataFrame](), list[Watched]()
    for name in ("plain", "ahead"):
        digits = Watched(load_data("digits", limit=10))
        records.append(
            audit(load_model("digits-cnn"), digits.examples, [FGSM()], out=tmp_path / name, shard_size=4).records
        )
        watched.append(digits)
        monkeypatch.setattr(devices, "AT_ONCE", frozenset())
    assert [sum(one.elsewhere) for one in watched] == [0, 2]
    assert records[0].drop(columns="seconds").equals(records[1].drop(columns="seconds"))
