"""HopSkipJump beside foolbox's and ART's with as many queries: how near they come, and in what time."""

import importlib
import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bench.bare import forward
from bench.clock import Timed
from bench.report import Check, Section, Table
from bench.setting import Setting, setting
from brittle.attacks import HopSkipJump
from brittle.geometry.norms import norm_named
from brittle.goals import Untargeted
from brittle.types import Images, Logits

COUNTS = {5: 32, 17: 16}  # images, by the peers' steps: about 1000 and 5000 queries an image
WARM_UP, TIMES = 2, 2  # images; the goal: so many times faster
BRITTLE, HALF, FOOLBOX, ART = "brittle", "brittle, half the queries", "foolbox", "ART"

Call = Callable[[slice], Images]


class Counted(nn.Module):
    """The network as the peers see it, with the images that it was asked about counted."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.count = net, 0

    def forward(self, images: Images) -> Logits:
        self.count += len(images)
        logits: Logits = self.net(images.float())  # ART gives float64
        return logits


def section(norm: str, steps: int) -> Section:
    case = setting(COUNTS[steps])
    net, count = Counted(case.plain).eval(), len(case.images)
    timed: dict[str, Timed[Images]] = {}
    asked: dict[str, float] = {}

    def run(name: str, call: Call) -> None:
        call(slice(0, WARM_UP))
        before, started = net.count + case.classifier.forwards, time.perf_counter()
        images = call(slice(0, count))
        timed[name] = Timed((time.perf_counter() - started,), images)
        asked[name] = (net.count + case.classifier.forwards - before) / count

    run(FOOLBOX, _foolbox(case, net, norm, steps))
    run(ART, _art(case, net, norm, steps))
    queries = int(min(asked.values()))
    run(BRITTLE, _brittle(case, norm, queries))
    run(HALF, _brittle(case, norm, queries // 2))

    sizes, fooled = {}, {}
    for name, one in timed.items():
        with torch.no_grad():
            away = case.plain(one.result).argmax(1) != case.labels
        fooled[name], sizes[name] = int(away.sum()), norm_named(norm).measure(one.result - case.images)[away]
    medians = {name: _median(values) for name, values in sizes.items()}
    nearer, most = min(medians[FOOLBOX], medians[ART]), max(fooled[FOOLBOX], fooled[ART])
    measured = f"{medians[BRITTLE]:.5f} ({medians[BRITTLE] / nearer - 1:+.0%})"
    checks = [
        Check(f"median {norm}", f"≤ {nearer:.5f}, the smaller peer's", measured, medians[BRITTLE] <= nearer),
        Check("fooled", f"≥ {most} of {count}", f"{fooled[BRITTLE]} of {count}", fooled[BRITTLE] >= most),
        Check("queries", f"≤ {queries}, the thriftier peer's", f"{asked[BRITTLE]:.0f}", asked[BRITTLE] <= queries),
    ]
    half = f"{medians[HALF]:.5f} ({medians[HALF] / nearer - 1:+.0%})"
    checks.append(Check(f"median {norm}, half the queries", f"≤ {nearer:.5f}", half, medians[HALF] <= nearer))
    for name, what in ((BRITTLE, ""), (HALF, ", half the queries")):
        for peer in (FOOLBOX, ART):
            faster = timed[peer].times(timed[name])
            checks.append(Check(f"faster than {peer}{what}", f"≥ {TIMES}×", f"{faster:.1f}×", faster >= TIMES))
    bare = forward(case.classifier, case.images) * asked[BRITTLE]
    rows = tuple(
        (
            name,
            f"{asked[name]:.0f}",
            f"{1e3 * one.median / count:.0f}",
            f"{one.times(timed[BRITTLE]):.2f}",
            f"{medians[name]:.5f}",
            f"{sizes[name].log().mean().exp():.5f}",
            f"{fooled[name]} of {count}",
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
        title=f"HopSkipJump {norm}, {steps} steps of the peers",
        checks=tuple(checks),
        tables=(Table(headings, rows),),
        notes=(
            f"The first {count} CIFAR-10 test images that ResNet-20 gets right; one run each after a warm-up on"
            f" {WARM_UP}. The peers are given {steps} steps and otherwise their defaults, and brittle as many queries"
            " as the thriftier of them has asked for. Sizes are over the images that a fresh pass of the plain network"
            " confirms.",
            f"{bare / timed[BRITTLE].median:.0%} of brittle's time are its passes through the folded network, bare and"
            f" in full batches; with nothing around them it would be {timed[FOOLBOX].median / bare:.1f} times as fast"
            f" as foolbox and {timed[ART].median / bare:.1f} times as fast as ART.",
        ),
        facts={name: {"seconds": timed[name].seconds, "sizes": sizes[name].tolist()} for name in timed},
    )


def _brittle(case: Setting, norm: str, queries: int) -> Call:
    method = HopSkipJump(norm=norm, queries=queries)
    return lambda rows: (
        method(case.classifier, case.images[rows], Untargeted(case.labels[rows]), rng=case.rng[rows]).images
    )


def _foolbox(case: Setting, net: nn.Module, norm: str, steps: int) -> Call:
    foolbox: Any = importlib.import_module("foolbox")
    wrapped = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    method = foolbox.attacks.HopSkipJumpAttack(steps=steps, constraint=norm)
    return lambda rows: method(wrapped, case.images[rows], case.labels[rows], epsilons=None)[1]


def _art(case: Setting, net: nn.Module, norm: str, steps: int) -> Call:
    estimators: Any = importlib.import_module("art.estimators.classification")
    shape = tuple(case.images.shape[1:])
    estimator = estimators.PyTorchClassifier(
        net, nn.CrossEntropyLoss(), shape, 10, clip_values=(0, 1), device_type="cpu"
    )
    evasion: Any = importlib.import_module("art.attacks.evasion")
    order = 2 if norm == "l2" else math.inf
    method = evasion.HopSkipJump(estimator, norm=order, max_iter=steps, verbose=False)
    return lambda rows: torch.from_numpy(method.generate(case.images[rows].numpy()))


def _median(values: Tensor) -> float:
    return values.quantile(0.5).item() if len(values) else math.inf
