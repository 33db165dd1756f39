"""The peers' minimal attacks, norm by norm, and what they found: kept on disk, as it takes hours and does not change.

``python -m bench.peers [NETWORK ...]`` fills the folder without attacking anything by ourselves.
"""

import argparse
import importlib.util
import math
import os
import time
from collections.abc import Callable
from functools import partial
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bench.networks import NETWORKS, setting_of
from bench.setting import CIFAR, Setting, Skipped
from brittle.geometry.norms import norm_named
from brittle.types import Images

NORMS = ("l0", "l1", "l2", "linf")
ORDER = {"l0": 0, "l1": 1, "l2": 2, "linf": math.inf}
BUDGETS = (300, 100)
WIDEST = {"l1": 200.0, "l2": 20.0, "linf": 1.0}  # where the halving of APGD's budget begins
SEARCHES, SEARCHED = 12, 25  # that makes 300 steps, as many as the others take

Call = Callable[[], Images]


class Found(NamedTuple):
    """What an attack found: distances ``[N]``, infinite where it failed, and the seconds of processor time it took.

    kept: read from disk, so that the time is another run's.
    """

    distances: Tensor
    seconds: float
    kept: bool = False


def found_by_peers(network: str, case: Setting, norm: str) -> dict[str, Found]:
    """Each peer's result by its name: kept, or attacked now. Where no peer is installed, those that are kept."""
    if importlib.util.find_spec("adv_lib"):
        return {name: _kept(network, norm, name, case, call) for name, call in calls(network, case, norm).items()}
    ending = f"-of-{len(case.images)}.safetensors"
    paths = sorted((folder() / network / norm).glob(f"*{ending}"))
    if not paths:
        raise Skipped(f"no peer is installed, and nothing is kept in {folder() / network / norm}")
    return {path.name.removesuffix(ending): _read(path) for path in paths}


def graded(case: Setting, norm: str, call: Call) -> Found:
    """Attacks; a fresh pass of the plain network says what succeeded, after clipping to the box."""
    torch.manual_seed(0)
    started = time.process_time()
    result = call()
    seconds = time.process_time() - started
    images = result.detach().nan_to_num(0).clamp(0, 1)
    with torch.no_grad():
        away = case.plain(images).argmax(1) != case.labels
    distances = norm_named(norm).measure(images - case.images)
    return Found(torch.where(away, distances, torch.inf), seconds)


def calls(network: str, case: Setting, norm: str) -> dict[str, Call]:
    """Each as its documentation says, with its defaults but for norm and steps, and what a comment argues."""
    attacks: Any = importlib.import_module("adv_lib.attacks")
    apgd: Any = importlib.import_module("adv_lib.attacks.auto_pgd").minimal_apgd
    order, given = ORDER[norm], (case.plain, case.images, case.labels)
    found: dict[str, Call] = {}
    for steps in BUDGETS:
        if norm == "l0":
            found[f"sigma-zero-{steps}"] = partial(attacks.sigma_zero, *given, num_steps=steps)
        else:
            found[f"PDPGD-{steps}"] = partial(attacks.pdpgd, *given, norm=order, num_steps=steps)
        if norm == "l2":
            # Not rounded to 8 bits, as the others are not.
            found[f"DDN-{steps}"] = partial(attacks.ddn, *given, steps=steps, levels=None)
        found[f"FMN-{steps}"] = partial(attacks.fmn, *given, norm=order, steps=steps)
        if norm in ("l1", "l2"):
            # The first step is as long as in the authors' own experiments, and so is the memory of a short run.
            length = {"l1": 0.5, "l2": 0.1 if NETWORKS[network].data == CIFAR else 1.0}[norm]
            found[f"ALMA-{steps}"] = partial(
                attacks.alma,
                *given,
                distance=norm,
                num_steps=steps,
                init_lr_distance=length,
                α=0.5 if steps == 100 else 0.9,
            )
    if norm != "l0":
        # Each target costs as much as an attack; the three most likely ones.
        found["FAB-T-3-targets"] = partial(
            attacks.fab, *given, norm=order, n_iter=100, targeted_restarts=True, restarts=3
        )
        halved = {"max_eps": WIDEST[norm], "binary_search_steps": SEARCHES, "n_iter": SEARCHED}
        found["APGD-halved-budgets"] = partial(apgd, *given, norm=order, use_large_reps=norm == "l1", **halved)
    if norm == "l2":
        found["SDF"] = partial(attacks.sdf, *given)
    return found


def _kept(network: str, norm: str, name: str, case: Setting, call: Call) -> Found:
    path = folder() / network / norm / f"{name}-of-{len(case.images)}.safetensors"
    if path.exists():
        return _read(path)
    found = graded(case, norm, call)
    path.parent.mkdir(parents=True, exist_ok=True)
    partly = path.with_suffix(".partly")
    save_file({"distances": found.distances, "seconds": torch.tensor(found.seconds)}, partly)
    partly.rename(path)
    return found


def _read(path: Path) -> Found:
    values = load_file(path)
    return Found(values["distances"], float(values["seconds"]), kept=True)


def folder() -> Path:
    """$BRITTLE_BENCH_CACHE, or ``bench/out/peers``; what is deleted there is attacked anew."""
    return Path(os.environ.get("BRITTLE_BENCH_CACHE") or Path(__file__).parent / "out" / "peers")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description="Fills the folder of peers' results.")
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"{', '.join(NETWORKS)}; default: all")
    torch.set_num_threads(1)
    cases = {network: setting_of(network) for network in parser.parse_args().networks or NETWORKS}
    queues = [
        [(network, norm, name, call) for name, call in calls(network, case, norm).items()]
        for network, case in cases.items()
        for norm in NORMS
    ]
    # One attack of each network and norm in turn, so that there is something on everything early.
    for network, norm, name, call in filter(None, chain.from_iterable(zip_longest(*queues))):
        found = _kept(network, norm, name, cases[network], call)
        fooled, count = int(found.distances.isfinite().sum()), len(found.distances)
        median = found.distances.quantile(0.5, interpolation="higher").item()
        print(f"{network} {norm} {name}: {fooled} of {count}, {median:.5g}, {found.seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
