"""What is left to do, handed out in pieces of some twenty seconds: that much is lost where a run is stopped."""

import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from brittle.run.study import Unit

SECONDS = 20.0
_MOST = 30.0  # seconds that a piece may take where each of its examples turns out as hard as can be
_WORTH = 1.0  # seconds that a piece is worth cutting for, whatever it might take
_GROWTH = 4  # times the largest piece of a group until now, as the examples of that may have been easy ones
_LEAST = 32  # examples of a piece that is only cut so that all workers end together: smaller batches are slower


@final
@dataclass(slots=True)
class _Pace:
    """What the examples of a group have taken until now, and what had been guessed for them."""

    examples: int = 0
    seconds: float = 0.0
    guessed: float = 0.0
    largest: int = 0

    @property
    def each(self) -> float:
        return self.seconds / self.examples


@final
class Pieces:
    """Units that are to be done, in order, each whole or in parts; several threads may take of them.

    A unit is cut where its examples are seen, or before any has been seen are guessed, to take longer than ``SECONDS``
    together, shared by the workers; where those to come may take ``_MOST``, however fast others were; and towards the
    end so that no worker is left with a long piece when others are idle.
    """

    def __init__(self, gaps: Sequence[tuple[Unit, int, int]]) -> None:
        """gaps: what is missing of units, from example to example."""
        self._left = deque(gaps)
        self._again = deque[Unit]()
        self._examples = Counter[str]()  # not handed out, of each group; and the seconds that were guessed for them
        self._guesses = defaultdict[str, float](float)
        for unit, start, stop in gaps:
            self._put(unit, stop - start)
        self._paces: dict[str, _Pace] = {}
        self._begun: dict[Unit, float] = {}
        self._lock = threading.RLock()

    def take(self, workers: int = 1) -> Unit | None:
        """The next piece, for one of so many workers; None where nothing is left."""
        with self._lock:
            if not self._again and not self._left:
                return None
            piece = self._again.popleft() if self._again else self._cut(workers)
            self._put(piece, -len(piece))
            self._begun[piece] = time.perf_counter()
            return piece

    def back(self, piece: Unit) -> None:
        """A piece that has not been done after all is handed out again."""
        with self._lock:
            del self._begun[piece]
            self._again.append(piece)
            self._put(piece, len(piece))

    def drop(self, piece: Unit) -> None:
        """A piece will not be done."""
        with self._lock:
            del self._begun[piece]

    def took(self, piece: Unit, seconds: float) -> None:
        """A piece is done."""
        with self._lock:
            del self._begun[piece]
            pace = self._paces.setdefault(piece.group, _Pace())
            pace.examples += len(piece)
            pace.seconds += seconds
            pace.guessed += piece.guess * len(piece)
            pace.largest = max(pace.largest, len(piece))

    @property
    def begun(self) -> dict[Unit, float]:
        """What is being done, and for how many seconds."""
        now = time.perf_counter()
        with self._lock:
            return {unit: now - since for unit, since in self._begun.items()}

    def seconds_left(self) -> float:
        """Of what has not been handed out. Guesses count for as much as those before them came to."""
        with self._lock:
            guessed = sum(pace.guessed for pace in self._paces.values())
            true = sum(pace.seconds for pace in self._paces.values()) / guessed if guessed else 1.0
            return sum(
                true * self._guesses[group] if group not in self._paces else self._paces[group].each * examples
                for group, examples in self._examples.items()
            )

    def seconds_shown(self) -> float:
        """The same, once anything has been done; until then nothing is known."""
        with self._lock:
            return self.seconds_left() if self._paces else 0.0

    def _put(self, unit: Unit, examples: int) -> None:
        """Counts by group: a run may have a million units, and each piece is cut by what is left."""
        self._examples[unit.group] += examples
        self._guesses[unit.group] += unit.guess * examples

    def _each(self, unit: Unit) -> float:
        pace = self._paces.get(unit.group)
        return unit.guess if pace is None else pace.each

    def _cut(self, workers: int) -> Unit:
        unit, start, stop = self._left[0]
        size = min(self._size(unit, workers, stop - start), stop - start)
        if start + size < stop:
            self._left[0] = unit, start + size, stop
        else:
            self._left.popleft()
        return unit if (start, start + size) == unit.span else unit.part(start, start + size)

    def _size(self, unit: Unit, workers: int, left: int) -> int:
        each = self._each(unit)
        if unit.guess == 0 or each == 0:
            return left
        # What a worker has done waits until this process has done its own.
        size = min(SECONDS / each, max(_MOST / unit.guess, _WORTH / each)) / min(2, workers)
        pace = self._paces.get(unit.group)
        if pace is not None:
            size = min(size, _GROWTH * pace.largest)
        if workers > 1:
            size = min(size, max(self.seconds_left() / (2 * workers) / each, _LEAST))
        size = max(1, int(min(size, left)))
        return left if left <= 1.5 * size else size
