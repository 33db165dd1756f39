"""The records of all audits as one table that answers a question at once: DuckDB."""

import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, final

import duckdb
import pyarrow as pa

from brittle.errors import BrittleError
from brittle.measure.outcomes import UNANSWERED, distance_norm
from brittle.records import record_table
from brittle.view.shelf import Shelved

PAGE = 60
_FAR = 2**62  # beyond any row
OUTCOMES = ("fooled", "withstood", "no answer", "met before", "wrong before")
SORTS = {
    "position": "position",
    "distance": "distance",
    "confidence": "after_confidence",
    "passes": "forwards + backwards",
    "class": "class",
}
_EQUAL = ("run", "model", "goal", "attack", "class", "outcome")
_TABLE = """CREATE TABLE examples (
    run INTEGER, model_at INTEGER, goal_at INTEGER, attack_at INTEGER, model VARCHAR, goal VARCHAR, attack VARCHAR,
    example VARCHAR, position BIGINT, label BIGINT, class VARCHAR, before VARCHAR, after VARCHAR,
    before_confidence FLOAT, after_confidence FLOAT, outcome VARCHAR, kept_8bit BOOLEAN, norm VARCHAR, distance DOUBLE,
    l0 BIGINT, l1 DOUBLE, l2 DOUBLE, linf DOUBLE, forwards BIGINT, backwards BIGINT, flags VARCHAR[])"""
_ROWS = """INSERT INTO examples SELECT ?, m.place, g.place, a.place, r.model, r.goal, r.attack, r.example, r.position,
    r.label,
    coalesce(l.name, 'class ' || r.label), coalesce(p.name, 'class ' || r.clean_prediction),
    coalesce(q.name, 'class ' || r.adversarial_prediction), r.clean_confidence, r.adversarial_confidence,
    CASE WHEN r.clean_prediction <> r.label THEN 'wrong before' WHEN r.clean_prediction = r.target THEN 'met before'
    WHEN r.fooled THEN 'fooled' WHEN list_contains(r.flags, ?) THEN 'no answer' ELSE 'withstood' END,
    r.fooled_8bit, a.norm,
    CASE a.norm WHEN 'l0' THEN r.l0 WHEN 'l1' THEN r.l1 WHEN 'linf' THEN r.linf ELSE r.l2 END,
    r.l0, r.l1, r.l2, r.linf, r.forwards, r.backwards, r.flags
    FROM records r JOIN models m ON r.model = m.name JOIN goals g ON r.goal = g.name
    JOIN attacks a ON r.attack = a.name
    LEFT JOIN classes l ON l.model = r.model AND l.place = r.label
    LEFT JOIN classes p ON p.model = r.model AND p.place = r.clean_prediction
    LEFT JOIN classes q ON q.model = r.model AND q.place = r.adversarial_prediction"""
_COLUMNS = """run, model_at, goal_at, attack_at, model, goal, attack, example, position, class, before, after,
    before_confidence, after_confidence, outcome, kept_8bit, norm, distance, l0, l1, l2, linf, forwards, backwards,
    flags"""


class Page(NamedTuple):
    """Some rows of those that fit, and how many these are."""

    total: int
    rows: list[dict[str, Any]]


@final
class Index:
    """The table. Its questions are of columns that it names itself; what a browser says is a value in them, only."""

    def __init__(self, runs: Sequence[Shelved]) -> None:
        self._base = duckdb.connect()
        self._base.execute("SET enable_progress_bar = false")
        self._base.execute(_TABLE)
        self._lock = threading.Lock()
        self.unread: dict[int, str] = {}  # by run, why its records are not here
        for run in runs:
            self.add(run)

    def add(self, run: Shelved) -> None:
        """The records of an audit, in the place of those that were there; a run of another study has none here, nor one
        whose records are damaged."""
        self.unread.pop(run.number, None)
        manifest = run.manifest
        if manifest.study != "audit":
            return
        try:
            records = record_table(run.place, manifest)
        except (BrittleError, OSError) as error:
            self.unread[run.number] = str(error)
            return
        classes = [(one.name, at, name) for one in manifest.models for at, name in enumerate(one.class_names)]
        tables = {
            "records": records,
            "models": _numbered([one.name for one in manifest.models]),
            "goals": _numbered(manifest.goals),
            "attacks": _numbered(
                [one.label for one in manifest.attacks], norm=[distance_norm(one.norm) for one in manifest.attacks]
            ),
            "classes": pa.table(
                {
                    "model": [one for one, _, _ in classes],
                    "place": [at for _, at, _ in classes],
                    "name": [name for _, _, name in classes],
                }
            ),
        }
        with self._lock:
            for name, table in tables.items():
                self._base.register(name, table)
            self._base.execute("DELETE FROM examples WHERE run = ?", [run.number])
            self._base.execute(_ROWS, [run.number, UNANSWERED])
            for name in tables:
                self._base.unregister(name)

    def find(self, asked: Mapping[str, str]) -> Page:
        """What fits: equal in run, model, goal, attack, class and outcome, with a flag, between two distances.

        sort, falling: the order; offset: of the page. BrittleError for values that say nothing.
        """
        where, values = _where(asked)
        sort = asked.get("sort") or "position"
        if sort not in SORTS:
            raise BrittleError(f"expected sort as {', '.join(SORTS)}, got {sort!r}")
        order = f"{SORTS[sort]} {'DESC' if asked.get('falling') == '1' else 'ASC'} NULLS LAST, run, position, attack_at"
        offset = min(max(int(_number(asked, "offset") or 0), 0), _FAR)
        # The order is that of few columns; the others are read of the rows that it ends with.
        chosen = f"SELECT rowid AS chosen FROM examples {where} ORDER BY {order} LIMIT {PAGE} OFFSET {offset}"
        found = self._ask(
            f"SELECT {_COLUMNS} FROM examples JOIN ({chosen}) ON examples.rowid = chosen ORDER BY {order}", values
        )
        (count,) = self._ask(f"SELECT count(*) AS n FROM examples {where}", values)
        return Page(count["n"], found)

    def choices(self, asked: Mapping[str, str]) -> dict[str, list[str]]:
        """What each filter may be, of the run that is asked for."""
        where, values = _where({"run": asked.get("run", "")})
        made = {name: self._kinds(name, where, values) for name in ("model", "goal", "attack", "class")}
        return made | {"outcome": list(OUTCOMES), "flag": self._kinds("unnest(flags)", where, values)}

    def beside(self, example: str, position: int) -> list[dict[str, Any]]:
        """Everything that there is of an example, in any run: by its id and place."""
        return self._ask(
            f"SELECT {_COLUMNS} FROM examples WHERE example = ? AND position = ?"
            " ORDER BY run, model_at, goal_at, attack_at LIMIT 200",
            [example, position],
        )

    def label(self, run: int, model: int, position: int) -> tuple[str, int]:
        """An example's id and label, as a run knows it of a model; LookupError where there is none."""
        found = self._ask(
            "SELECT example, label FROM examples WHERE run = ? AND model_at = ? AND position = ? LIMIT 1",
            [run, model, position],
        )
        if not found:
            raise LookupError("no such example")
        return found[0]["example"], found[0]["label"]

    def one(self, at: Sequence[int]) -> dict[str, Any]:
        """The row at (run, model, goal, attack, position); LookupError where there is none."""
        found = self._ask(
            f"SELECT {_COLUMNS} FROM examples WHERE run = ? AND model_at = ? AND goal_at = ? AND attack_at = ?"
            " AND position = ?",
            list(at),
        )
        if not found:
            raise LookupError("no such example")
        return found[0]

    def _kinds(self, what: str, where: str, values: list[Any]) -> list[str]:
        return [one["x"] for one in self._ask(f"SELECT DISTINCT {what} AS x FROM examples {where} ORDER BY x", values)]

    def _ask(self, question: str, values: list[Any]) -> list[dict[str, Any]]:
        with self._lock:
            answer = self._base.cursor().execute(question, values)
            names = [one[0] for one in answer.description or ()]
            return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def _where(asked: Mapping[str, str]) -> tuple[str, list[Any]]:
    parts: list[str] = []
    values: list[Any] = []
    for name in _EQUAL:
        if asked.get(name):
            parts.append(f"{name} = ?")
            values.append(int(_number(asked, name) or 0) if name == "run" else asked[name])
    if asked.get("flag"):
        parts.append("list_contains(flags, ?)")
        values.append(asked["flag"])
    for name, sign in (("least", ">="), ("most", "<=")):
        if asked.get(name):
            parts.append(f"distance {sign} ?")
            values.append(_number(asked, name))
    return (f"WHERE {' AND '.join(parts)}" if parts else ""), values


def _number(asked: Mapping[str, str], name: str) -> float | None:
    text = asked.get(name)
    try:
        number = float(text) if text else 0.0
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BrittleError(f"expected {name} as a number, got {text!r}")
    return number if text else None


def _numbered(names: Sequence[str], **more: Sequence[str]) -> pa.Table:
    columns = {"name": list(names), "place": list(range(len(names)))}
    return pa.table(columns | {key: list(one) for key, one in more.items()})
