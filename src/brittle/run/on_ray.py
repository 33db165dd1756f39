"""The workers of a Ray cluster: this machine's, or those of many. https://docs.ray.io

A piece of work is a task of one processor. The study goes to the cluster once, and to each of its processes once; what
the pieces of a later stage read of the run directory comes through an actor on this machine, so that nothing but this
process needs the directory. Only this process writes.
"""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, final

import cloudpickle

from brittle.errors import BrittleError
from brittle.records import Manifest
from brittle.run.pieces import Pieces
from brittle.run.study import Files, Study, Unit
from brittle.run.workers import TRIES, Made, made, sent

_MOVES = 20  # nodes that may be lost with one piece on them before it is given up: that says little about the piece
_AGAIN = 5.0  # seconds after which it is seen whether the cluster has grown
_STUDIES: dict[str, tuple[Study, Manifest, str]] = {}  # in a process of the cluster: that which it works for


@final
class Ray:
    """Does units on a cluster; a lost process or machine loses what was being done there, and another does it.

    address: of a cluster that this machine belongs to, or ``"auto"``; without one, a cluster of this machine's
    processors is made, which ends with this process. A piece that takes its process down with it ``TRIES`` times is
    given up, the rest is done, and then a BrittleError says so. More is asked for than the cluster has places, so that
    one that grows by demand does. cpus, gpus: of each piece; a share of a GPU lets several use it.
    """

    def __init__(self, address: str | None = None, *, cpus: float = 1, gpus: float = 0) -> None:
        if address is not None and address.startswith("ray://"):
            raise BrittleError(
                f"expected the address of a cluster that this machine is part of, as 10.0.0.1:6379 or auto, got"
                f" {address!r}; submit the command as a Ray job there"
            )
        self.ray, self.cpus, self.gpus = _joined(address), cpus, gpus

    def do(self, study: Study, manifest: Manifest, pieces: Pieces, files: Files) -> Iterator[Made]:
        """Pieces as they are finished, wherever."""
        yield from _Tasks(self, sent((study, manifest, os.getcwd())), pieces, files).do()


@final
class _Tasks:
    """What is being done, and what came of it."""

    def __init__(self, wanted: Ray, setting: bytes, pieces: Pieces, files: Files) -> None:
        self.wanted, self.pieces = wanted, pieces
        self.ray = ray = wanted.ray
        self.setting = ray.put(setting)
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        self.reader = ray.remote(num_cpus=0, scheduling_strategy=here)(_Reader).remote(files, os.getcwd())
        # Tried again by this process: Ray would not tell a lost machine from a piece that no process survives.
        options = {"num_cpus": wanted.cpus, "num_gpus": wanted.gpus, "max_retries": 0}
        self.task = ray.remote(**options)(_piece)
        self.doing: dict[Any, Unit] = {}
        self.deaths: dict[str, int] = {}
        self.moves: dict[str, int] = {}
        self.given_up: list[str] = []

    def do(self) -> Iterator[Made]:
        try:
            while self._filled():
                ready, _ = self.ray.wait(list(self.doing), num_returns=1, timeout=_AGAIN)
                for reference in ready:
                    yield from self._came(reference)
        finally:
            for reference in self.doing:
                self.ray.cancel(reference, force=True)
            self.ray.kill(self.reader)
        if self.given_up:
            raise BrittleError(
                f"{TRIES} workers died over {self.given_up[0]}"
                + (f" and over {len(self.given_up) - 1} more pieces of work" if self.given_up[1:] else "")
                + ": memory may be short; everything else is done"
            )

    def _filled(self) -> bool:
        """As many pieces on their way as there are places, and some to wait; False once nothing is left."""
        places = self._places()
        while len(self.doing) < places + max(1, places // 4):
            piece = self.pieces.take(places)
            if piece is None:
                break
            self.doing[self.task.remote([self.setting], self.setting.hex(), self.reader, piece)] = piece
        return bool(self.doing)

    def _places(self) -> int:
        resources = self.ray.cluster_resources()
        places = resources.get("CPU", 0) / self.wanted.cpus
        if self.wanted.gpus:
            places = min(places, resources.get("GPU", 0) / self.wanted.gpus)
        return max(1, int(places))

    def _came(self, reference: Any) -> Iterator[Made]:
        errors = self.ray.exceptions
        piece = self.doing.pop(reference)
        try:
            answer = self.ray.get(reference)
        except (errors.WorkerCrashedError, errors.OutOfMemoryError):
            self._died(piece, self.deaths, TRIES)
        except (errors.NodeDiedError, errors.ObjectLostError, errors.LocalRayletDiedError, errors.ActorDiedError):
            self._died(piece, self.moves, _MOVES)
        else:
            if isinstance(answer, BaseException):
                raise answer
            self.pieces.took(piece, answer.seconds)
            yield answer

    def _died(self, piece: Unit, counted: dict[str, int], most: int) -> None:
        counted[piece.key] = counted.get(piece.key, 0) + 1
        if counted[piece.key] == most:
            self.pieces.drop(piece)
            self.given_up.append(piece.key)
        else:
            self.pieces.back(piece)


@final
class _Reader:
    """The run directory, for all that ask; on the machine that writes it."""

    def __init__(self, files: Files, stands_in: str) -> None:
        self.files = files
        os.chdir(stands_in)

    def read(self, name: str) -> bytes:
        return self.files.read(name)


@final
class _Elsewhere:
    """The run directory from another process, maybe of another machine, with a scratch folder of that."""

    def __init__(self, ray: Any, reader: Any, place: Path) -> None:
        self.ray, self.reader, self.place = ray, reader, place

    def read(self, name: str) -> bytes:
        content: bytes = self.ray.get(self.reader.read.remote(name))
        return content

    def scratch(self, unit: Unit) -> Path:
        folder = self.place / unit.key
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _piece(setting: list[Any], key: str, reader: Any, piece: Unit) -> Made | Exception:
    """In a process of the cluster, which keeps the study for the pieces to come."""
    import ray

    if key not in _STUDIES:
        _STUDIES.clear()
        _STUDIES[key] = cloudpickle.loads(ray.get(setting[0]))
    study, manifest, stands_in = _STUDIES[key]
    with suppress(OSError):  # on this machine there may be no such folder, and nothing that is read by its path from it
        os.chdir(stands_in)
    try:
        with TemporaryDirectory(prefix="brittle-") as place:
            return made(study, manifest, piece, _Elsewhere(ray, reader, Path(place)))
    except Exception as error:  # told to the engine's process, which raises it as its own
        return error


def _joined(address: str | None) -> Any:
    """Ray, connected until this process ends; a connection that there is already is used."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import ray
            import ray.util.scheduling_strategies
    except ImportError:
        raise BrittleError("--workers ray needs Ray, which is not installed: pip install 'brittle[ray]'") from None
    if ray.is_initialized():
        return ray
    path = os.pathsep.join(dict.fromkeys(one or os.getcwd() for one in sys.path))
    with_path = {"env_vars": {"PYTHONPATH": path}}
    connect = partial(ray.init, runtime_env=with_path, logging_level="ERROR", log_to_driver=False)
    try:
        if address is None:
            connect(include_dashboard=False)
        else:
            connect(address=address)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BrittleError(f"cannot join the Ray cluster {address or 'of this machine'}: {reason}") from None
    return ray
