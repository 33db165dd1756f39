"""Where a training is watched from outside: a CSV file always, and what loggers make of the same numbers.

They write into the unit's scratch folder, so that only whole files stay in a run directory.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import final

from brittle.loggers import LOGGERS, TENSORBOARD
from brittle.studies.cards import csv_of

CSV = "metrics.csv"
_NUMBERS = ("loss", "accuracy", "held_out", "rate", "seconds")


@final
class Logs:
    """All that are to be told of one training, of ``key``, in its scratch folder."""

    def __init__(self, names: Sequence[str], key: str, scratch: Path) -> None:
        self.key, self.scratch = key, scratch
        self.loggers = [LOGGERS[name](key, scratch) for name in names]

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
        events = sorted((self.scratch / TENSORBOARD).glob("events*"))
        return {f"{TENSORBOARD}/{self.key}/{one.name}": one.read_bytes() for one in events}
