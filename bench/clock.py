"""Timing that drift of the machine does not bias."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Timed(Generic[T]):
    """Seconds of each round, and what the last round returned."""

    seconds: tuple[float, ...]
    result: T

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def ms(self, share: int = 1) -> str:
        """Median milliseconds for one of ``share`` images, with the range over the rounds."""
        low, middle, high = (1e3 * value / share for value in (min(self.seconds), self.median, max(self.seconds)))
        return f"{middle:.2f} ({low:.2f} to {high:.2f})"

    def times(self, other: "Timed[Any]") -> float:
        """How many times as long as ``other``: the median of the ratios within a round, so that drift cancels."""
        return statistics.median(a / b for a, b in zip(self.seconds, other.seconds, strict=True))


def interleaved(calls: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, Timed[T]]:
    """Each call once to warm up, then A B C, A B C, ..."""
    results = {name: call() for name, call in calls.items()}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.perf_counter()
            results[name] = call()
            seconds[name].append(time.perf_counter() - started)
    return {name: Timed(tuple(seconds[name]), results[name]) for name in calls}


class Stopwatch:
    """Splits time over parts that may contain one another: an inner part's time is not the outer one's as well."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._running: list[str] = []
        self._since = 0.0

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        self._book()
        self._running.append(name)
        try:
            yield
        finally:
            self._book()
            self._running.pop()

    def inside(self, name: str) -> bool:
        """Whether a part of this name is running."""
        return name in self._running

    def timed(self, name: str, function: Callable[..., T]) -> Callable[..., T]:
        """The same function, its time booked under ``name``."""

        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> T:
            with self.part(name):
                return function(*args, **kwargs)

        return call

    def _book(self) -> None:
        now = time.perf_counter()
        if self._running:
            name = self._running[-1]
            self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now
