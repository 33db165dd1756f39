"""Fixtures that several test modules share."""

import os
import sys

# Before torch is imported: threads that wait for one another sleep instead of spinning. With small networks on cores
# that others use too, spinning makes a test take ten times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Processes of tests share the cores: each gets its part of them, and no more threads than it has.
os.environ.setdefault(
    "OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))))
)

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(os.environ.get("BRITTLE_DATA", Path(__file__).parents[1].parent / "shared" / "data"))


@dataclass(frozen=True)
class Ran:
    """What a command did: its exit code, and all that it wrote on either stream, C libraries included."""

    code: int
    out: str
    err: str


Cli = Callable[..., Ran]
pytest_plugins = ["pytester"]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets and weights; the test is skipped where it is absent."""
    if not (SHARED / "weights" / "cifar10_resnet20.safetensors").is_file():
        pytest.skip(f"no real data in {SHARED}; set BRITTLE_DATA")
    return SHARED


@pytest.fixture(scope="session", autouse=True)
def _files_need_not_outlive_a_power_cut() -> Iterator[None]:
    """Waiting for the disk takes most of a small run's time."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture
def without_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report takes longer than all the rest of a small audit."""
    monkeypatch.setattr("brittle.api.write_report", lambda _, **__: None)


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    """``cli("audit", "--model", ...)``: the real entry point in this process, in a terminal of 100 columns."""
    from brittle.cli import main

    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def run(*arguments: str | Path) -> Ran:
        monkeypatch.setattr(sys, "argv", ["brittle", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        written = capfd.readouterr()
        return Ran(int(stopped.value.code or 0), written.out, written.err)

    return run


@pytest.fixture
def registry() -> Iterator[Any]:
    """The registry of attacks, put back as it was afterwards."""
    from brittle.catalog import ATTACKS

    before = dict(ATTACKS._entries), dict(ATTACKS._names)
    yield ATTACKS
    ATTACKS._entries, ATTACKS._names = before
