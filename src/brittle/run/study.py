"""What a study is to the engine: a plan, independent units of work, and what one unit does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol, final

import pyarrow as pa

from brittle.records import Manifest


@final
@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of work that needs nothing of another unit of its stage, and whose result does not depend on any.

    key: names it and its records, ``records/<key>.parquet``. group: what progress counts together. start, stop: the
    examples it is about, by position. at: where else it stands in its study, which alone reads it. stage: units of one
    stage begin when those of the stage before are finished, and may read their files. guess: seconds that an example
    may take, as far as can be told before any has been done, of a unit that may be done in parts; 0 of one that is
    done as a whole.
    """

    key: str
    group: str
    start: int
    stop: int
    at: Any
    stage: int = 0
    guess: float = 0.0

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def span(self) -> tuple[int, int]:
        return self.start, self.stop

    def part(self, start: int, stop: int) -> "Unit":
        """The same work on some of the examples."""
        return replace(self, key=f"{self.key}/{start:08d}-{stop:08d}", start=start, stop=stop)


class Done(NamedTuple):
    """What a unit has made: its records, and files by their path below the run directory."""

    table: pa.Table
    files: Mapping[str, bytes]


class Study(Protocol):
    """What is done to every example, and what is written down of it. It can be pickled, for workers elsewhere."""

    @property
    def name(self) -> str:
        """The registered name."""

    def plan(self, stored: Manifest | None, command: str | None) -> Manifest:
        """The manifest, after every check that can refuse the run; ``stored``: of the run that is to be resumed."""

    def units(self, manifest: Manifest) -> Sequence[Unit]:
        """All units of work, in the order in which one worker does them."""

    def given(self, unit: Unit) -> str:
        """sha256 of the unit's examples as they are now: a run goes on where other data were only meant to come."""

    def shared(self, unit: Unit, manifest: Manifest) -> Mapping[str, bytes]:
        """Files that the unit shares with others, and that need none of its work."""

    def do(self, unit: Unit, manifest: Manifest, files: "Files") -> Done:
        """The work of a unit, or of a part. What it writes down depends on that alone. files: of the stages before, and
        what it has left itself where it was stopped."""

    def joined(self, unit: Unit, parts: Sequence[tuple[Unit, Done]]) -> Mapping[str, bytes]:
        """The files of a unit, from those of its parts, in order; its records are theirs."""

    def count(self, table: pa.Table) -> int:
        """What progress counts of a unit's records, as the number of examples fooled."""


class Files(Protocol):
    """The run directory, as a unit sees it."""

    def read(self, name: str) -> bytes:
        """The content of a file of the stages before, by its path below the run directory."""

    def scratch(self, unit: Unit) -> Path:
        """A folder for what a unit goes on from where it was stopped; it is gone once the unit is finished."""


class Watch(Protocol):
    """Whoever is told how far a run is."""

    def planned(self, manifest: Manifest, units: Sequence[Unit]) -> None:
        """The run has begun: nothing will refuse it any more."""

    def done(self, unit: Unit, table: pa.Table, count: int, seconds: float | None) -> None:
        """A unit or a part of one is finished: it took so many seconds, or None where it was in an earlier run."""

    def lost(self, unit: Unit, seconds: float) -> None:
        """The run ends while this was being done, for so many seconds."""
