"""Other programs that show numbers as they come: what a training and a run are told to, by name."""

import re
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, final

from brittle.errors import BrittleError


class Logger(Protocol):
    """Is told numbers by name. step: of a training its epoch, of a run its images."""

    def tell(self, step: int, numbers: Mapping[str, float]) -> None: ...
    def close(self) -> None: ...


def check_loggers(names: Sequence[str]) -> None:
    """BrittleError where one is not known, or its library is missing."""
    for name in names:
        if name not in LOGGERS:
            raise BrittleError(f"expected a logger as {' or '.join(LOGGERS)}, got {name!r}")
        if find_spec(name) is None:
            raise BrittleError(f"logging to {name} needs its library: pip install {name}")


@final
class _TensorBoard:
    """``tensorboard --logdir DIR`` shows it, while it is being told, too."""

    def __init__(self, key: str, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder / TENSORBOARD))

    def tell(self, step: int, numbers: Mapping[str, float]) -> None:
        for name, value in numbers.items():
            self.writer.add_scalar(_called(name), value, step)
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


@final
class _MLflow:
    """A run of MLflow's default experiment, on the server that ``MLFLOW_TRACKING_URI`` names; the same from then on."""

    def __init__(self, key: str, folder: Path) -> None:
        from mlflow import MlflowClient

        self.client, known = MlflowClient(), folder / f"{MLFLOW}.txt"
        if not known.exists():
            known.write_text(self.client.create_run("0", run_name=key).info.run_id)
        self.run = known.read_text()

    def tell(self, step: int, numbers: Mapping[str, float]) -> None:
        for name, value in numbers.items():
            self.client.log_metric(self.run, _called(name), value, step=step)

    def close(self) -> None:
        self.client.set_terminated(self.run)


TENSORBOARD, MLFLOW = "tensorboard", "mlflow"
LOGGERS: Mapping[str, Callable[[str, Path], Logger]] = {TENSORBOARD: _TensorBoard, MLFLOW: _MLflow}
"""By name, made of what is to be shown, and of a folder for what it writes."""


def _called(name: str) -> str:
    """A name in the letters that both allow: ``net/fgsm(eps=0.01)/l2`` -> ``net/fgsm-eps-0.01/l2``."""
    return "/".join(re.sub(r"[^\w.]+", "-", part).strip("-") for part in name.split("/"))
