"""APGD and the standard ensemble beside torchattacks' and adv_lib's: robust accuracy and time, in interleaved runs."""

import importlib
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from bench.clock import interleaved
from bench.report import Check, Section, Table
from bench.setting import Setting, setting
from brittle.attacks import APGD, Outcome
from brittle.attacks.budget.aim import Loss
from brittle.attacks.budget.standard import Standard
from brittle.goals import Untargeted
from brittle.rng import Rng
from brittle.types import Images

COUNT, ROUNDS, STEPS, TARGETS = 128, 3, 100, 9
EPSILONS = {"1/255": 1 / 255, "2/255": 2 / 255}
TIMES, MORE = 2, 1  # the goals: so many times faster, and robust accuracy at most so many images above theirs
BRITTLE, ADV_LIB, TORCHATTACKS = "brittle", "adv_lib", "torchattacks"
FULL, ALIKE, AUTOATTACK = "brittle standard", "brittle standard, steps=10", "torchattacks AutoAttack"

Calls = dict[str, Callable[[], Images]]


def section_apgd(kind: str) -> Section:
    """``"ce"``: APGD on cross-entropy. ``"t"``: APGD-T, the targeted DLR towards the nine other classes."""
    runs: dict[str, tuple[Loss, int]] = {"ce": ("ce", 0), "t": ("dlr", TARGETS)}
    loss, targets = runs[kind]
    return _section(
        f"APGD-{kind.upper()}",
        partial(_apgd_calls, loss=loss, targets=targets),
        judged=BRITTLE,
        slower=(ADV_LIB, TORCHATTACKS),
        note=f"{STEPS} steps for everyone, one random start, Linf. adv_lib and torchattacks take all the steps with"
        " every image; brittle's images leave at their first success, and the eight targets after the most likely one"
        " go through the network together.",
    )


def section_standard() -> Section:
    """The ensemble: APGD-CE, APGD-T, a minimal attack, Square."""
    return _section(
        "Standard ensemble",
        _standard_calls,
        judged=ALIKE,
        slower=(AUTOATTACK,),
        note="torchattacks' AutoAttack as its documentation says: its gradient attacks take 10 steps where the paper's"
        " take 100, so that the time is judged on the same 10 steps; robust accuracy is judged on both. Square has 5000"
        " queries everywhere.",
    )


def _section(
    title: str, calls: Callable[[Setting, float], Calls], *, judged: str, slower: tuple[str, ...], note: str
) -> Section:
    case = setting(COUNT)
    case.plain.eval()  # torchattacks puts back the mode it finds, and would leave batch norms learning
    checks, rows, facts = [], [], {}
    for name, eps in EPSILONS.items():
        timed = interleaved(calls(case, eps), ROUNDS)
        robust = {call: _robust(case, one.result, eps) for call, one in timed.items()}
        least = min(robust[peer] for peer in slower)
        for call in (call for call in timed if call not in slower):
            checks.append(
                Check(
                    f"robust at {name}, {call}",
                    f"≤ {least} + {MORE} of {COUNT}",
                    str(robust[call]),
                    robust[call] <= least + MORE,
                )
            )
        for peer in slower:
            faster = timed[peer].times(timed[judged])
            checks.append(Check(f"{name}, faster than {peer}", f"≥ {TIMES}×", f"{faster:.1f}×", faster >= TIMES))
        rows += [
            (name, call, one.ms(COUNT), f"{one.times(timed[judged]):.2f}", f"{robust[call]} of {COUNT}")
            for call, one in timed.items()
        ]
        facts[name] = {call: {"seconds": one.seconds, "robust": robust[call]} for call, one in timed.items()}
    headings = ("eps", "call", "ms an image (range)", f"time beside {judged}", "robust")
    return Section(
        title=title,
        checks=tuple(checks),
        tables=(Table(headings, tuple(rows)),),
        notes=(
            f"The first {COUNT} CIFAR-10 test images that ResNet-20 gets right; {ROUNDS} interleaved rounds after a"
            " warm-up. Robust is what a fresh pass through the plain network still gets right; an image beyond the box"
            f" or the budget counts as robust. {note}",
        ),
        facts=facts,
    )


def _robust(case: Setting, images: Images, eps: float) -> int:
    """How many images are still classified correctly, by the plain network."""
    with torch.no_grad():
        fooled = case.plain(images).argmax(1) != case.labels
    size = (images - case.images).flatten(1).abs().amax(1)
    inside = (size <= eps + 1e-6) & ((images >= 0) & (images <= 1)).flatten(1).all(1)
    return len(images) - int((fooled & inside).sum())


def _ours(case: Setting, attack: Any) -> Images:
    outcome: Outcome = attack(case.classifier, case.images, Untargeted(case.labels), rng=Rng(0, case.rng.ids))
    return outcome.images


def _apgd_calls(case: Setting, eps: float, *, loss: Loss, targets: int) -> Calls:
    """Each library called as its documentation says, with the same steps."""
    adv_lib: Any = importlib.import_module("adv_lib.attacks.auto_pgd")
    torchattacks: Any = importlib.import_module("torchattacks")
    images, labels = case.images, case.labels
    ours = APGD(eps=eps, steps=STEPS, loss=loss, targets=targets)
    common: Mapping[str, Any] = {"eps": eps, "norm": math.inf, "n_iter": STEPS, "loss_function": loss}
    if targets:
        peer = torchattacks.APGDT(case.plain, norm="Linf", eps=eps, steps=STEPS, n_classes=targets + 1)
        theirs = partial(adv_lib.apgd_targeted, case.plain, images, labels, num_targets=targets, **common)
    else:
        peer = torchattacks.APGD(case.plain, norm="Linf", eps=eps, steps=STEPS, loss=loss)
        theirs = partial(adv_lib.apgd, case.plain, images, labels, **common)
    return {
        BRITTLE: lambda: _ours(case, ours),
        ADV_LIB: lambda: theirs().detach(),
        TORCHATTACKS: lambda: peer(images, labels).detach(),
    }


def _standard_calls(case: Setting, eps: float) -> Calls:
    torchattacks: Any = importlib.import_module("torchattacks")
    peer = torchattacks.AutoAttack(case.plain, norm="Linf", eps=eps, version="standard", n_classes=10, seed=0)
    return {
        ALIKE: lambda: _ours(case, Standard(eps=eps, steps=10)),
        FULL: lambda: _ours(case, Standard(eps=eps)),
        AUTOATTACK: lambda: peer(case.images, case.labels).detach(),
    }
