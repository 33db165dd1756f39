"""What the terminal shows while a run goes on: a bar for each group of its units, on stderr."""

from collections.abc import Sequence
from typing import Any, final

import pyarrow as pa
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from brittle.records import Manifest
from brittle.run.study import Unit
from brittle.text import percent

_COUNTED = {"audit": "misclassified", "craft": "as wished", "fit": "fooled"}


@final
class Bars:
    """A ``Watch``. Nothing is shown before the run has begun: what is refused is one line and nothing else."""

    def __init__(self) -> None:
        self.talk = Console(stderr=True)
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.talk,
        )
        self.bars: dict[str, TaskID] = {}
        self.counts: dict[str, int] = {}
        self.counted = ""

    def __enter__(self) -> "Bars":
        return self

    def __exit__(self, *raised: object) -> None:
        if self.progress.live.is_started:
            self.progress.stop()

    def planned(self, manifest: Manifest, units: Sequence[Unit]) -> None:
        """A bar for each group, and what the preflight has to say."""
        self.counted = _COUNTED.get(manifest.study, "")
        self.progress.start()
        for model in manifest.models:
            of = f" ({model.name})" if len(manifest.models) > 1 else ""
            for flag in model.flags:
                self.talk.print(Text(f"flag {flag.code}{of}: {flag.message}", style="yellow"))
        for unit in units:
            if unit.group not in self.bars:
                total = sum(len(one) for one in units if one.group == unit.group)
                self.bars[unit.group] = self.progress.add_task(unit.group, total=total, rate="")
                self.counts[unit.group] = 0

    def done(self, unit: Unit, table: pa.Table, count: int, resumed: bool) -> None:
        """Moves the bar of the unit's group."""
        bar = self.bars[unit.group]
        self.counts[unit.group] += count
        self.progress.advance(bar, len(unit))
        share = self.counts[unit.group] / max(1.0, self.progress.tasks[bar].completed)
        said = f"{percent(share)} {self.counted}" if self.counted else ""
        self.progress.update(bar, rate=said + (" (resumed)" if resumed else ""))

    def look(self, confident: float, change: float) -> None:
        """How far the photograph that is being crafted is."""
        self._say(f"{percent(confident)} sure, changed by {change:.2f} grey levels")

    def step(self, step: Any) -> None:
        """How far a fit is."""
        self._say(f"{step.done:,} of at most {step.total:,} steps over images")

    def _say(self, text: str) -> None:
        unfinished = [task for task in self.progress.tasks if not task.finished]
        if unfinished:
            self.progress.update(unfinished[0].id, rate=text)
