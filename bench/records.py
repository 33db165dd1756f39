"""What reading a million records asks for: ``brittle summary``, ``report``, and ``view`` until its first answer."""

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from bench.drawn import ATTACKS, draw_audit
from bench.report import Check, Section, Table

IMAGES, SECONDS, MEMORY = 50_000, 60, 4.0


class Cost(NamedTuple):
    """wall, processor: seconds, the latter of all threads together. memory: the most at any time, GiB."""

    wall: float
    processor: float
    memory: float


def section(images: int = IMAGES) -> Section:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "run"
        draw_audit(place, images, keep=True)
        costs = {
            "summary --json": _cost("brittle", "summary", str(place), "--json"),
            "report": _cost("brittle", "report", str(place)),
        }
        if importlib.util.find_spec("duckdb") is not None:
            costs["view, first answer"] = _cost("bench.records", str(place))
        files = sum(1 for _ in (place / "records").rglob("*.parquet"))
    checks = [
        check
        for name, cost in costs.items()
        for check in (
            Check(f"{name}, processor", f"≤ {SECONDS} s", f"{cost.processor:.0f} s", cost.processor <= SECONDS),
            Check(f"{name}, memory", f"≤ {MEMORY:g} GiB", f"{cost.memory:.2f} GiB", cost.memory <= MEMORY),
        )
    ]
    rows = [(name, f"{one.wall:.0f}", f"{one.processor:.0f}", f"{one.memory:.2f}") for name, one in costs.items()]
    return Section(
        title=f"{images * len(ATTACKS):,} records",
        checks=tuple(checks),
        tables=(Table(("command", "seconds", "of a processor", "GiB"), tuple(rows)),),
        notes=(
            f"{images:,} images under {len(ATTACKS)} attacks, drawn at random and kept by the engine's own store:"
            f" {files:,} record files. Each command in a process of its own, with all that it imports.",
        ),
        facts={name: cost._asdict() for name, cost in costs.items()},
    )


def _cost(*command: str) -> Cost:
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return Cost(time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20)


def _view(place: Path) -> None:
    """What ``brittle view`` does until it can answer, and its first answer."""
    from brittle.view.index import Index
    from brittle.view.shelf import shelved

    Index(shelved([place])).find({})


if __name__ == "__main__":
    _view(Path(sys.argv[1]))
