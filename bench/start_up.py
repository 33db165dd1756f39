"""How long ``brittle --help`` takes."""

import subprocess
import sys
from pathlib import Path

from bench.clock import interleaved
from bench.report import Check, Section, Table
from bench.setting import Skipped

ROUNDS, GOAL = 5, 0.6


def section() -> Section:
    script = Path(sys.executable).with_name("brittle")
    if not script.exists():
        raise Skipped("the brittle command is not installed beside this Python")

    def run(*command: str) -> int:
        return len(subprocess.run(command, check=True, capture_output=True).stdout)

    timed = interleaved(
        {
            "brittle --help": lambda: run(str(script), "--help"),
            "python -c pass": lambda: run(sys.executable, "-c", "pass"),
        },
        ROUNDS,
    )
    seconds = timed["brittle --help"].median
    return Section(
        title="Start-up",
        checks=(Check("brittle --help", f"≤ {GOAL} s", f"{seconds:.2f} s", seconds <= GOAL),),
        tables=(Table(("command", "ms (range)"), tuple((name, one.ms()) for name, one in timed.items())),),
        facts={name: one.seconds for name, one in timed.items()},
    )
