"""How near each minimal attack comes to the best that is known, image by image: AttackBench's measure.

Cinà et al. 2024, arXiv:2404.19460: an attack's optimality is the mean over the images of the smallest distance that any
attack found over its own; an image on which it failed counts 0.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bench.networks import NETWORKS, setting_of
from bench.peers import NORMS, Found, found_by_peers, graded
from bench.report import Check, Section, Table
from bench.setting import Setting
from brittle.attacks import FMN, BoundaryWalk, DeepFool, Minimal, PixelGreedy, SigmaZero, SuperDeepFool
from brittle.geometry.norms import norm_named
from brittle.goals import Untargeted
from brittle.types import Images

OURS = "brittle minimal"
NEAR = {"l0": 0.97, "l1": 0.97, "l2": 0.99, "linf": 0.99}  # the optimality wanted on plain networks
NEAR_ROBUST = 0.97
MUCH, AT_MOST = 1.1, 0.05  # so much larger than the best known on at most that share of the images
TIME = 0.5  # of the strongest peer's
RIVALS = ("FMN-300", "DDN-300", "PDPGD-300", "sigma-zero-300")  # no larger median than theirs


def section(network: str, norm: str) -> Section:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # processor time of several threads would count their waiting for one another
    try:
        return _section(network, norm)
    finally:
        torch.set_num_threads(threads)


def _section(network: str, norm: str) -> Section:
    case = setting_of(network)
    peers = found_by_peers(network, case, norm)
    found = _ours(case, norm) | peers
    best = torch.stack([one.distances for one in found.values()]).amin(0)
    optimality = {name: _optimality(best, one) for name, one in found.items()}
    rows = tuple(
        (
            name,
            f"{_share(one.distances.isfinite()):.0%}",
            f"{_median(one):.4g}",
            f"{optimality[name]:.3f}",
            f"{_much_worse(best, one):.0%}",
            f"{int((one.distances <= 1.001 * best).sum())}",
            f"{one.seconds / found[OURS].seconds:.2f}",
        )
        for name, one in sorted(found.items(), key=lambda pair: -optimality[pair[0]])
    )
    headings = (
        "attack",
        "success",
        f"median {norm}",
        "optimality",
        f"share ≥ {MUCH - 1:.0%} above the best known",
        "images on which it is the best known",
        "processor time beside minimal",
    )
    kept = sum(one.kept for one in peers.values())
    return Section(
        title=f"Optimality {network} {norm}",
        checks=_checks(network, norm, found, best, max(peers, key=lambda name: optimality[name])),
        tables=(Table(headings, rows),),
        notes=(
            f"{network}, {'trained to be robust' if NETWORKS[network].robust else 'plainly trained'}; the first"
            f" {len(case.images)} test images that it gets right. Optimality: the mean of best known / own distance, 0"
            " where the attack failed; the best known is the smallest of all rows. A success is what a fresh pass of"
            " the plain network confirms, in the box. One thread.",
            f"{kept} of the {len(peers)} peers' rows, their times with them, were kept from an earlier run on this"
            " machine; CONTRIBUTING.md says where.",
        ),
        facts={name: {"seconds": one.seconds, "distances": one.distances.tolist()} for name, one in found.items()},
    )


def _checks(network: str, norm: str, found: Mapping[str, Found], best: Tensor, strongest: str) -> tuple[Check, ...]:
    ours, robust = found[OURS], NETWORKS[network].robust
    success, optimality = _share(ours.distances.isfinite()), _optimality(best, ours)
    worse, time = _much_worse(best, ours), ours.seconds / found[strongest].seconds
    goal = NEAR_ROBUST if robust else NEAR[norm]
    checks = [
        Check("success", "100 %", f"{success:.0%}", success == 1),
        Check("optimality", f"≥ {goal}", f"{optimality:.3f}", optimality >= goal),
    ]
    if robust:
        checks.append(
            Check(
                f"≥ {MUCH - 1:.0%} above the best known", f"≤ {AT_MOST:.0%} of images", f"{worse:.0%}", worse <= AT_MOST
            )
        )
        checks.append(Check(f"time beside {strongest}", f"≤ {TIME:g}", f"{time:.2f}", time <= TIME))
    for rival in (name for name in RIVALS if name in found):
        median, theirs = _median(ours), _median(found[rival])
        checks.append(Check(f"median {norm} beside {rival}", f"≤ {theirs:.4g}", f"{median:.4g}", median <= theirs))
    return tuple(checks)


def _ours(case: Setting, norm: str) -> dict[str, Found]:
    named = norm_named(norm)
    methods: dict[str, Any] = {OURS: Minimal(norm=named)}
    if norm == "l0":
        methods["brittle pixel-greedy, shortlist 64"] = PixelGreedy(shortlist=64)
        methods |= {f"brittle sigma-zero, {steps} steps": SigmaZero(steps=steps) for steps in (100, 300)}
    else:
        methods["brittle boundary-walk, 60 steps"] = BoundaryWalk(norm=named, steps=60)
        methods |= {f"brittle fmn, {steps} steps": FMN(norm=named, steps=steps) for steps in (100, 300)}
        methods["brittle deepfool"] = DeepFool(norm=named)
    if norm == "l2":
        methods["brittle superdeepfool"] = SuperDeepFool()
    case.classifier.gradient(case.images, Untargeted(case.labels).loss)  # folds the network, once for all
    return {name: graded(case, norm, _run(case, method)) for name, method in methods.items()}


def _run(case: Setting, method: Any) -> Callable[[], Images]:
    def run() -> Images:
        images: Images = method(case.classifier, case.images, Untargeted(case.labels), rng=case.rng).images
        return images

    return run


def _optimality(best: Tensor, found: Found) -> float:
    return (best / found.distances).nan_to_num(0).mean().item()


def _much_worse(best: Tensor, found: Found) -> float:
    return _share(found.distances >= MUCH * best)


def _share(which: Tensor) -> float:
    return which.double().mean().item()


def _median(found: Found) -> float:
    return found.distances.quantile(0.5, interpolation="higher").item()


ROWS: dict[str, Callable[[], Section]] = {
    f"optimality-{network}-{norm}": partial(section, network, norm) for network in NETWORKS for norm in NORMS
}
"""A row for each network and norm."""
