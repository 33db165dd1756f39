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
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from typer.main import get_command

SHARED = Path(os.environ.get("BRITTLE_DATA", Path(__file__).parents[1].parent / "shared" / "data"))


@dataclass(frozen=True)
class Ran:
    """What a command did: its exit code, and all that it wrote on either stream, C libraries included."""

    code: int
    out: str
    err: str


Cli = Callable[..., Ran]
pytest_plugins = ["pytester"]
commands_of = cache(get_command)  # typer makes all commands anew for each call, of which a user makes but one


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, float, int]]:
    """What loggers are told: (where, name, value, step). By what stands in for their libraries: none is needed here."""
    told: list[tuple[str, str, float, int]] = []
    made: list[str] = []

    class Writer:
        def __init__(self, folder: str) -> None:
            Path(folder).mkdir(exist_ok=True)
            self.file = Path(folder) / f"events.{len(told)}"

        def add_scalar(self, name: str, value: float, step: int) -> None:
            told.append(("tensorboard", name, value, step))

        def flush(self) -> None:
            self.file.write_text("events")

        def close(self) -> None:
            self.flush()

    class Client:
        def create_run(self, experiment: str, run_name: str) -> Any:
            made.append(f"{experiment}/{run_name}")
            return SimpleNamespace(info=SimpleNamespace(run_id=made[-1] if len(made) == 1 else f"{made[-1]} again"))

        def log_metric(self, run: str, name: str, value: float, step: int) -> None:
            told.append((run, name, value, step))

        def set_terminated(self, run: str) -> None:
            told.append((run, "ended", 0.0, 0))

    writers, mlflow = ModuleType("torch.utils.tensorboard"), ModuleType("mlflow")
    writers.SummaryWriter, mlflow.MlflowClient = Writer, Client  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", writers)
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    monkeypatch.setattr("brittle.loggers.find_spec", lambda name: name)
    return told


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
def one_thread() -> Iterator[None]:
    """Networks as small as those of most tests are slower on several threads."""
    from laws.worlds import one_thread

    with one_thread():
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
    monkeypatch.setattr("typer.main.get_command", commands_of)

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
