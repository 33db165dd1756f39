"""A run of a million units on a cluster that is simulated: what of it is work, and where handing it out breaks.

The pieces are those that the engine would hand out, by the same code, in whose own time the clock goes on; so does that
of what the engine does with an answer, as measured here. Only the work is not done: its seconds are drawn from those
that an audit took.
"""

import heapq
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.report import Check, Section, Table
from bench.setting import data_file, resnet20
from brittle.attacks import PGD, DeepFool
from brittle.data import load_data
from brittle.run import engine, store
from brittle.run.pieces import Pieces
from brittle.run.sources import Sources
from brittle.run.study import Done, Unit
from brittle.studies.audit import Audit

UNITS, WORKERS = 1_000_000, (1, 8, 64, 128, 256, 512)
MEASURED, KEPT = 512, 50
ENOUGH, GOAL = 64, 0.95


class Costs(NamedTuple):
    """What was measured here. each: seconds that images took; keep: seconds until an answer of ``examples`` is on the
    disk."""

    each: Sequence[float]
    examples: int
    keep: float


class Simulated(NamedTuple):
    """work, span: seconds, of all units together and until the last is on the disk. took: those of this simulation."""

    workers: int
    work: float
    span: float
    took: float

    @property
    def efficiency(self) -> float:
        return self.work / (self.workers * self.span)


def section() -> Section:
    costs = _costs()
    found = [_simulated(UNITS, workers, costs) for workers in WORKERS]
    unit = costs.examples * statistics.mean(costs.each)
    enough = next(one for one in found if one.workers == ENOUGH)
    rows = tuple(
        (f"{one.workers}", f"{one.efficiency:.1%}", f"{one.span / 3600:,.1f}", f"{UNITS / one.span:,.1f}")
        for one in found
    )
    return Section(
        title="A million units on a simulated cluster",
        checks=(
            Check(
                f"share of {ENOUGH} workers' time that is work",
                f"≥ {GOAL:.0%}",
                f"{enough.efficiency:.1%}",
                enough.efficiency >= GOAL,
            ),
        ),
        tables=(Table(("workers", "of their time is work", "hours", "units a second"), rows),),
        notes=(
            f"{UNITS:,} units of {costs.examples} images; a unit takes {unit:.2f} s, drawn from an audit of {MEASURED}"
            f" CIFAR-10 images by ResNet-20, deepfool and pgd. An answer takes {1e3 * costs.keep:.1f} ms until it is on"
            f" the disk, one after the other: that bounds a run to {1 / costs.keep:,.0f} units a second, and so to"
            f" {unit / costs.keep:,.0f} workers of this speed; larger shards move it.",
        ),
        facts={"costs": costs._asdict(), "simulated": [one._asdict() for one in found]},
    )


def _costs() -> Costs:
    examples = load_data(str(data_file("cifar10-jpeg/test.parquet")), limit=MEASURED, fit=None)
    net = resnet20()
    study = Audit(Sources.made_of({"resnet20": net}, {"resnet20": examples}), (DeepFool(), PGD(eps=0.01)))
    with tempfile.TemporaryDirectory() as folder:
        run = engine.run(study, out=Path(folder) / "run")
        place = store.Store(Path(folder) / "again", run.manifest)
        units = study.units(run.manifest)
        again = store.Store(run.directory, run.manifest).made(units[0])
        seconds = []
        for number in range(KEPT):
            started = time.perf_counter()
            content = {f"images/{number}.safetensors": next(iter(again.files.values())) + bytes([number])}
            place.keep(units[0].part(number, number + len(units[0])), Done(again.table, content), "")
            seconds.append(time.perf_counter() - started)
        return Costs(run.records["seconds"].tolist(), len(units[0]), statistics.median(seconds))


def _simulated(count: int, workers: int, costs: Costs) -> Simulated:
    begun = time.perf_counter()
    draw, guess = random.Random(0), statistics.mean(costs.each)
    units = [Unit(f"{k}", "all", 0, costs.examples, None, guess=guess) for k in range(count)]
    pieces = Pieces([(unit, *unit.span) for unit in units])
    # Of what is busy: when it is done, with what, and how long that took. At first nobody has anything.
    busy: list[tuple[float, int, Unit | None, float]] = [(0.0, worker, None, 0.0) for worker in range(workers)]
    free_from, work = 0.0, 0.0  # of the engine, which hands out and keeps one at a time
    while busy:
        now, worker, piece, took = heapq.heappop(busy)
        free_from = max(now, free_from)
        started = time.process_time()  # what else runs on this machine is not the engine's
        if piece is not None:
            pieces.took(piece, took)
        following = pieces.take(workers)
        free_from += time.process_time() - started + (0.0 if piece is None else costs.keep)
        if following is not None:
            seconds = len(following) * statistics.fmean(draw.choices(costs.each, k=8))
            work += seconds
            heapq.heappush(busy, (free_from + seconds, worker, following, seconds))
    return Simulated(workers, work, free_from, time.perf_counter() - begun)
