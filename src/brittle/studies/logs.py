"""Where a training is watched from outside: a CSV file always, and what other loggers make of the same numbers.

They write into the unit's scratch folder, so that only whole files stay in a run directory.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, final

from brittle.errors import BrittleError
from brittle.studies.cards import csv_of

CSV = "metrics.csv"
_TENSORBOARD, _MLFLOW = "tensorboard", "mlflow"
_NUMBERS = ("loss", "accuracy", "held_out", "rate", "seconds")


class Logger(Protocol):
    """Is told the numbers of each epoch."""

    def tell(self, epoch: int, numbers: Mapping[str, float]) -> None: ...
    def close(self) -> None: ...


def check_loggers(names: Sequence[str]) -> None:
    """BrittleError where the library of one is missing."""
    for name in names:
        if find_spec(name) is None:
            raise BrittleError(f"logging to {name} needs its library: pip install {name}")


@final
class Logs:
    """All that are to be told of one training, of ``key``, in its scratch folder."""

    def __init__(self, names: Sequence[str], key: str, scratch: Path) -> None:
        made: dict[str, Callable[[str, Path], Logger]] = {_TENSORBOARD: _TensorBoard, _MLFLOW: _MLflow}
        self.key, self.scratch = key, scratch
        self.loggers: list[Logger] = [made[name](key, scratch) for name in names]

    def tell(self, rows: Sequence[Mapping[str, float]]) -> None:
        """The numbers of all epochs until now, of which the last are new."""
        (self.scratch / CSV).write_bytes(csv_of(rows))
        numbers = {name: rows[-1][name] for name in _NUMBERS}
        for one in self.loggers:
            one.tell(int(rows[-1]["epoch"]), numbers)

    def close(self) -> dict[str, bytes]:
        """The files that stay, by their path below the run directory."""
        for one in self.loggers:
            one.close()
        events = sorted((self.scratch / _TENSORBOARD).glob("events*"))
        return {f"{_TENSORBOARD}/{self.key}/{one.name}": one.read_bytes() for one in events}


@final
class _TensorBoard:
    """``tensorboard --logdir DIR`` shows it, while it is being trained, too."""

    def __init__(self, key: str, scratch: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(scratch / _TENSORBOARD))

    def tell(self, epoch: int, numbers: Mapping[str, float]) -> None:
        for name, value in numbers.items():
            self.writer.add_scalar(name, value, epoch)
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


@final
class _MLflow:
    """A run of MLflow's default experiment, on the server that ``MLFLOW_TRACKING_URI`` names; the same when resumed."""

    def __init__(self, key: str, scratch: Path) -> None:
        from mlflow import MlflowClient

        self.client, known = MlflowClient(), scratch / "mlflow.txt"
        if not known.exists():
            known.write_text(self.client.create_run("0", run_name=key).info.run_id)
        self.run = known.read_text()

    def tell(self, epoch: int, numbers: Mapping[str, float]) -> None:
        for name, value in numbers.items():
            self.client.log_metric(self.run, name, value, step=epoch)

    def close(self) -> None:
        self.client.set_terminated(self.run)
