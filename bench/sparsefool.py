"""SparseFool beside torchattacks' and its authors' own: pixels, fooling rate and time, in one interleaved run."""

import importlib
import math
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.clock import interleaved
from bench.report import Check, Section, Table
from bench.setting import Setting, setting
from brittle.attacks import SparseFool
from brittle.geometry.norms import L0, L1
from brittle.goals import Untargeted
from brittle.types import Images

COUNT, ROUNDS, LAM, OVERSHOOT = 128, 3, 3.0, 0.02
REFERENCE_COUNT, TORCHATTACKS_COUNT = 32, 10  # they take images one by one, 0.25 s and 2.5 s each
PIXELS, TIMES = 10, 20
CHECKOUT = "SPARSEFOOL_REFERENCE"
OURS, SAME = "brittle", f"brittle, lam={LAM:g}"
PAPER, TORCHATTACKS, AUTHORS = f"brittle, lam={LAM:g}, trim=0", "torchattacks", "the authors'"


def section() -> Section:
    case = setting(COUNT)
    calls = _calls(case)
    timed = interleaved({name: call for name, (_, call) in calls.items()}, ROUNDS)
    counts = {name: count for name, (count, _) in calls.items()}
    found = {name: _judged(case, one.result) for name, one in timed.items()}
    fooled, pixels, _ = found[OURS]
    median, rate = _median(pixels), int(fooled.sum())
    checks = [
        Check("median pixels changed", f"≤ {PIXELS}", f"{median:g}", median <= PIXELS),
        Check("fooled", f"{COUNT} of {COUNT}", f"{rate} of {COUNT}", rate == COUNT),
    ]
    notes = [
        f"The first {COUNT} CIFAR-10 test images that ResNet-20 gets right, overshoot {OVERSHOOT}, {ROUNDS} interleaved"
        f" rounds after a warm-up; the peers, who take one image after the other, on the first {TORCHATTACKS_COUNT} and"
        f" {REFERENCE_COUNT} of them, at lam={LAM:g} (their default). Fooled is what a fresh pass through the plain"
        " network says; pixels are positions of which any channel has changed. brittle on the same images: pixels of"
        " its default on the images of that row. trim=0 is the published algorithm without what brittle adds.",
    ]
    if AUTHORS in timed:
        faster = timed[AUTHORS].times(timed[OURS]) * COUNT / REFERENCE_COUNT
        theirs, ours = _median(found[AUTHORS][1]), _median(pixels[:REFERENCE_COUNT])
        same = f"≤ {theirs:g}, the authors' on the same {REFERENCE_COUNT} images"
        checks += [
            Check("median pixels changed", same, f"{ours:g}", ours <= theirs),
            Check("faster than the authors'", f"≥ {TIMES}×", f"{faster:.1f}×", faster >= TIMES),
        ]
    else:
        notes.append(f"The authors' code: not measured; {CHECKOUT} names the folder of a checkout of LTS4/SparseFool.")
    rows = []
    for name, one in timed.items():
        away, changed, size = found[name]
        rows.append(
            (
                name,
                one.ms(counts[name]),
                f"{one.times(timed[OURS]) * COUNT / counts[name]:.2f}",
                f"{_median(changed):g}",
                f"{changed.mean():.2f}",
                f"{_median(pixels[: counts[name]]):g} / {pixels[: counts[name]].mean():.2f}",
                f"{_median(size):.3f}",
                f"{int(away.sum())} of {counts[name]}",
            )
        )
    headings = (
        "call",
        "ms an image (range)",
        "time beside brittle's",
        "median pixels",
        "mean pixels",
        "brittle on the same images, median / mean",
        "median l1",
        "fooled",
    )
    return Section(
        title="SparseFool",
        checks=tuple(checks),
        tables=(Table(headings, tuple(rows)),),
        notes=tuple(notes),
        facts={name: {"seconds": timed[name].seconds, "pixels": found[name][1].tolist()} for name in timed},
    )


def _judged(case: Setting, images: Images) -> tuple[Tensor, Tensor, Tensor]:
    """Fooled, one for each image; pixels and L1 distance, one for each fooled image."""
    with torch.no_grad():
        away = case.plain(images).argmax(1) != case.labels[: len(images)]
    change = (images - case.images[: len(images)])[away]
    return away, L0.measure(change), L1.measure(change)


def _calls(case: Setting) -> dict[str, tuple[int, Callable[[], Images]]]:
    """How many images, and each library called as its documentation says."""

    def ours(**options: Any) -> tuple[int, Callable[[], Images]]:
        method, goal = SparseFool(overshoot=OVERSHOOT, **options), Untargeted(case.labels)
        return COUNT, lambda: method(case.classifier, case.images, goal, rng=case.rng).images

    torchattacks: Any = importlib.import_module("torchattacks")
    case.plain.eval()  # torchattacks gives a model its own mode back, to all modules alike
    peer = torchattacks.SparseFool(case.plain, steps=10, lam=LAM, overshoot=OVERSHOOT)
    few, labels = case.images[:TORCHATTACKS_COUNT], case.labels[:TORCHATTACKS_COUNT]
    calls: dict[str, tuple[int, Callable[[], Images]]] = {
        OURS: ours(),
        SAME: ours(lam=LAM),
        PAPER: ours(lam=LAM, trim=0),
        TORCHATTACKS: (TORCHATTACKS_COUNT, lambda: peer(few, labels)),
    }
    if folder := os.environ.get(CHECKOUT):
        calls[AUTHORS] = (REFERENCE_COUNT, partial(_one_by_one, _authors(Path(folder)), case))
    return calls


def _authors(checkout: Path) -> Any:
    """The function ``sparsefool`` of the authors' code, which was written for PyTorch 1.1."""
    gradcheck: Any = importlib.import_module("torch.autograd.gradcheck")
    gradcheck.zero_gradients = _forget_gradient  # PyTorch has dropped it since
    names = ("sparsefool", "deepfool", "linear_solver", "utils")
    hidden = {name: sys.modules.pop(name, None) for name in names}
    sys.path.insert(0, str(checkout))
    try:
        return importlib.import_module("sparsefool").sparsefool
    finally:
        sys.path.remove(str(checkout))
        for name, module in hidden.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module


def _forget_gradient(tensor: Tensor) -> None:
    if tensor.grad is not None:
        tensor.grad.detach_().zero_()


def _one_by_one(sparsefool: Any, case: Setting) -> Images:
    images = [case.images[row : row + 1] for row in range(REFERENCE_COUNT)]
    bounds = torch.zeros_like(images[0]), torch.ones_like(images[0])
    return torch.cat([sparsefool(one, case.plain, *bounds, LAM, epsilon=OVERSHOOT, device="cpu")[0] for one in images])


def _median(values: Tensor) -> float:
    return values.quantile(0.5).item() if len(values) else math.inf
