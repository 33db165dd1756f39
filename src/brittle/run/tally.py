"""How far a run is, and how long it will still take, from what it has been told; and the same for Python's logging."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import pyarrow as pa

from brittle.records import Manifest
from brittle.run.study import Unit
from brittle.text import duration, percent

_COUNTED = {"audit": "misclassified", "craft": "as wished", "fit": "fooled"}


@final
@dataclass(slots=True)
class Group:
    """Examples of a group of units.

    total, done: of all. timed, seconds: of those done by this process, and what they took. count: fooled, or what else
    the study counts. resumed: some were done before.
    """

    total: int = 0
    done: int = 0
    timed: int = 0
    seconds: float = 0.0
    count: int = 0
    resumed: bool = False

    @property
    def left(self) -> float | None:
        """Seconds of work that are left; None where nothing tells."""
        if self.done == self.total:
            return 0.0
        return self.seconds / self.timed * (self.total - self.done) if self.timed else None


@final
class Tally:
    """A ``Watch`` that adds up, by the groups of units."""

    def __init__(self) -> None:
        self.groups: dict[str, Group] = {}
        self.counted = ""
        self._since = time.perf_counter()

    def planned(self, manifest: Manifest, units: Sequence[Unit]) -> None:
        """All that is to be done."""
        self.counted = _COUNTED.get(manifest.study, "")
        self._since = time.perf_counter()
        for unit in units:
            self.groups.setdefault(unit.group, Group()).total += len(unit)

    def done(self, unit: Unit, table: pa.Table, count: int, seconds: float | None) -> None:
        """Some of it is."""
        group = self.groups[unit.group]
        group.done += len(unit)
        group.count += count
        if seconds is None:
            group.resumed = True
        else:
            group.timed += len(unit)
            group.seconds += seconds

    def lost(self, unit: Unit, seconds: float) -> None:
        """Nothing."""

    def rate(self, name: str) -> str:
        """``"79.2 % misclassified"``, of what is done."""
        group = self.groups[name]
        said = f"{percent(group.count / max(1, group.done))} {self.counted}" if self.counted and group.done else ""
        return said + (" (resumed)" if group.resumed else "")

    def time_left(self, name: str | None = None) -> str:
        """``"3 min left"``, of a group or of all; "more than" where there are groups of which nothing is known yet."""
        groups = list(self.groups.values()) if name is None else [self.groups[name]]
        known = [group.left for group in groups if group.left is not None]
        if not any(known):
            return ""
        worked = sum(group.seconds for group in self.groups.values())
        at_once = max(1.0, worked / max(time.perf_counter() - self._since, 1e-9)) if name is None else 1.0
        more = "more than " if len(known) < len(groups) else ""
        return f"{more}{duration(sum(known) / at_once)} left"

    def line(self, name: str) -> str:
        """Where a group stands, in a line."""
        group = self.groups[name]
        said = [f"{group.done:,} of {group.total:,}", self.rate(name), self.time_left(name)]
        return f"{name}: {', '.join(one for one in said if one)}"


@final
class Logged:
    """A ``Watch`` that tells the logger ``brittle``, at level INFO."""

    def __init__(self) -> None:
        self.log = logging.getLogger("brittle")
        self.tally = Tally()

    def planned(self, manifest: Manifest, units: Sequence[Unit]) -> None:
        """What has begun, and what the preflight has to say, as warnings."""
        self.tally.planned(manifest, units)
        self.log.info("%s of %d examples: %s", manifest.study, manifest.examples, ", ".join(self.tally.groups))
        for model in manifest.models:
            for flag in model.flags:
                self.log.warning("%s (%s): %s", flag.code, model.name, flag.message)

    def done(self, unit: Unit, table: pa.Table, count: int, seconds: float | None) -> None:
        """Where the unit's group stands, and the whole."""
        self.tally.done(unit, table, count, seconds)
        left = self.tally.time_left() if len(self.tally.groups) > 1 else ""
        self.log.info("%s%s", self.tally.line(unit.group), f"; all: {left}" if left else "")

    def lost(self, unit: Unit, seconds: float) -> None:
        """What is lost."""
        self.log.warning("stopped in the middle of %s, %s", unit.group, lost_work(unit, seconds))


def lost_work(unit: Unit, seconds: float) -> str:
    """What is lost where a run ends in the middle of a unit."""
    return f"examples {unit.start + 1:,} to {unit.stop:,}: {duration(seconds)} of work are lost"
