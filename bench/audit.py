"""The audit of the README's CIFAR command: what it costs around the attacks."""

import shutil
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.clock import Stopwatch
from bench.report import Check, Section, Table
from bench.setting import data_file, resnet20
from brittle.attacks import FGSM, PGD, Attack, DeepFool
from brittle.data import Fit, load_data
from brittle.geometry.norms import LINF
from brittle.models.network import Network
from brittle.report import write_report
from brittle.run import engine, sources, store
from brittle.run.sources import Sources
from brittle.studies.audit import Audit

LIMIT, ROUNDS, GOAL = 1000, 3, 0.08
GRADING = "grading: passes through the plain network"
REST = "records as tables, grading's comparisons, the rest"
PARTS = {
    (sources, "preflight"): "preflight",
    (sources, "check_compatible"): "preflight",
    (sources, "take_probe"): "probe",
    (store, "write"): "writing images and records",
}


@dataclass(frozen=True, slots=True)
class Audited:
    """One finished audit and where its time went, in seconds."""

    run: engine.Run
    total: float
    attacks: float
    grading: float
    parts: dict[str, float]

    @property
    def overhead(self) -> float:
        return self.total - self.attacks - self.grading


@cache
def audited(directory: Path) -> list[Audited]:
    """Runs the audit ``ROUNDS`` times; the last one's directory stays."""
    examples = load_data(
        str(data_file("cifar10-jpeg/test.parquet")), limit=LIMIT, fit=Fit(channels=3, height=32, width=32)
    )
    return [_one(examples, directory) for _ in range(ROUNDS)]


def section(directory: Path) -> Section:
    opening = time.perf_counter()
    load_data(str(data_file("cifar10-jpeg/test.parquet")), limit=LIMIT, fit=None)
    opening = time.perf_counter() - opening
    runs = sorted(audited(directory), key=lambda one: one.overhead / one.attacks)
    middle = runs[ROUNDS // 2]
    share = statistics.median(one.overhead / one.attacks for one in runs)
    reporting = time.perf_counter()
    write_report(directory)
    reporting = time.perf_counter() - reporting
    lines = {
        "attacks": middle.attacks,
        GRADING: middle.grading,
        **dict(sorted(middle.parts.items(), key=lambda part: -part[1])),
        "overhead, all but attacks and grading": middle.overhead,
        "total": middle.total,
        "before: opening the data (information)": opening,
        "after: writing the report (information)": reporting,
    }
    rows = tuple((name, f"{value:.3f}", f"{value / middle.attacks:.1%}") for name, value in lines.items())
    shares = ", ".join(f"{one.overhead / one.attacks:.1%}" for one in runs)
    return Section(
        title="Audit around the attacks",
        checks=(Check("overhead of the attacks' own time", f"≤ {GOAL:.0%}", f"{share:.1%}", share <= GOAL),),
        tables=(Table(("part", "seconds", "of the attacks' time"), rows),),
        notes=(
            f"{LIMIT} CIFAR-10 images, fgsm eps=0.01, pgd eps=0.01, deepfool, deepfool linf. The table is the median of"
            f" {ROUNDS} runs by overhead ({shares}). The attacks' time is the sum of the records' seconds; decoding,"
            " preflight and everything on disk are overhead.",
        ),
        facts={"runs": [{"total": o.total, "attacks": o.attacks, "grading": o.grading, **o.parts} for o in runs]},
    )


def _one(examples: Any, directory: Path) -> Audited:
    shutil.rmtree(directory, ignore_errors=True)
    watch, classifier = Stopwatch(), resnet20()
    methods: Sequence[Attack] = [FGSM(eps=0.01), PGD(eps=0.01), DeepFool(), DeepFool(norm=LINF)]
    watched = replace(examples, read=watch.timed("decoding", examples.read))
    with ExitStack() as stack:
        for (module, name), part in PARTS.items():
            stack.enter_context(patch.object(module, name, watch.timed(part, getattr(module, name))))
        stack.enter_context(patch.object(Network, "logits", _graded_apart(watch)))
        started = time.perf_counter()
        study = Audit(Sources.made_of({"resnet20": classifier}, {"resnet20": watched}), methods)
        run = engine.run(study, out=directory)
        total = time.perf_counter() - started
    parts = dict(watch.seconds)
    grading = parts.pop(GRADING)
    attacks = float(run.records["seconds"].sum())
    return Audited(run, total, attacks, grading, parts | {REST: total - attacks - grading - sum(parts.values())})


def _graded_apart(watch: Stopwatch) -> Any:
    """``Network.logits`` with the plain passes of grading booked as such; those of preflight stay preflight's."""
    original = Network.logits

    def logits(self: Network, images: Any, *, plain: bool = False) -> Any:
        if not plain or watch.inside("preflight"):
            return original(self, images, plain=plain)
        with watch.part(GRADING):
            return original(self, images, plain=plain)

    return logits
