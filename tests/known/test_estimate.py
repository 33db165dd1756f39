"""How long work would take, told from a few examples, by a clock that only the work moves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from brittle.cli import estimate
from brittle.cli.estimate import tries
from brittle.records import TRAINED
from brittle.run.study import Done, Unit


@dataclass
class Clock:
    now: float = 0.0

    def perf_counter(self) -> float:
        return self.now


@dataclass
class Work:
    """Takes so many seconds before anything else, the first time, so many for each unit, and so many an example."""

    clock: Clock
    first: float
    unit: float
    example: float
    done: list[int] = field(default_factory=list)

    def do(self, unit: Unit, manifest: Any, files: Any) -> Done:
        self.clock.now += (0 if self.done else self.first) + self.unit + self.example * len(unit)
        self.done.append(len(unit))
        return Done(TRAINED.empty_table(), {})

    def joined(self, unit: Unit, parts: Any) -> Mapping[str, bytes]:
        return {}


@pytest.mark.parametrize(
    ("first", "unit", "example", "within"),
    [(0, 0, 0.01, 0.02), (0, 2, 0.01, 0.02), (30, 1, 0.001, 0.05), (30, 0, 20, 0.05)],
    ids=["examples", "units", "what is prepared once", "examples that take long"],
)
def test_work_takes_as_long_as_it_is_said_to(
    monkeypatch: pytest.MonkeyPatch, first: float, unit: float, example: float, within: float
) -> None:
    clock = Clock()
    monkeypatch.setattr(estimate, "time", clock)
    work: Any = Work(clock, first, unit, example)
    units = [Unit(key=f"{number}", group="one", start=0, stop=1000, at=None) for number in range(3)]
    manifest: Any = None
    ((_, _, seconds),) = tries(work, manifest, units, estimate.ENOUGH)
    assert seconds == pytest.approx(first + 3 * (unit + 1000 * example), rel=within)
    assert sum(work.done) < 400
