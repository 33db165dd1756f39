"""Transfer: for each attack a matrix of what was made for one model (rows) and is graded on another (columns)."""

import math
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import pandas as pd

from brittle.measure.attack import rate
from brittle.measure.models import Measured, Plain
from brittle.records import AttackSpec, Manifest, takes
from brittle.text import size as size_text


class TransferCell(Plain):
    """One source and one target. All rates but ``right`` are over the images that both get right as they are, and that
    have not met the goal to begin with; of a matrix with a size, over those whose change and noise reach it.
    """

    source: str
    target: str
    fooled: Measured  # the goal is met on the target; where that is the source, the audit's own grade
    noise: Measured  # the same by noise of the same size
    of_fooling: Measured  # the first, of those that fool the source
    kept: int  # of the images counted, those that the target still takes for their class
    elsewhere: int  # that it takes for another, without the goal being met
    wrong: int  # images that source or target get wrong as they are; left out
    short: int  # images whose change or noise has not the size; left out


class TransferGroup(Plain):
    """The cells between two sets of training images, without those of a model to itself: their means."""

    source: str
    target: str
    cells: int
    fooled: float
    noise: float


class TransferMatrix(Plain):
    """All sources and targets under one attack, for one goal, in one size."""

    attack: str
    goal: str
    norm: str  # of the sizes
    size: float | None  # None: each change as it is
    models: list[str]
    trained_on: dict[str, str]  # of the models of which it is known
    unable: list[str]  # models that give less than the attack asks for, and so are no sources of it
    cells: list[TransferCell]
    groups: list[TransferGroup]  # empty unless models of two sets of training images are there

    def cell(self, source: str, target: str) -> TransferCell | None:
        """None where nothing was graded, or not yet."""
        return next((one for one in self.cells if (one.source, one.target) == (source, target)), None)


Cells: TypeAlias = dict[tuple[str, str, float | None, str, str], TransferCell]
"""By attack, goal, size, source and target."""

ON = "on "
"""What a name has before the target's: ``one/lbfgs/on two/error``, ``one/lbfgs/on two at l2=2/error``."""

ERRORS = ("error", "noise_error")

UNDONE = "undone"
"""Of what fools the source, by changes as they are: the share that does not fool the target. Over the images that both
get right as they are."""


def transfer_errors(manifest: Manifest, transfers: pd.DataFrame) -> dict[str, Measured]:
    """How often each model errs on what was made for each, and on noise of the same size, by ``SOURCE/ATTACK/on
    TARGET``.

    Over all images, those that the models get wrong as they are as well, as an error rate is; of a size, over those
    whose change reaches it. ``SOURCE/GOAL/...`` where there are several goals.
    """
    known = {}
    keys = ["source", "goal", "attack", "target", "norm", "size"]
    for cell, rows in transfers.groupby(keys, sort=False, dropna=False):
        source, goal, attack, target, norm = map(str, cell[:-1])
        at = float(rows["size"].iloc[0])
        sized = "" if math.isnan(at) else f" at {norm}={size_text(at)}"
        path = [source, *([goal] if len(manifest.goals) > 1 else []), attack, f"{ON}{target}{sized}"]
        counted = rows[rows["reached"]]
        for name, column in zip(ERRORS, ("prediction", "noise_prediction"), strict=True):
            wrong = int((counted[column] != counted["label"]).sum())
            known["/".join([*path, name])] = rate(wrong, len(counted))
    return known


def undone(manifest: Manifest, records: pd.DataFrame, transfers: pd.DataFrame) -> dict[str, Measured]:
    """How many of each model's adversarial examples others take for what they are, ``SOURCE/ATTACK/on TARGET/undone``.

    Arguments as of ``transfer_matrices``; named as by ``transfer_errors``.
    """
    known = {}
    for matrix in transfer_matrices(manifest, records, transfers):
        for cell in matrix.cells if matrix.size is None else ():
            path = [cell.source, *([matrix.goal] if len(manifest.goals) > 1 else []), matrix.attack]
            fooling = cell.of_fooling
            left = rate((fooling.of or 0) - (fooling.count or 0), fooling.of or 0)
            known["/".join([*path, f"{ON}{cell.target}", UNDONE])] = left
    return known


def transfer_matrices(manifest: Manifest, records: pd.DataFrame, transfers: pd.DataFrame) -> list[TransferMatrix]:
    """By attack, goal and size, as they are first; none of a run without transfer.

    records: of the audit, which say what each source got right and was fooled by. transfers: see ``TRANSFERRED``.
    """
    if manifest.transfer is None:
        return []
    keys = ["source", "goal", "attack", "position"]
    own = pd.DataFrame(
        {
            **{key: records["model" if key == "source" else key] for key in keys},
            "source_right": records["clean_prediction"] == records["label"],
            "source_fooled": records["fooled"],
        }
    )
    cells = _cells(transfers.merge(own, on=keys))
    return [
        _matrix(manifest, spec, goal, size, cells)
        for spec in manifest.attacks
        for goal in manifest.goals
        for size in (None, *manifest.transfer.get(spec.norm, ()))
    ]


def _matrix(manifest: Manifest, spec: AttackSpec, goal: str, size: float | None, cells: Cells) -> TransferMatrix:
    names = [model.name for model in manifest.models]
    mine = [one for s in names for t in names if (one := cells.get((spec.label, goal, size, s, t))) is not None]
    trained_on = {model.name: model.trained_on for model in manifest.models if model.trained_on is not None}
    return TransferMatrix(
        attack=spec.label,
        goal=goal,
        norm=spec.norm,
        size=size,
        models=names,
        trained_on=trained_on,
        unable=[model.name for model in manifest.models if not takes(model, spec)],
        cells=mine,
        groups=list(_groups(mine, trained_on)),
    )


def _cells(rows: pd.DataFrame) -> Cells:
    """All at once, as there are many, and each has few rows."""
    right = rows["source_right"] & (rows["clean_prediction"] == rows["label"])
    to_do = right & (rows["wanted"].isna() | (rows["wanted"] != rows["label"]))
    counted, fooled = to_do & rows["reached"], rows["fooled"]
    kept = ~fooled & (rows["prediction"] == rows["label"])
    from_success = counted & rows["source_fooled"]
    keys = ["attack", "goal", "size", "source", "target"]
    counts = rows[keys].assign(
        of=counted,
        fooled=counted & fooled,
        noise=counted & rows["noise_fooled"],
        of_fooling=from_success,
        fooling=from_success & fooled,
        kept=counted & kept,
        elsewhere=counted & ~fooled & ~kept,
        wrong=~right,
        short=to_do & ~rows["reached"],
    )
    sums = counts.groupby(keys, sort=False, dropna=False).sum().reset_index()
    cells = {}
    for row in sums.to_dict("records"):
        size = None if math.isnan(row["size"]) else row["size"]
        cells[row["attack"], row["goal"], size, row["source"], row["target"]] = TransferCell(
            source=row["source"],
            target=row["target"],
            fooled=rate(row["fooled"], row["of"]),
            noise=rate(row["noise"], row["of"]),
            of_fooling=rate(row["fooling"], row["of_fooling"]),
            kept=row["kept"],
            elsewhere=row["elsewhere"],
            wrong=row["wrong"],
            short=row["short"],
        )
    return cells


def _groups(cells: list[TransferCell], trained_on: dict[str, str]) -> Iterator[TransferGroup]:
    names = list(dict.fromkeys(trained_on.values()))
    for source in names if len(names) > 1 else ():
        for target in names:
            between = [
                cell
                for cell in cells
                if cell.source != cell.target
                and cell.fooled.value is not None
                and (trained_on.get(cell.source), trained_on.get(cell.target)) == (source, target)
            ]
            if between:
                fooled, noise = (
                    float(np.mean([getattr(cell, name).value for cell in between])) for name in ("fooled", "noise")
                )
                yield TransferGroup(source=source, target=target, cells=len(between), fooled=fooled, noise=noise)
