"""The standard ensemble on networks trained to be robust: no peer may fool an image more."""

import importlib
import math
import os
from collections.abc import Callable
from functools import partial
from time import process_time
from typing import Any, NamedTuple

import torch

from bench.networks import setting_of
from bench.random_search import reference
from bench.report import Check, Section, Table
from bench.setting import Setting
from brittle.attacks import Minimal, Outcome, Standard
from brittle.geometry.norms import norm_named
from brittle.goals import Untargeted
from brittle.types import Images

COUNT, TIMES = 64, 2  # the goal: so many times faster than AutoAttack
STEPS, QUERIES = 300, 1000  # of those in L0
OURS, AUTOATTACK = "brittle standard", "torchattacks AutoAttack"
MNIST = {"linf": (0.3, 0.45), "l2": (1.5, 2.25), "l1": (2.5, 3.75), "l0": (4, 6)}
BUDGETS: dict[str, dict[str, tuple[float, float]]] = {
    "trades": MNIST,
    "lenet5-adv": MNIST,
    "wong-0.1": {"linf": (0.1, 0.15), "l2": (1.0, 1.5), "l1": (2.5, 3.75), "l0": (4, 6)},
    "resnet4b-adv": {"linf": (2 / 255, 3 / 255), "l2": (0.25, 0.375), "l1": (6, 9), "l0": (3, 5)},
}
"""In L-infinity what the network was trained for, elsewhere what leaves some images right; and half as much again."""

Calls = dict[str, Callable[[], Images]]


class Timed(NamedTuple):
    robust: int
    seconds: float


def section(network: str, norm: str) -> Section:
    """Called once each, in processor time: they take minutes, and results do not depend on the machine."""
    case = setting_of(network, COUNT)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # processor time of several threads would count their waiting for one another
    try:
        measured = {eps: _measured(case, norm, eps) for eps in BUDGETS[network][norm]}
    finally:
        torch.set_num_threads(threads)
    checks, rows = [], []
    for eps, found in measured.items():
        ours, peers = found[OURS], {name: one for name, one in found.items() if name != OURS}
        least = min(one.robust for one in peers.values())
        checks.append(Check(f"robust at {eps:.3g}", f"≤ {least} of {COUNT}", str(ours.robust), ours.robust <= least))
        if AUTOATTACK in peers:
            faster = peers[AUTOATTACK].seconds / ours.seconds
            goal = f"≥ {TIMES}×"
            checks.append(Check(f"{eps:.3g}, faster than AutoAttack", goal, f"{faster:.1f}×", faster >= TIMES))
        rows += [
            (f"{eps:.3g}", name, f"{one.robust} of {COUNT}", f"{one.seconds / ours.seconds:.2f}")
            for name, one in found.items()
        ]
    return Section(
        title=f"Standard ensemble, {network}, {norm}",
        checks=tuple(checks),
        tables=(Table(("eps", "call", "robust", f"time beside {OURS}"), tuple(rows)),),
        notes=(
            f"The first {COUNT} test images that the network gets right; one run each, processor time of one thread."
            " Robust is what a fresh pass through the plain network still gets right; an image beyond the box or the"
            " budget counts as robust. torchattacks' AutoAttack takes 10 steps as its documentation has it, all others"
            " 100; torchattacks has no FAB in L1. In L0 minimal attacks count as far as they keep to the budget, and"
            " the authors' Sparse-RS stands beside them where SPARSE_RS_REFERENCE names the folder that holds it.",
        ),
        facts={f"{eps:.3g}": {name: one._asdict() for name, one in found.items()} for eps, found in measured.items()},
    )


def _measured(case: Setting, norm: str, eps: float) -> dict[str, Timed]:
    found = {}
    for name, call in (_ours(case, norm, eps) | _peers(case, norm, eps)).items():
        torch.manual_seed(0)
        start = process_time()
        images = call()
        found[name] = Timed(_robust(case, images, norm, eps), process_time() - start)
    return found


def _ours(case: Setting, norm: str, eps: float) -> Calls:
    return {
        OURS: partial(_run, case, Standard(norm=norm, eps=eps)),
        "brittle minimal within eps": partial(_run, case, Minimal(norm=norm)),
    }


def _run(case: Setting, attack: Any) -> Images:
    outcome: Outcome = attack(case.classifier, case.images, Untargeted(case.labels), rng=case.rng)
    return outcome.images


def _peers(case: Setting, norm: str, eps: float) -> Calls:
    """Each library called as its documentation says."""
    if norm == "l0":
        return _sparse_peers(case, int(eps))
    adv_lib: Any = importlib.import_module("adv_lib.attacks.auto_pgd")
    torchattacks: Any = importlib.import_module("torchattacks")
    net, images, labels = case.plain, case.images, case.labels
    p = {"l1": 1, "l2": 2, "linf": math.inf}[norm]
    common = {"eps": eps, "norm": p, "n_iter": 100, "use_large_reps": norm == "l1"}
    calls: Calls = {
        "adv_lib APGD-CE": lambda: adv_lib.apgd(net, images, labels, loss_function="ce", **common).detach(),
        "adv_lib APGD-T": lambda: adv_lib.apgd_targeted(net, images, labels, num_targets=9, **common).detach(),
    }
    if norm != "l1":
        name = {"l2": "L2", "linf": "Linf"}[norm]
        fab = torchattacks.FAB(net, norm=name, eps=eps, steps=100, multi_targeted=True, n_classes=10, seed=0)
        whole = torchattacks.AutoAttack(net, norm=name, eps=eps, version="standard", n_classes=10, seed=0)
        calls |= {
            "torchattacks FAB-T": lambda: fab(images, labels).detach(),
            AUTOATTACK: lambda: whole(images, labels).detach(),
        }
    return calls


def _sparse_peers(case: Setting, pixels: int) -> Calls:
    attacks: Any = importlib.import_module("adv_lib.attacks")
    given = case.plain, case.images, case.labels
    calls: Calls = {
        f"adv_lib sigma-zero, {STEPS} steps": lambda: attacks.sigma_zero(*given, num_steps=STEPS).detach(),
        f"adv_lib FMN, {STEPS} steps": lambda: attacks.fmn(*given, norm=0, steps=STEPS).detach(),
    }
    folder = os.environ.get("SPARSE_RS_REFERENCE")
    if folder:
        calls[f"Sparse-RS, its authors' code, {QUERIES} queries"] = reference(case, folder, pixels, QUERIES)
    return calls


def _robust(case: Setting, images: Images, norm: str, eps: float) -> int:
    """How many images are still classified correctly, by the plain network."""
    with torch.no_grad():
        fooled = case.plain(images).argmax(1) != case.labels
    inside = norm_named(norm).measure(images - case.images) <= eps * (1 + 1e-5) + 1e-6
    inside &= ((images >= 0) & (images <= 1)).flatten(1).all(1)
    return len(images) - int((fooled & inside).sum())
