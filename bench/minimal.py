"""The strongest minimal attack of each norm beside adv_lib's: time and size, in one interleaved run."""

import importlib
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bench.clock import interleaved
from bench.report import Check, Section, Table
from bench.setting import Setting, setting
from brittle.attacks import FMN, BoundaryWalk, Minimal, SuperDeepFool
from brittle.geometry.norms import norm_named
from brittle.goals import Untargeted
from brittle.types import Images

COUNT, ROUNDS = 128, 3
OURS = "brittle minimal"
ORDER = {"l1": 1, "l2": 2, "linf": math.inf}
FASTER = {"l1": 4, "l2": 7, "linf": 4}
MOST_MS = {"l2": 15.0}


def section(norm: str) -> Section:
    case = setting(COUNT)
    ours, peers = _ours(case, norm), _peers(case, norm)
    timed = interleaved(ours | peers, ROUNDS)
    sizes, fooled = {}, {}
    for name, one in timed.items():
        with torch.no_grad():
            away = case.plain(one.result).argmax(1) != case.labels
        sizes[name] = torch.where(away, norm_named(norm).measure(one.result - case.images), torch.inf)
        fooled[name] = int(away.sum())
    medians = {name: _median(values) for name, values in sizes.items()}
    best, rival = min(medians[peer] for peer in peers), "adv_lib FMN, 100 steps"
    smaller = f"{medians[OURS]:.5f} ({medians[OURS] / best - 1:+.1%})"
    faster = timed[rival].times(timed[OURS])
    checks = [
        Check(f"median {norm}", f"≤ {best:.5f}, the smallest peer's", smaller, medians[OURS] <= best),
        Check("fooled", f"{COUNT} of {COUNT}", f"{fooled[OURS]} of {COUNT}", fooled[OURS] == COUNT),
        Check(f"faster than {rival}", f"≥ {FASTER[norm]}×", f"{faster:.1f}×", faster >= FASTER[norm]),
    ]
    if norm in MOST_MS:
        ms = 1e3 * timed[OURS].median / COUNT
        checks.append(Check("milliseconds an image", f"≤ {MOST_MS[norm]:g}", f"{ms:.1f}", ms <= MOST_MS[norm]))
    rows = tuple(
        (
            name,
            one.ms(COUNT),
            f"{one.times(timed[OURS]):.2f}",
            f"{medians[name]:.5f}",
            f"{sizes[name][sizes[name].isfinite()].mean():.5f}",
            f"{int((sizes[name] > 1.001 * sizes[OURS]).sum())} / {int((sizes[name] < 0.999 * sizes[OURS]).sum())}",
            f"{fooled[name]} of {COUNT}",
        )
        for name, one in timed.items()
    )
    headings = (
        "call",
        "ms an image (range)",
        "time beside minimal",
        f"median {norm}",
        f"mean {norm} of the fooled",
        "images larger / smaller than minimal's, by over 0.1 %",
        "fooled",
    )
    return Section(
        title=f"Minimal {norm}",
        checks=tuple(checks),
        tables=(Table(headings, rows),),
        notes=(
            f"The first {COUNT} CIFAR-10 test images that ResNet-20 gets right; {ROUNDS} interleaved rounds after a"
            " warm-up. A perturbation that a fresh pass through the plain network does not confirm counts as infinite.",
        ),
        facts={name: {"seconds": timed[name].seconds, "sizes": sizes[name].tolist()} for name in timed},
    )


def _ours(case: Setting, norm: str) -> dict[str, Callable[[], Images]]:
    named = norm_named(norm)
    methods: dict[str, Any] = {
        OURS: Minimal(norm=named),
        "brittle boundary-walk, 60 steps": BoundaryWalk(norm=named, steps=60),
    }
    methods["brittle fmn, 100 steps"] = FMN(norm=named)
    if norm == "l2":
        methods["brittle superdeepfool"] = SuperDeepFool()
    return {name: _run(case, method) for name, method in methods.items()}


def _run(case: Setting, method: Any) -> Callable[[], Images]:
    def run() -> Images:
        images: Images = method(case.classifier, case.images, Untargeted(case.labels), rng=case.rng).images
        return images

    return run


def _peers(case: Setting, norm: str) -> dict[str, Callable[[], Images]]:
    """Each called as its documentation says, with its defaults but for the norm and the steps of FMN."""
    attacks: Any = importlib.import_module("adv_lib.attacks")
    plain, images, labels, order = case.plain.eval(), case.images, case.labels, ORDER[norm]
    peers: dict[str, Callable[[], Images]] = {
        "adv_lib FMN, 100 steps": lambda: attacks.fmn(plain, images, labels, norm=order, steps=100).detach(),
    }
    if norm == "l2":
        peers["adv_lib SDF"] = lambda: attacks.sdf(plain, images, labels).detach()
    else:
        peers["adv_lib PDPGD, 100 steps"] = lambda: attacks.pdpgd(
            plain, images, labels, norm=order, num_steps=100
        ).detach()
    return peers


def _median(values: Tensor) -> float:
    return values.quantile(0.5).item()
