"""Fewest pixels: brittle's minimal L0 beside adv_lib's sigma-zero and FMN, in one interleaved run."""

import importlib
from collections.abc import Callable
from typing import Any

import torch

from bench.clock import interleaved
from bench.report import Check, Section, Table
from bench.setting import Setting, setting
from brittle.attacks import Minimal, SigmaZero
from brittle.geometry.norms import L0
from brittle.goals import Untargeted
from brittle.types import Images

COUNT, ROUNDS, STEPS = 128, 3, 100
OURS, THEIR_SIGMA, THEIR_FMN = "brittle minimal", "adv_lib sigma-zero, 100 steps", "adv_lib FMN-L0, 100 steps"
MOST_PIXELS, FASTER = 4, 5


def section() -> Section:
    case = setting(COUNT)
    timed = interleaved(_calls(case), ROUNDS)
    counts, fooled = {}, {}
    for name, one in timed.items():
        with torch.no_grad():
            away = case.plain(one.result).argmax(1) != case.labels
        counts[name] = torch.where(away, L0.measure(one.result - case.images), torch.inf)
        fooled[name] = int(away.sum())
    medians = {name: values.quantile(0.5).item() for name, values in counts.items()}
    checks = [
        Check("median pixels", f"≤ {MOST_PIXELS}", f"{medians[OURS]:g}", medians[OURS] <= MOST_PIXELS),
        Check("fooled", f"{COUNT} of {COUNT}", f"{fooled[OURS]} of {COUNT}", fooled[OURS] == COUNT),
    ]
    for peer in (THEIR_SIGMA, THEIR_FMN):
        faster = timed[peer].times(timed[OURS])
        checks.append(Check(f"faster than {peer}", f"≥ {FASTER}×", f"{faster:.1f}×", faster >= FASTER))
    rows = tuple(
        (
            name,
            one.ms(COUNT),
            f"{one.times(timed[OURS]):.2f}",
            f"{medians[name]:g}",
            f"{counts[name][counts[name].isfinite()].mean():.2f}",
            f"{int((counts[name] > counts[OURS]).sum())} / {int((counts[name] < counts[OURS]).sum())}",
            f"{fooled[name]} of {COUNT}",
        )
        for name, one in timed.items()
    )
    headings = (
        "call",
        "ms an image (range)",
        "time beside minimal",
        "median pixels",
        "mean pixels of the fooled",
        "images with more / fewer pixels than minimal's",
        "fooled",
    )
    return Section(
        title="Minimal l0",
        checks=tuple(checks),
        tables=(Table(headings, rows),),
        notes=(
            "A pixel is one position with all its channels; adv_lib's attacks count channels singly, and are counted in"
            f" pixels here. {ROUNDS} interleaved rounds after a warm-up.",
        ),
        facts={name: {"seconds": timed[name].seconds, "pixels": counts[name].tolist()} for name in timed},
    )


def _calls(case: Setting) -> dict[str, Callable[[], Images]]:
    """The peers as their documentation says."""
    attacks: Any = importlib.import_module("adv_lib.attacks")
    plain, images, labels = case.plain.eval(), case.images, case.labels
    goal = Untargeted(labels)
    return {
        OURS: lambda: Minimal(norm=L0)(case.classifier, images, goal, rng=case.rng).images,
        "brittle sigma-zero, 100 steps": lambda: (
            SigmaZero(steps=STEPS)(case.classifier, images, goal, rng=case.rng).images
        ),
        THEIR_SIGMA: lambda: attacks.sigma_zero(plain, images, labels, num_steps=STEPS).detach(),
        THEIR_FMN: lambda: attacks.fmn(plain, images, labels, norm=0, steps=STEPS).detach(),
    }
