"""How soon ``brittle view`` answers a filter over a million records, and how long it takes to read them first.

Times are the processor's, of all threads together: the wall's are a half on two free cores.
"""

import importlib.util
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from bench.drawn import ATTACKS, draw_audit
from bench.report import Check, Section, Table
from bench.setting import Skipped

RECORDS, ROUNDS, GOAL = 1_000_000, 7, 0.3
QUESTIONS: Mapping[str, Mapping[str, str]] = {
    "all, first page": {},
    "one attack, fooled, by distance": {"attack": "deepfool", "outcome": "fooled", "sort": "distance"},
    "one class, largest first": {"class": "class-7", "sort": "distance", "falling": "1"},
    "between two distances": {"least": "0.06", "most": "0.0605", "sort": "passes"},
    "with a flag": {"flag": "non-finite-logits", "sort": "confidence"},
    "page 1,000": {"sort": "distance", "offset": "60000"},
}


def section() -> Section:
    if importlib.util.find_spec("duckdb") is None:
        raise Skipped("duckdb is not installed: pip install 'brittle[view]'")
    from brittle.view.index import Index
    from brittle.view.shelf import shelved

    with tempfile.TemporaryDirectory() as folder:
        draw_audit(Path(folder), RECORDS // len(ATTACKS))
        started = time.process_time()
        index = Index(shelved([Path(folder)]))
        read = time.process_time() - started
        timed = {name: [_seconds(index, asked) for _ in range(ROUNDS)] for name, asked in QUESTIONS.items()}
        choices = [_choices(index) for _ in range(ROUNDS)]
    slowest = max(map(median, timed.values()))
    rows = [(name, f"{1000 * median(each):.0f}", f"{1000 * min(each):.0f}") for name, each in timed.items()]
    rows.append(("what each filter may be", f"{1000 * median(choices):.0f}", f"{1000 * min(choices):.0f}"))
    return Section(
        title="The explorer over a million records",
        checks=(Check("the slowest filter", f"≤ {1000 * GOAL:.0f} ms", f"{1000 * slowest:.0f} ms", slowest <= GOAL),),
        tables=(Table(("question", "ms, median", "ms, least"), tuple(rows)),),
        facts={"processor seconds to read all records first": read},
    )


def _seconds(index: object, asked: Mapping[str, str]) -> float:
    started = time.process_time()
    index.find(asked)  # type: ignore[attr-defined]
    return time.process_time() - started


def _choices(index: object) -> float:
    started = time.process_time()
    index.choices({})  # type: ignore[attr-defined]
    return time.process_time() - started
