"""Who does the units: this process, or several on this machine. The executor is all that a study's work passes through.

A worker is a process of its own, ``brittle.run.worker``: it gets the study once, pickled, and then one unit
at a time, and sends back what it has made. Only this process writes.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any, NamedTuple, Protocol, final

import cloudpickle
import torch

from brittle.errors import BrittleError
from brittle.records import Manifest
from brittle.run.study import Done, Files, Study, Unit

_TRIES = 3  # workers that may die over one unit before it is given up


class Made(NamedTuple):
    """A finished unit, and the digest of what it was given."""

    unit: Unit
    done: Done
    given: str


class Executor(Protocol):
    """Does units, in any order and anywhere; each exactly once."""

    def do(self, study: Study, manifest: Manifest, units: Sequence[Unit], files: Files) -> Iterator[Made]:
        """Every unit as it is finished. Closing the iterator ends the work."""


@final
class Local:
    """Processes on this machine, which share its threads among them.

    They are started once the units done here have shown that more than ``worth`` seconds are left to do, as starting
    them takes some three; until then, and always with one worker, the work is done in this process.
    """

    def __init__(self, workers: int, worth: float = 8.0) -> None:
        if workers < 1:
            raise BrittleError(f"expected at least 1 worker, got {workers}")
        self.workers, self.worth = workers, worth

    def do(self, study: Study, manifest: Manifest, units: Sequence[Unit], files: Files) -> Iterator[Made]:
        """In the order given with one worker; as they are finished with several."""
        waiting = list(units)
        started, examples = time.perf_counter(), 0
        while waiting:
            left = sum(map(len, waiting))
            spent = time.perf_counter() - started
            if self.workers > 1 and len(waiting) > 1 and examples and spent / examples * left > self.worth:
                yield from _Crew(self.workers, study, manifest, files).do(waiting)
                return
            unit = waiting.pop(0)
            yield made(study, manifest, unit, files)
            examples += len(unit)


def made(study: Study, manifest: Manifest, unit: Unit, files: Files) -> Made:
    """One unit, here."""
    return Made(unit, study.do(unit, manifest, files), study.given(unit))


@final
class _Worker:
    """Another process. unit: what it has been given, tries: how often units like it have been given away."""

    def __init__(self, setting: bytes) -> None:
        ours, theirs = Pipe()
        self.connection: Connection = ours
        self.unit: Unit | None = None
        path = os.pathsep.join(dict.fromkeys(one or os.getcwd() for one in sys.path))
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "brittle.run.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is this process's to answer
            )
        finally:
            theirs.close()
        self.setting: bytes | None = setting

    def give(self, unit: Unit) -> None:
        self.unit = unit
        try:
            if self.setting is not None:
                self.connection.send_bytes(self.setting)
                self.setting = None
            self.connection.send_bytes(cloudpickle.dumps(unit))
        except OSError:
            pass  # it has died, which reading from it will tell

    def end(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.wait()


@final
class _Crew:
    """Some workers, of whom any may die: its unit is given to another."""

    def __init__(self, count: int, study: Study, manifest: Manifest, files: Files) -> None:
        threads = max(1, torch.get_num_threads() // count)
        try:
            setting = cloudpickle.dumps((study, manifest, files, threads))
        except Exception as error:  # whatever a user's own object says to being pickled
            reason = " ".join(str(error).split())[:200]
            raise BrittleError(
                f"the classifier or the data cannot be sent to another process ({type(error).__name__}: {reason});"
                " use one worker"
            ) from None
        self.setting, self.count = setting, count

    def do(self, units: list[Unit]) -> Iterator[Made]:
        waiting, tries = list(units), dict[str, int]()
        crew: list[_Worker] = []
        try:
            while waiting or any(worker.unit for worker in crew):
                while waiting and len(crew) < min(self.count, len(waiting) + len(crew)):
                    crew.append(_Worker(self.setting))
                for worker in crew:
                    if worker.unit is None and waiting:
                        worker.give(waiting.pop(0))
                busy = {worker.connection: worker for worker in crew if worker.unit}
                for ready in wait(list(busy)):
                    worker = busy[ready]  # type: ignore[index]
                    unit, worker.unit = worker.unit, None
                    assert unit is not None
                    answer = _answer(worker)
                    if answer is None:
                        crew.remove(worker)
                        worker.end()
                        tries[unit.key] = tries.get(unit.key, 0) + 1
                        if tries[unit.key] == _TRIES:
                            raise BrittleError(
                                f"{_TRIES} workers died over {unit.key} (the last with exit code"
                                f" {worker.process.returncode}): memory may be short; use fewer workers"
                            )
                        waiting.insert(0, unit)
                    elif isinstance(answer, BaseException):
                        raise answer
                    else:
                        yield answer
        finally:
            for worker in crew:
                worker.end()


def _answer(worker: _Worker) -> Any:
    """What a worker has sent; None where it has died."""
    try:
        return cloudpickle.loads(worker.connection.recv_bytes())
    except (EOFError, OSError):
        return None
