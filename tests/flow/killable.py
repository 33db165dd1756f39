"""A small audit that a child process can be killed in, at any of its function calls."""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from unittest.mock import patch

import torch
import torch._dynamo  # by the first look at the types of a network's operations
import torch.fx.experimental.symbolic_shapes  # with sympy, by the first gradient: here once, not in each child
from kit import seeded

import brittle
from brittle.attacks import Attack
from brittle.data import Examples
from brittle.models.digits_cnn import DigitsCNN
from brittle.models.network import Network
from brittle.run import engine
from brittle.run.engine import Run, run

COUNT = 24
SHARD = 8
ATTACKS: tuple[Attack, ...] = (
    brittle.FGSM(eps=0.1),
    brittle.PGD(eps=0.1, steps=3, random_start=True),
    brittle.DeepFool(max_steps=5),
)


def classifier(weights: int = 0, batch_size: int | None = None) -> Network:
    return Network(seeded(DigitsCNN(), weights), class_names=list("0123456789"), batch_size=batch_size)


def examples(count: int = COUNT, data: int = 0) -> Examples:
    generator = torch.Generator().manual_seed(data)
    images = torch.rand(count, 1, 8, 8, generator=generator)
    labels = classifier().logits(images).argmax(1)
    labels[::7] = 3  # a few that the network gets wrong
    return brittle.examples_of(images, labels, ids=[f"example-{k}" for k in range(count)])


def small_run(directory: Path, **changes: object) -> Run:
    settings = {"classifier": classifier(), "examples": examples(), "attacks": ATTACKS, "shard_size": SHARD} | changes
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # for so little work several threads only wait for one another
    try:
        # The preflight makes more calls than all the rest and writes nothing: kills would hardly fall anywhere else.
        with patch.object(engine, "preflight", return_value=[]):
            return run(out=directory, **settings)  # type: ignore[arg-type]
    finally:
        torch.set_num_threads(threads)


def run_until_killed(directory: Path, kill_at: int) -> None:
    """Runs in a child process and kills itself, as ``kill -9`` would, at the call numbered ``kill_at``."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        if event in ("call", "c_call"):
            calls += 1
            if calls == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)
    small_run(directory)
    sys.setprofile(None)
    (directory / "calls").write_text(str(calls))
