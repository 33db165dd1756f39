"""Attacks that see bfloat16 beside the same in float32, on a processor that multiplies both; float32 grades all."""

from collections.abc import Mapping
from time import process_time
from typing import Any, NamedTuple

import torch

from bench.networks import setting_of
from bench.report import Check, Section, Table
from bench.setting import Setting, Skipped
from brittle.attacks import APGD, PGD
from brittle.goals import Untargeted
from brittle.models import Network
from brittle.models.bfloat16 import quick_precision
from brittle.models.classifier import Settings
from brittle.run.attack import attack_graded
from brittle.types import Precision

COUNT, TIMES, APART = 512, 1.4, 1  # the goals: so many times faster, robust accuracy within so many images
BUDGETS: dict[str, dict[str, tuple[str, str]]] = {
    "resnet20": {"linf": ("1/255", "2/255"), "l2": ("0.05", "0.1")},
    "resnet4b-adv": {"linf": ("2/255", "4/255"), "l2": ("0.25", "0.5")},
}
ATTACKS: dict[str, Any] = {"PGD, 10 steps": PGD(), "PGD, 100 steps": PGD(steps=100), "APGD, 100 steps": APGD()}
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")


class Graded(NamedTuple):
    """Of an attack on all images. denied: what it claims and float32 does not."""

    seconds: float
    robust: int
    denied: int


Pair = Mapping[Precision, Graded]


def section(network: str, norm: str) -> Section:
    """Called once each, one precision after the other, in processor time: results do not depend on the machine."""
    if quick_precision("cpu") != "bf16":
        raise Skipped("this processor does not multiply bfloat16")
    case = setting_of(network, COUNT)
    by = {one: case.classifier.adjusted(Settings(precision=one)) for one in PRECISIONS}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # processor time of several threads would count their waiting for one another
    try:
        for classifier in by.values():  # to warm up
            _graded(case, classifier, PGD(eps=1e-4, steps=2))
        found = {
            (eps, name): {one: _graded(case, by[one], _of(attack, norm, eps)) for one in PRECISIONS}
            for eps in BUDGETS[network][norm]
            for name, attack in ATTACKS.items()
        }
    finally:
        torch.set_num_threads(threads)
    return told(network, norm, found)


def told(network: str, norm: str, found: Mapping[tuple[str, str], Pair]) -> Section:
    """What was measured, by budget and attack, as a section."""
    checks = []
    for name in ATTACKS:
        mine = [pair for (_, attack), pair in found.items() if attack == name]
        faster = sum(one["fp32"].seconds for one in mine) / sum(one["bf16"].seconds for one in mine)
        apart = max(abs(one["bf16"].robust - one["fp32"].robust) for one in mine)
        checks += [
            Check(f"{name}, faster than in float32", f"≥ {TIMES}×", f"{faster:.2f}×", faster >= TIMES),
            Check(f"{name}, robust beside float32", f"within {APART} of {COUNT}", f"{apart} apart", apart <= APART),
        ]
    denied = sum(pair["bf16"].denied for pair in found.values())
    checks.append(Check("claims that float32 denies", "0", str(denied), denied == 0))
    rows = [
        (
            eps,
            name,
            *(f"{pair[one].seconds:.2f}" for one in PRECISIONS),
            f"{pair['fp32'].seconds / pair['bf16'].seconds:.2f}",
            *(str(pair[one].robust) for one in PRECISIONS),
        )
        for (eps, name), pair in found.items()
    ]
    headings = ("eps", "attack", "s, fp32", "s, bf16", "times faster", "robust, fp32", "robust, bf16")
    return Section(
        title=f"bfloat16, {network}, {norm}",
        checks=tuple(checks),
        tables=(Table(headings, tuple(rows)),),
        notes=(
            f"The first {COUNT} test images that the network gets right; one run each, processor time of one thread,"
            " with what comes before an attack and with its grading. Each precision has its own batch size. Robust is"
            " what the network itself, in float32, still gets right. The checks are of both budgets together.",
        ),
        facts={", ".join(key): {one: graded._asdict() for one, graded in pair.items()} for key, pair in found.items()},
    )


def _of(attack: Any, norm: str, eps: str) -> Any:
    numerator, _, denominator = eps.partition("/")
    return type(attack)(norm=norm, eps=float(numerator) / float(denominator or 1), steps=attack.steps)


def _graded(case: Setting, classifier: Network, attack: Any) -> Graded:
    logits = classifier.logits(case.images, plain=True)
    started = process_time()
    found = attack_graded(classifier, case.images, Untargeted(case.labels), attack, case.rng, logits)
    seconds = process_time() - started
    return Graded(seconds, int((~found.fooled).sum()), int((found.claimed & ~found.fooled).sum()))
