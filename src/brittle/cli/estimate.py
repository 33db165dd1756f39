"""How long work would take, from a few examples of each kind of it; nothing of them is kept."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from brittle.records import Manifest
from brittle.run.executors import Workers
from brittle.run.store import Store
from brittle.run.study import Done, Study, Unit
from brittle.text import duration

_TRIED = (1, 16, 64, 256)  # examples of each group of units: images differ, and few at once take longer each
ENOUGH, ENOUGH_TO_BEGIN = 4.0, 0.3
"""Seconds of a try after which no more is tried, in a dry run and in any."""
_TOO_LONG = 15.0  # seconds of one example


def estimated(seconds: float, workers: Workers, spread: str = "") -> str:
    """The line that ends a plan. Of a cluster, whose size is not known here, it tells what one process would take."""
    several = ""
    if isinstance(workers, int) and workers > 1:
        several = f", shared by {workers} workers at best {duration(seconds / workers)}"
    return f"\nestimated from a few examples of each: {duration(seconds)} in all{spread}{several}; nothing was written"


def tries(
    study: Study, manifest: Manifest, units: Sequence[Unit], enough: float
) -> Iterator[tuple[list[Unit], Done, float]]:
    """The units of each stage and group, what a try has made of a few of their examples, and the seconds that all would
    take.

    Later stages may read what is made before. For them all units of a group stand as the one does that has been tried.
    """
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder), manifest)
        most = dict[int, int]()  # examples tried in each stage: of those the next has files
        last = max((unit.stage for unit in units), default=0)
        for stage, group in sorted(dict.fromkeys((one.stage, one.group) for one in units), key=lambda one: one[0]):
            mine = [unit for unit in units if (unit.stage, unit.group) == (stage, group)]
            tried, done, seconds = _tried(study, store, mine, enough, most.get(stage - 1, len(mine[-1])))
            most[stage] = min(tried, most.get(stage, tried))
            for unit in reversed(mine) if stage < last else ():
                store.keep(unit, done if unit is mine[-1] else done._replace(files={}), "")
            yield mine, done, seconds


def _tried(study: Study, store: Store, units: Sequence[Unit], enough: float, most: int) -> tuple[int, Done, float]:
    """Of the last of some units a few examples, at most so many: their number, what was made of them, and the seconds
    that all of all would take.

    More and more are tried, until that takes its time: images differ much. A batch costs something beside what each of
    its examples does, which the last two tries tell apart. One example that takes long is tried again, to see whether
    it is the example.
    """
    unit = units[-1]
    tried: list[tuple[int, float]] = []
    first = 0.0  # what is prepared once for all units, as images that are decoded
    for examples in _TRIED:
        some = unit if min(examples, most) >= len(unit) else unit.part(unit.start, unit.start + min(examples, most))
        done, seconds = _timed(study, store, some)
        if examples == 1 and some != unit and seconds > _TOO_LONG:
            _, again = _timed(study, store, some)
            first, seconds = max(seconds - again, 0.0), again
        tried.append((len(some), seconds))
        if some == unit or examples >= most or seconds > (_TOO_LONG if examples == 1 else enough):
            break
    if some != unit:
        done = done._replace(files=study.joined(unit, [(some, done)]) or done.files)
    (few, short), (many, long) = tried[-2:] if len(tried) > 1 else ((0, 0.0), tried[0])
    each = min(max(long - short, 0.0) / (many - few), long / many)
    once = long - each * many
    if few == 1:  # much of that was its own work
        once, each = once / 2, each + once / 2 / many
    return len(some), done, first + sum(once + each * len(one) for one in units)


def _timed(study: Study, store: Store, unit: Unit) -> tuple[Done, float]:
    started = time.perf_counter()
    done = study.do(unit, store.manifest, store)
    return done, time.perf_counter() - started
