"""What is shown on stderr while a run goes on: bars on a terminal, elsewhere a line every half minute."""

import time
from collections.abc import Callable, Sequence
from typing import Any, final

import pyarrow as pa
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from brittle.records import Manifest
from brittle.run.study import Unit
from brittle.run.tally import Tally, lost_work
from brittle.text import duration, percent

_EVERY = 30.0  # seconds between two lines where there is no terminal
_WORTH_TELLING = 1.0  # seconds of lost work
_ALL = "all"


@final
class Bars:
    """A ``Watch``. Nothing is shown before the run has begun: what is refused is one line and nothing else.

    announce: says what is to be shown first.
    """

    def __init__(self, announce: Callable[[Manifest, Sequence[Unit]], str] | None = None) -> None:
        self.announce = announce
        self.talk = Console(stderr=True)
        self.tally = Tally()
        self.bars: dict[str, TaskID] = {}
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TextColumn("{task.fields[left]}", markup=False),
            TimeElapsedColumn(),
            console=self.talk,
        )
        self.said = time.monotonic()

    def __enter__(self) -> "Bars":
        return self

    def __exit__(self, *raised: object) -> None:
        if self.progress.live.is_started:
            self.progress.stop()
        elif not self.talk.is_terminal:
            for name, group in self.tally.groups.items():
                self._print(f"{name}  {group.done}/{group.total}  {self.tally.rate(name)}".rstrip())

    def planned(self, manifest: Manifest, units: Sequence[Unit]) -> None:
        """What the preflight has to say, and then a bar for each group, and one for all."""
        if self.announce is not None:
            self.talk.print(Text(self.announce(manifest, units)), soft_wrap=True)
        for model in manifest.models:
            of = f" ({model.name})" if len(manifest.models) > 1 else ""
            for flag in model.flags:
                self.talk.print(Text(f"flag {flag.code}{of}: {flag.message}", style="yellow"))
        self.tally.planned(manifest, units)
        if not self.talk.is_terminal:
            return
        self.progress.start()
        groups = {name: group.total for name, group in self.tally.groups.items()}
        if len(groups) > 1:
            groups[_ALL] = sum(groups.values())
        for name, total in groups.items():
            self.bars[name] = self.progress.add_task(name, total=total, rate="", left="")

    def done(self, unit: Unit, table: pa.Table, count: int, seconds: float | None) -> None:
        """Moves the bar of the unit's group, and that of all."""
        self.tally.done(unit, table, count, seconds)
        name, tally = unit.group, self.tally
        if name in self.bars:
            self.progress.update(
                self.bars[name], completed=tally.groups[name].done, rate=tally.rate(name), left=tally.time_left(name)
            )
            if _ALL in self.bars:
                done = sum(group.done for group in tally.groups.values())
                self.progress.update(self.bars[_ALL], completed=done, left=tally.time_left())
        elif seconds is not None and self._is_time():
            left = tally.time_left() if len(tally.groups) > 1 else ""
            self._print(tally.line(name) + (f"; all: {left}" if left else ""))

    def lost(self, unit: Unit, seconds: float) -> None:
        """Says what the end of the run costs."""
        if seconds >= _WORTH_TELLING:
            self._print(f"stopped in the middle of {unit.group}, {lost_work(unit, seconds)}")

    def look(self, confident: float, change: float) -> None:
        """How far the photograph that is being crafted is."""
        self._say(f"{percent(confident)} sure, changed by {change:.2f} grey levels")

    def step(self, step: Any) -> None:
        """How far a fit is."""
        self._say(f"{step.done:,} of at most {step.total:,} steps over images")

    def train(self, progress: Any) -> None:
        """How far a network is that is being trained."""
        numbers = ", ".join(f"{name} {value:.3f}" for name, value in progress.row.items())
        name = self._say(f"epoch {progress.epoch}: {numbers}")
        if name in self.bars:
            done = round(self.tally.groups[name].total * progress.done / progress.total)
            self.progress.update(self.bars[name], completed=done, left=f"{duration(progress.left)} left")

    def _say(self, text: str) -> str:
        """About the group that is being worked at, whose name it returns."""
        unfinished = [name for name, group in self.tally.groups.items() if group.done < group.total]
        if unfinished and unfinished[0] in self.bars:
            self.progress.update(self.bars[unfinished[0]], rate=text)
        elif unfinished and self._is_time():
            self._print(f"{unfinished[0]}: {text}")
        return unfinished[0] if unfinished else ""

    def _is_time(self) -> bool:
        now = time.monotonic()
        if now - self.said < _EVERY:
            return False
        self.said = now
        return True

    def _print(self, text: str) -> None:
        self.talk.print(Text(text), soft_wrap=True)
