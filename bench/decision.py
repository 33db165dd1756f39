"""HopSkipJump beside foolbox's and ART's with as many queries: how near they come, and in what time."""

import importlib
import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bench.clock import Timed
from bench.report import Check, Section, Table
from bench.setting import Setting, setting
from brittle.attacks import HopSkipJump
from brittle.geometry.norms import norm_named
from brittle.goals import Untargeted
from brittle.types import Images, Logits

COUNT, WARM_UP = 16, 2  # images
STEPS = {1000: 5, 5000: 17}  # of the peers: the fewest with which they ask for at least as many queries
BRITTLE, FOOLBOX, ART = "brittle", "foolbox", "ART"
TIMES = 2


class Counted(nn.Module):
    """The network as the peers see it, with the images that it was asked about counted."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.count = net, 0

    def forward(self, images: Images) -> Logits:
        self.count += len(images)
        logits: Logits = self.net(images.float())
        return logits


def section(norm: str, queries: int) -> Section:
    case, net = setting(COUNT), Counted(setting(COUNT).plain)
    calls = _calls(case, net.eval(), norm, queries)
    timed: dict[str, Timed[Images]] = {}
    asked = {}
    for name, call in calls.items():
        call(slice(0, WARM_UP))
        before, started = (net.count, case.classifier.forwards), time.perf_counter()
        images = call(slice(0, COUNT))
        timed[name] = Timed((time.perf_counter() - started,), images)
        asked[name] = (net.count - before[0] + case.classifier.forwards - before[1]) / COUNT
    sizes, fooled = {}, {}
    for name, one in timed.items():
        with torch.no_grad():
            away = case.plain(one.result).argmax(1) != case.labels
        fooled[name], sizes[name] = int(away.sum()), norm_named(norm).measure(one.result - case.images)[away]
    medians = {name: _median(values) for name, values in sizes.items()}
    ours, nearer = timed[BRITTLE], min(medians[FOOLBOX], medians[ART])
    most = max(fooled[FOOLBOX], fooled[ART])
    measured = f"{medians[BRITTLE]:.5f} ({medians[BRITTLE] / nearer - 1:+.0%})"
    checks = [
        Check(f"median {norm}", f"≤ {nearer:.5f}, the smaller peer's", measured, medians[BRITTLE] <= nearer),
        Check("fooled", f"≥ {most} of {COUNT}", f"{fooled[BRITTLE]} of {COUNT}", fooled[BRITTLE] >= most),
        Check("queries", f"≤ {queries} an image", f"{asked[BRITTLE]:.0f}", asked[BRITTLE] <= queries),
    ]
    for peer in (FOOLBOX, ART):
        faster = timed[peer].times(ours)
        checks.append(Check(f"faster than {peer}", f"≥ {TIMES}×", f"{faster:.1f}×", faster >= TIMES))
    rows = tuple(
        (
            name,
            f"{asked[name]:.0f}",
            f"{1e3 * one.median / COUNT:.0f}",
            f"{one.times(ours):.2f}",
            f"{medians[name]:.5f}",
            f"{_geometric_mean(sizes[name]):.5f}",
            f"{fooled[name]} of {COUNT}",
        )
        for name, one in timed.items()
    )
    headings = (
        "call",
        "queries an image",
        "ms an image",
        "time beside brittle's",
        "median",
        "geometric mean",
        "fooled",
    )
    return Section(
        title=f"HopSkipJump {norm}, {queries} queries",
        checks=tuple(checks),
        tables=(Table(headings, rows),),
        notes=(
            f"The first {COUNT} CIFAR-10 test images that ResNet-20 gets right; one run each after a warm-up on"
            f" {WARM_UP}. The peers cannot be given a number of queries: {STEPS[queries]} steps are the fewest with which"
            " they ask for as many. Their queries include all they ask for; sizes are over the images that a fresh pass"
            " through the plain network confirms.",
        ),
        facts={name: {"seconds": timed[name].seconds, "sizes": sizes[name].tolist()} for name in timed},
    )


def _calls(case: Setting, net: nn.Module, norm: str, queries: int) -> dict[str, Callable[[slice], Images]]:
    """Each library called as its documentation says."""
    foolbox: Any = importlib.import_module("foolbox")
    wrapped = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    jump = foolbox.attacks.HopSkipJumpAttack(steps=STEPS[queries], constraint=norm)
    art: Any = importlib.import_module("art.estimators.classification")
    estimator = art.PyTorchClassifier(
        net, nn.CrossEntropyLoss(), tuple(case.images.shape[1:]), 10, clip_values=(0, 1), device_type="cpu"
    )
    evasion: Any = importlib.import_module("art.attacks.evasion")
    order = 2 if norm == "l2" else math.inf
    art_jump = evasion.HopSkipJump(estimator, norm=order, max_iter=STEPS[queries], verbose=False)
    method = HopSkipJump(norm=norm, queries=queries)
    images, labels, rng = case.images, case.labels, case.rng
    return {
        BRITTLE: lambda rows: method(case.classifier, images[rows], Untargeted(labels[rows]), rng=rng[rows]).images,
        FOOLBOX: lambda rows: jump(wrapped, images[rows], labels[rows], epsilons=None)[1],
        ART: lambda rows: torch.from_numpy(art_jump.generate(images[rows].numpy())),
    }


def _median(values: Tensor) -> float:
    return values.quantile(0.5).item() if len(values) else math.inf


def _geometric_mean(values: Tensor) -> float:
    return values.log().mean().exp().item() if len(values) else math.inf
