"""Training beside a bare loop of the same passes: what decoding, augmentation, checkpoints and Lightning cost."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch.nn import functional

from bench.clock import interleaved
from bench.report import Check, Section, Table
from bench.setting import CIFAR, test_set
from brittle.models.bfloat16 import quick_precision
from brittle.models.trainable import trainable
from brittle.train import loop
from brittle.train.batches import Pixels
from brittle.train.classifier import Setting, initialised, train
from brittle.train.standard import Standard

IMAGES, BATCH, ROUNDS, MOST = 2_048, 256, 5, 1.1
NETWORK, OURS, BARE = "resnet20", "brittle train", "bare loop"


def section() -> Section:
    precisions = tuple(dict.fromkeys((quick_precision("cpu"), "fp32")))
    rows, checks = [], []
    facts: dict[str, Any] = {}
    for precision in precisions:
        timed = interleaved(_calls(precision), ROUNDS)
        times = timed[OURS].times(timed[BARE])
        rows += [(precision, name, one.ms(IMAGES)) for name, one in timed.items()]
        checks.append(Check(f"{precision}: time beside a bare loop", f"≤ {MOST}×", f"{times:.3f}×", times <= MOST))
        facts[precision] = {name: one.seconds for name, one in timed.items()}
    return Section(
        title="Training",
        checks=tuple(checks),
        tables=(Table(("precision", "call", "ms an image (range)"), tuple(rows)),),
        notes=(
            f"{NETWORK}, one epoch of {IMAGES:,} decoded CIFAR-10 images in batches of {BATCH}, forwards, backwards and"
            f" a step of Nesterov's SGD; {ROUNDS} interleaved rounds after a warm-up. Ours flips, shifts, normalises,"
            " sets the rate, counts what is right, and writes a checkpoint after each second; the bare loop is given"
            " normalised batches in its order and does none of that.",
        ),
        facts=facts,
    )


def _calls(precision: str) -> dict[str, Callable[[], float]]:
    examples = test_set(CIFAR)
    pixels, one = Pixels.of(examples, range(IMAGES)), Pixels.of(examples, range(IMAGES, IMAGES + 1))
    recipe = Standard(epochs=1, batch=BATCH)
    setting = Setting(recipe, pixels, one, 0, precision)  # type: ignore[arg-type]
    build = partial(trainable(NETWORK).build, 10)
    parts = torch.split(torch.arange(IMAGES), BATCH)
    batches = [(setting.normalised.images(pixels.values[rows]), pixels.labels[rows]) for rows in parts]

    def ours() -> float:
        with tempfile.TemporaryDirectory() as folder, patch.object(loop, "SECONDS", 1.0):
            return train(build, setting, scratch=Path(folder)).rows[-1]["loss"]

    def bare() -> float:
        net = initialised(build, 0).train()
        optimiser = torch.optim.SGD(
            net.parameters(), lr=0.1, momentum=recipe.momentum, nesterov=True, weight_decay=recipe.decay
        )
        loss = torch.zeros(())
        for images, labels in batches:
            optimiser.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                loss = functional.cross_entropy(net(images), labels, label_smoothing=recipe.smoothing)
            torch.autograd.backward(loss)
            optimiser.step()
        return float(loss.detach())

    return {OURS: ours, BARE: bare}
