"""DeepFool beside adv_lib's and foolbox's: time and size of the perturbation, in one interleaved run."""

import importlib
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bench.clock import interleaved
from bench.report import Check, Section, Table
from bench.setting import Setting, setting
from brittle.attacks import DeepFool
from brittle.geometry.norms import norm_named
from brittle.goals import Untargeted
from brittle.run.attack import attack
from brittle.types import Images

COUNT, ROUNDS, OVERSHOOT = 128, 5, 0.02
ALONE, GRADED, ADV_LIB, FOOLBOX = "brittle, the attack", "brittle, graded", "adv_lib df", "foolbox"
GOALS = {"l2": {ADV_LIB: 6, FOOLBOX: 12}, "linf": {ADV_LIB: 6}}


def section(norm: str) -> Section:
    case = setting(COUNT)
    timed = interleaved(_calls(case, norm), ROUNDS)
    ours = timed[ALONE]
    sizes, fooled, beside = {}, {}, {}
    for name, one in timed.items():
        with torch.no_grad():
            away = case.plain(one.result).argmax(1) != case.labels
        every = norm_named(norm).measure(one.result - case.images)
        fooled[name], sizes[name] = int(away.sum()), every[away]
        beside[name] = (every / norm_named(norm).measure(ours.result - case.images))[away]
    medians = {name: _median(values) for name, values in sizes.items()}
    peer_median, peer_fooled = min(medians[ADV_LIB], medians[FOOLBOX]), max(fooled[ADV_LIB], fooled[FOOLBOX])
    smaller = f"{medians[ALONE]:.5f} ({medians[ALONE] / peer_median - 1:+.1%})"
    checks = [
        Check(f"median {norm}", f"≤ {peer_median:.5f}, the smaller peer's", smaller, medians[ALONE] <= peer_median),
        Check("fooled", f"≥ {peer_fooled} of {COUNT}", f"{fooled[ALONE]} of {COUNT}", fooled[ALONE] >= peer_fooled),
    ]
    for peer, times in GOALS[norm].items():
        faster = timed[peer].times(ours)
        checks.append(Check(f"faster than {peer}", f"≥ {times}×", f"{faster:.1f}×", faster >= times))
    rows = tuple(
        (
            name,
            one.ms(COUNT),
            f"{one.times(ours):.2f}",
            f"{medians[name]:.5f}",
            f"{sizes[name].mean():.5f}",
            f"{_median(beside[name]):.4f}",
            f"{int((beside[name] > 1).sum())} / {int((beside[name] < 1).sum())}",
            f"{fooled[name]} of {COUNT}",
        )
        for name, one in timed.items()
    )
    size = ("median per image beside brittle's", "images larger / smaller than brittle's")
    headings = (
        "call",
        "ms an image (range)",
        "time beside brittle's",
        f"median {norm}",
        f"mean {norm}",
        *size,
        "fooled",
    )
    return Section(
        title=f"DeepFool {norm}",
        checks=tuple(checks),
        tables=(Table(headings, rows),),
        notes=(
            f"The first {COUNT} CIFAR-10 test images that ResNet-20 gets right, overshoot {OVERSHOOT}; {ROUNDS}"
            " interleaved rounds after a warm-up. Sizes are over the images that a fresh pass through the plain network"
            " confirms; the median of an even number is the mean of the two in the middle. Speed goals are judged on"
            " the attack alone, which is what the peers do; grading adds two plain passes.",
        ),
        facts={name: {"seconds": timed[name].seconds, "sizes": sizes[name].tolist()} for name in timed},
    )


def _calls(case: Setting, norm: str) -> dict[str, Callable[[], Images]]:
    """Each library called as its documentation says."""
    method = DeepFool(norm=norm_named(norm), overshoot=OVERSHOOT)
    df: Any = importlib.import_module("adv_lib.attacks.deepfool").df
    foolbox: Any = importlib.import_module("foolbox")
    kind = foolbox.attacks.L2DeepFoolAttack if norm == "l2" else foolbox.attacks.LinfDeepFoolAttack
    wrapped = foolbox.PyTorchModel(case.plain.eval(), bounds=(0, 1), device="cpu")
    order = 2 if norm == "l2" else math.inf
    images, labels = case.images, case.labels
    return {
        ALONE: lambda: method(case.classifier, images, Untargeted(labels), rng=case.rng).images,
        GRADED: lambda: attack(case.classifier, images, labels, method).images,
        ADV_LIB: lambda: df(case.plain, images, labels, steps=100, overshoot=OVERSHOOT, norm=order).detach(),
        FOOLBOX: lambda: kind(overshoot=OVERSHOOT)(wrapped, images, labels, epsilons=None)[1],
    }


def _median(values: Tensor) -> float:
    return values.quantile(0.5).item() if len(values) else math.inf
