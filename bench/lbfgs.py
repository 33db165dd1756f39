"""L-BFGS beside SciPy's L-BFGS-B, image by image, on the same objective and the same search for its weight."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize  # type: ignore[import-untyped]
from torch import Tensor

from bench.clock import interleaved
from bench.report import Check, Section, Table
from bench.setting import Setting, setting
from brittle.attacks import LBFGS
from brittle.geometry.norms import L2
from brittle.goals import Untargeted
from brittle.types import Images

COUNT, SCIPY_COUNT, ROUNDS = 128, 6, 3
TIMES, EQUAL = 10, 1.001
OURS, TIGHT, NO_PULL = "brittle", "brittle, tolerance=0.03", "brittle, pull=0"
ALIKE, OWN = "SciPy, stops like brittle's", "SciPy, its own stops"
STOPS: dict[str, dict[str, float]] = {ALIKE: {"ftol": 1e-3, "maxiter": 30}, OWN: {}}


def section() -> Section:
    case = setting(COUNT)
    calls: dict[str, Callable[[], Images]] = {
        OURS: partial(_ours, case, LBFGS()),
        TIGHT: partial(_ours, case, LBFGS(tolerance=0.03)),
        NO_PULL: partial(_ours, case, LBFGS(pull=0)),
        ALIKE: partial(_scipy, case, STOPS[ALIKE]),
        OWN: partial(_scipy, case, STOPS[OWN]),
    }
    timed = interleaved(calls, ROUNDS)
    sizes = {name: _judged(case, one.result) for name, one in timed.items()}
    ours = sizes[OURS]
    faster = timed[ALIKE].times(timed[OURS]) * COUNT / SCIPY_COUNT
    beside = _median(ours[:SCIPY_COUNT] / torch.minimum(sizes[ALIKE], sizes[OWN]))
    fooled = int(ours.isfinite().sum())
    checks = (
        Check("fooled", f"{COUNT} of {COUNT}", f"{fooled} of {COUNT}", fooled == COUNT),
        Check(
            "L2 beside SciPy's smaller one, median",
            f"≤ {EQUAL}: equal to a thousandth, or smaller",
            f"{beside:.4f}",
            beside <= EQUAL,
        ),
        Check("faster than SciPy stopped alike", f"≥ {TIMES}×", f"{faster:.1f}×", faster >= TIMES),
    )
    rows = []
    for name, one in timed.items():
        size = sizes[name]
        ratio = size / ours[: len(size)]
        rows.append(
            (
                name,
                one.ms(len(size)),
                f"{one.times(timed[OURS]) * COUNT / len(size):.2f}",
                f"{_median(size):.5f}",
                f"{size.mean():.5f}",
                f"{ours[: len(size)].mean():.5f}",
                f"{_median(ratio):.4f}",
                f"{int((ratio > 1).sum())} / {int((ratio < 1).sum())}",
                f"{int(size.isfinite().sum())} of {len(size)}",
            )
        )
    headings = (
        "call",
        "ms an image (range)",
        "time beside brittle's",
        "median l2",
        "mean l2",
        "brittle's mean on the same images",
        "median per image beside brittle's",
        "images larger / smaller than brittle's",
        "fooled",
    )
    return Section(
        title="L-BFGS",
        checks=checks,
        tables=(Table(headings, tuple(rows)),),
        notes=(
            f"The first {COUNT} CIFAR-10 test images that ResNet-20 gets right, {ROUNDS} interleaved rounds after a"
            f" warm-up; SciPy on the first {SCIPY_COUNT}, through the same network. Both minimise c·‖r‖ + cross-entropy"
            " from c = a quarter of the gradient's norm, at up to nine values of c, each from the last minimum that"
            " fooled, and keep the smallest perturbation that fooled at any evaluation; brittle then pulls it back"
            f" towards the image. SciPy is run as it comes, and with {STOPS[ALIKE]}, where brittle stops."
            " Sizes are what a fresh pass through the plain network confirms.",
        ),
        facts={name: {"seconds": timed[name].seconds, "sizes": sizes[name].tolist()} for name in timed},
    )


def _ours(case: Setting, method: LBFGS) -> Images:
    return method(case.classifier, case.images, Untargeted(case.labels), rng=case.rng).images


def _judged(case: Setting, images: Images) -> Tensor:
    """L2 of each perturbation; infinite where it does not fool."""
    with torch.no_grad():
        away = case.plain(images).argmax(1) != case.labels[: len(images)]
    return torch.where(away, L2.measure(images - case.images[: len(images)]), torch.inf)


def _scipy(case: Setting, stops: dict[str, float]) -> Images:
    rows = range(SCIPY_COUNT)
    return torch.cat([_one(case, case.images[row : row + 1], int(case.labels[row]), stops) for row in rows])


def _one(case: Setting, image: Images, label: int, stops: dict[str, float]) -> Images:
    """The attack on one image, each minimisation by SciPy."""
    origin = image.double().flatten().numpy()
    goal = Untargeted(torch.tensor([label]))
    smallest, best = math.inf, origin

    def loss_at(point: Any) -> tuple[float, Any, bool]:
        pixels = torch.from_numpy(point).float().view_as(image)
        logits, pullback = case.classifier.linearize(pixels)
        leaf = logits.clone().requires_grad_()
        loss = torch.nn.functional.softplus(-goal.loss(leaf)).sum()
        (cotangents,) = torch.autograd.grad(loss, leaf)
        gradient = pullback(cotangents).double().flatten().numpy()
        return loss.item(), gradient, bool(goal.is_surely_met(logits))

    def objective(point: Any, c: float) -> tuple[float, Any]:
        nonlocal smallest, best
        loss, gradient, met = loss_at(point)
        change = point - origin
        size = float(np.linalg.norm(change))
        if met and size < smallest:
            smallest, best = size, point.copy()
        return c * size + loss, gradient + (c / size * change if size else 0)

    c = 0.25 * float(np.linalg.norm(loss_at(origin)[1]))
    low, high, start, bounds = 0.0, math.inf, origin, [(0.0, 1.0)] * len(origin)
    for _ in range(9):
        end = minimize(objective, start, args=(c,), jac=True, method="L-BFGS-B", bounds=bounds, options=stops).x
        if loss_at(end)[2]:
            low, start = c, end
        else:
            high, start = c, start if low else end
        if high < 1.02 * low:
            break
        c = c / 4 if not low else 1.5 * c if high == math.inf else math.sqrt(low * high)
    return torch.from_numpy(best).float().view_as(image)


def _median(values: Tensor) -> float:
    return values.quantile(0.5).item() if len(values) else math.inf
