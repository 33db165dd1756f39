"""Two processes against one that has both cores, and what processes that only pass through the network gain by it."""

import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from bench import bare
from bench.clock import Timed, interleaved
from bench.report import Check, Section, Table
from bench.setting import Skipped, data_file, resnet20
from brittle.attacks import PGD, DeepFool
from brittle.data import Fit, load_data
from brittle.run import engine
from brittle.run.sources import Sources
from brittle.studies.audit import Audit

COUNTS = {2000: 1.15, 128: 0.9}
"""Images: the throughput wanted of two workers beside one."""
ROUNDS, CORES, PASSES, CHUNK, BARE = 3, 2, 3, 64, 1024
STARTS = "a process that imports torch and brittle, and ends"


def section() -> Section:
    if torch.get_num_threads() < CORES:
        raise Skipped(f"two workers are measured on {CORES} cores, there is {torch.get_num_threads()}")
    audits = {count: interleaved({"1": _audit(count, 1), "2": _audit(count, CORES)}, ROUNDS) for count in COUNTS}
    with _processes() as everywhere:
        loops = interleaved({"1": _loop, "2": everywhere}, ROUNDS)
    started = interleaved({STARTS: _start}, ROUNDS)[STARTS]
    timed = {f"audit of {count} images": one for count, one in audits.items()} | {"bare loop": loops}
    rows = tuple((name, _spoken(one["1"]), _spoken(one["2"]), f"{_gain(one):.2f}") for name, one in timed.items())
    return Section(
        title="Two workers",
        checks=tuple(
            Check(f"throughput beside one worker, {count} images", f"≥ {least}×", f"{gain:.2f}×", gain >= least)
            for count, least in COUNTS.items()
            for gain in [_gain(audits[count])]
        ),
        tables=(Table(("what", "seconds, one process", "seconds, two processes", "throughput beside one"), rows),),
        notes=(
            "ResNet-20, deepfool and pgd eps=0.01; one process has two threads, two have one each. The bare loop goes"
            f" forward and backward through the folded network {PASSES} times over {BARE} images, in processes that"
            " were there before: what no division of work can exceed. Starting a worker takes"
            f" {started.median:.1f} s of a core ({STARTS}), beside the work.",
        ),
        facts={name: {key: each.seconds for key, each in one.items()} for name, one in timed.items()},
    )


def _spoken(one: Timed[None]) -> str:
    return f"{one.median:.1f} ({min(one.seconds):.1f} to {max(one.seconds):.1f})"


def _gain(one: dict[str, Timed[None]]) -> float:
    return one["1"].times(one["2"])


def _audit(count: int, workers: int) -> Callable[[], None]:
    fit = Fit(channels=3, height=32, width=32)
    examples = load_data(str(data_file("cifar10-jpeg/test.parquet")), limit=count, fit=fit)

    def run() -> None:
        directory = Path(tempfile.mkdtemp())
        try:
            study = Audit(Sources.made_of({"net": resnet20()}, {"net": examples}), [DeepFool(), PGD(eps=0.01)])
            engine.run(study, out=directory, workers=workers)
        finally:
            shutil.rmtree(directory)

    return run


def _loop(share: int = 1) -> None:
    net = bare.fast_copy(resnet20())
    images = torch.rand(BARE // share, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    bare.forward_backward(net, images, torch.zeros(len(images)).long(), passes=PASSES, chunk=CHUNK)


def _start() -> None:
    process = multiprocessing.get_context("spawn").Process(target=_loads)
    process.start()
    process.join()


def _loads() -> None:
    """What the process has imported by now to find this."""


@contextmanager
def _processes() -> Iterator[Callable[[], None]]:
    """A call that has each of two processes of one thread do its part of the bare loop."""
    context = multiprocessing.get_context("spawn")
    ends = [context.Pipe() for _ in range(CORES)]
    workers = [context.Process(target=_serve, args=(theirs,), daemon=True) for _, theirs in ends]
    for worker in workers:
        worker.start()

    def everywhere() -> None:
        for ours, _ in ends:
            ours.send(True)
        for ours, _ in ends:
            ours.recv()

    try:
        yield everywhere
    finally:
        for worker in workers:
            worker.kill()


def _serve(asked: Connection) -> None:
    torch.set_num_threads(1)
    while asked.recv():
        _loop(CORES)
        asked.send(time.perf_counter())
