"""The tables of a run for other programs: as CSV, and in LaTeX."""

import csv
import io
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from brittle.cli.results import defences_of, told_of, transfers_of
from brittle.errors import BrittleError
from brittle.measure import MEASURES, Measured, Sized, Summary, Told, leaderboard, summaries
from brittle.measure.told import Cell
from brittle.report.latex import latex_matrix, latex_of, latex_table
from brittle.report.leaderboard import leaderboard_told
from brittle.report.transfer import cell_rows, title_of
from brittle.run.engine import Run
from brittle.text import NONE, plain

COLUMNS = ("table", "row", "column", "value", "low", "high", "count", "of", "unit")


_SAID = (str, int, float)  # what a cell may be that is not measured


class _Table(NamedTuple):
    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]  # the first names the row


def results_csv(run: Run) -> str:
    """Every table of a run, a line for each cell: where it stands, its value, its 95 % interval, and what was counted.
    What is not known is empty.

    The tables of an audit are "measures MODEL, GOAL", with a row for each attack and one for all, "leaderboard" where
    there are several models or goals, and "transfer ATTACK, GOAL, SIZE" with a row for each source and target.
    """
    target = io.StringIO()
    writer = csv.DictWriter(target, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for table in _tables(run):
        for name, (_, *cells) in zip(_names(table), table.rows, strict=True):
            for head, cell in zip(table.heads[1:], cells, strict=True):
                writer.writerow({"table": table.title, "row": name, "column": head, **_numbers(cell)})
    return target.getvalue()


def results_latex(run: Run) -> str:
    """Every table of a run, one ``tabular`` after the other; of an audit's measures the main ones."""
    if run.manifest.study != "audit":
        return "\n".join(latex_of(table.heads, table.rows) for table in _tables(run))
    views = summaries(run.manifest, run.records)
    board = [latex_of(one.heads, one.rows) for one in _leaderboard(run, views)]
    judged = [latex_of(one.heads, one.rows) for one in defences_of(run)]
    return "\n".join([latex_table(views), *board, *judged, *map(latex_matrix, transfers_of(run))])


def _tables(run: Run) -> list[_Table]:
    if run.manifest.study == "audit":
        views = summaries(run.manifest, run.records)
        matrices = [_Table(f"transfer {title_of(one)}", *cell_rows(one)) for one in transfers_of(run)]
        judged = [_Table("defences", told.heads, told.rows) for told in defences_of(run)]
        return [*map(_measures, views), *_leaderboard(run, views), *judged, *matrices]
    told = Told(()) if run.manifest.study == "craft" else told_of(run)
    if not told.rows:
        raise BrittleError(
            f"expected a run that has tables, got {str(run.directory)!r}, a {run.manifest.study} run, which has none;"
            " brittle export --csv writes its records"
        )
    return [_Table(run.manifest.study, told.heads, told.rows)]


def _leaderboard(run: Run, views: Sequence[Summary]) -> list[_Table]:
    if len(views) == 1:
        return []
    told = leaderboard_told(leaderboard(run.manifest, run.records, views))
    return [_Table("leaderboard", told.heads, told.rows)]


def _measures(summary: Summary) -> _Table:
    each = [("all attacks", summary.overall, "l2")]
    each += [(attack.label, attack.measures, attack.distance_norm) for attack in summary.attacks]
    rows: list[Sequence[Cell]] = [
        (name, *(Sized(known.get(key, Measured(value=None)), one.unit, norm) for key, one in MEASURES.items()))
        for name, known, norm in each
    ]
    return _Table(f"measures {summary.model}, {summary.goal}", ["attack", *MEASURES], rows)


def _names(table: _Table) -> list[str]:
    """What a row is called: its first cell, and where others are called the same, its other words and numbers too."""
    names = [str(row[0]) for row in table.rows]
    if len({*names}) == len(names):
        return names
    return [
        ", ".join(plain(cell) if isinstance(cell, int | float) else cell for cell in row if isinstance(cell, _SAID))
        for row in table.rows
    ]


def _numbers(cell: Cell) -> dict[str, Any]:
    if isinstance(cell, Measured):
        cell = Sized(cell, "fraction")
    if isinstance(cell, Sized):
        unit = f"distance {cell.norm}" if cell.unit == "distance" else cell.unit
        return cell.measured.model_dump() | {"unit": unit}
    unknown = cell == NONE or (isinstance(cell, float) and not math.isfinite(cell))
    return {"value": None if unknown else cell}
