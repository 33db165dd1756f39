"""Who does the units: this process, or several on this machine. The executor is all that a study's work passes through.

A worker is a process of its own, ``brittle.run.worker``: it gets the study once, pickled, and then one unit
at a time, and sends back what it has made. Only this process writes.
"""

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection, Pipe
from typing import Any, NamedTuple, Protocol, final

import cloudpickle
import torch

from brittle.errors import BrittleError
from brittle.records import Manifest
from brittle.run.pieces import Pieces
from brittle.run.study import Done, Files, Study, Unit

TRIES = 3
"""Workers that may die over one piece of work before it is given up."""


class Made(NamedTuple):
    """A finished piece of work: what it has made, files that its unit shares with others, the digest of what it was
    given, and the seconds it took."""

    piece: Unit
    done: Done
    shared: Mapping[str, bytes]
    given: str
    seconds: float


class Executor(Protocol):
    """Does units, in any order and anywhere; each example exactly once."""

    def do(self, study: Study, manifest: Manifest, pieces: Pieces, files: Files) -> Iterator[Made]:
        """Every piece as it is finished, after ``pieces.took``. Closing the iterator ends the work."""


@final
class Local:
    """This process, and others on this machine beside it, which share its threads.

    The others are started once the work done here has shown that more than ``worth`` seconds are left, as starting
    them takes some three.
    """

    def __init__(self, workers: int, worth: float = 8.0) -> None:
        if workers < 1:
            raise BrittleError(f"expected at least 1 worker, got {workers}")
        self.workers, self.worth = workers, worth

    def do(self, study: Study, manifest: Manifest, pieces: Pieces, files: Files) -> Iterator[Made]:
        """In the order given with one worker; as they are finished with several."""
        while self.workers == 1 or pieces.seconds_shown() <= self.worth:
            piece = pieces.take(1 if pieces.seconds_left() <= self.worth else self.workers)
            if piece is None:
                return
            one = made(study, manifest, piece, files)
            pieces.took(piece, one.seconds)
            yield one
        threads = torch.get_num_threads()
        torch.set_num_threads(max(1, threads // self.workers))
        crew = _Crew(self.workers, study, manifest, pieces, files)
        try:
            yield from crew.do()
        finally:
            crew.end()
            torch.set_num_threads(threads)


def made(study: Study, manifest: Manifest, piece: Unit, files: Files) -> Made:
    """One piece of work, here."""
    started = time.perf_counter()
    done = study.do(piece, manifest, files)
    shared, given = study.shared(piece, manifest), study.given(piece)
    return Made(piece, done, shared, given, time.perf_counter() - started)


def sent(setting: Any) -> bytes:
    """What another process gets; BrittleError where a user's own object cannot go there."""
    try:
        content: bytes = cloudpickle.dumps(setting)
    except Exception as error:  # whatever it says to being pickled
        reason = " ".join(str(error).split())[:200]
        raise BrittleError(
            f"the classifier or the data cannot be sent to another process ({type(error).__name__}: {reason});"
            " use one worker"
        ) from None
    return content


@final
class _Worker:
    """Another process."""

    def __init__(self, setting: bytes) -> None:
        ours, theirs = Pipe()
        self.connection: Connection = ours
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

    def asked(self, piece: Unit) -> Any:
        """What it has made of a piece, or an exception that it met; None where it has died."""
        try:
            if self.setting is not None:
                self.connection.send_bytes(self.setting)
                self.setting = None
            self.connection.send_bytes(cloudpickle.dumps(piece))
            return cloudpickle.loads(self.connection.recv_bytes())
        except (EOFError, OSError):
            return None

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@final
class _Crew:
    """Some workers, each with a thread here that hands it pieces, and this process, which does some itself.

    Any of them may die: its piece is done by another.
    """

    def __init__(self, count: int, study: Study, manifest: Manifest, pieces: Pieces, files: Files) -> None:
        setting = sent((study, manifest, files, torch.get_num_threads()))
        self.count, self.setting, self.pieces = count, setting, pieces
        self.work = study, manifest, files
        self.answers = queue.SimpleQueue[Made | BaseException | None]()  # None: one of the threads has ended
        self.workers: set[_Worker] = set()
        self.tries: dict[str, int] = {}
        self.has_ended = False

    def do(self) -> Iterator[Made]:
        """Pieces as they are finished, here and elsewhere."""
        busy = self.count - 1
        for _ in range(busy):
            threading.Thread(target=self._feed, daemon=True).start()
        while True:
            while busy and not self.answers.empty():
                answer = self.answers.get()
                busy -= answer is None
                yield from _told(answer)
            piece = self.pieces.take(self.count)
            if piece is not None:
                study, manifest, files = self.work
                one = made(study, manifest, piece, files)
                self.pieces.took(piece, one.seconds)
                yield one
            elif busy:
                answer = self.answers.get()
                busy -= answer is None
                yield from _told(answer)
            else:
                return

    def end(self) -> None:
        """Ends all other processes, and with them the threads that wait for them."""
        self.has_ended = True
        for worker in list(self.workers):
            worker.end()

    def _feed(self) -> None:
        try:
            worker = self._hired()
            while not self.has_ended and (piece := self.pieces.take(self.count)) is not None:
                answer = worker.asked(piece)
                if answer is None:
                    worker = self._after_death(worker, piece)
                    continue
                if isinstance(answer, Made):
                    self.pieces.took(piece, answer.seconds)
                self.answers.put(answer)
        except BaseException as error:
            self.answers.put(error)
        finally:
            self.answers.put(None)

    def _hired(self) -> _Worker:
        worker = _Worker(self.setting)
        self.workers.add(worker)
        return worker

    def _after_death(self, worker: _Worker, piece: Unit) -> _Worker:
        worker.end()
        self.workers.discard(worker)
        if not self.has_ended:
            self.tries[piece.key] = self.tries.get(piece.key, 0) + 1
            if self.tries[piece.key] == TRIES:
                raise BrittleError(
                    f"{TRIES} workers died over {piece.key} (the last with exit code {worker.process.returncode}):"
                    " memory may be short; use fewer workers"
                )
            self.pieces.back(piece)
        return worker if self.has_ended else self._hired()


def _told(answer: Made | BaseException | None) -> Iterator[Made]:
    if isinstance(answer, BaseException):
        raise answer
    if answer is not None:
        yield answer
