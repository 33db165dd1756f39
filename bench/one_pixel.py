"""One pixel: evolution and search beside torchattacks' OnePixel, in successes, time and queries."""

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bench.clock import Timed, interleaved
from bench.report import Check, Section, Table
from bench.setting import Setting, setting
from brittle.attacks import FewPixel, Outcome, PixelSearch
from brittle.geometry.norms import L0
from brittle.goals import Untargeted
from brittle.types import Images

COUNT, TIMED, ROUNDS = 100, 10, 1  # successes are counted on COUNT images; times are compared on the first TIMED
POPULATION, GENERATIONS = 100, 50
EVOLUTION, SEARCH, TORCHATTACKS = "brittle few-pixel", "brittle pixel-search", "torchattacks OnePixel"
FASTER, SHARE = 5, 4  # the goals: so many times faster than torchattacks; that part of few-pixel's queries

Calls = dict[str, Callable[[], Images]]


def section() -> Section:
    case, queries = setting(COUNT), dict[str, Tensor]()
    case.plain.eval()  # torchattacks puts back the mode that it finds, and would leave batch norms learning
    results = {name: call() for name, call in _calls(case, COUNT, queries).items()}
    fooled = {name: _fooled(case, images) for name, images in results.items()}
    asked = {name: float(one.double().mean()) for name, one in queries.items()}
    timed = interleaved(_calls(case, min(TIMED, COUNT), {}), ROUNDS)
    return Section(
        title=f"One pixel, {POPULATION} x {GENERATIONS}",
        checks=_checks(timed, fooled, asked),
        tables=(_table(timed, fooled, asked),),
        notes=(
            f"The first {COUNT} CIFAR-10 test images that ResNet-20 gets right, untargeted; times: the first"
            f" {min(TIMED, COUNT)} of them, {ROUNDS} run after a warm-up. Few-pixel and torchattacks evolve a"
            f" population of {POPULATION} for {GENERATIONS} generations, and each image ends at its first success;"
            " pixel-search is as it comes. A fresh pass of the plain network judges, box and pixels too.",
        ),
        facts={
            name: {
                "seconds": one.seconds,
                "fooled": fooled[name].nonzero().squeeze(1).tolist(),
                "queries": queries[name].tolist(),
            }
            for name, one in timed.items()
        },
    )


def _checks(timed: dict[str, Timed[Images]], fooled: dict[str, Tensor], asked: dict[str, float]) -> tuple[Check, ...]:
    ours, search, theirs = (int(fooled[name].sum()) for name in (EVOLUTION, SEARCH, TORCHATTACKS))
    faster = timed[TORCHATTACKS].times(timed[EVOLUTION])
    share = asked[EVOLUTION] / asked[SEARCH]
    return (
        Check("fooled, beside torchattacks", f"≥ {theirs} of {COUNT}", str(ours), ours >= theirs),
        Check("faster than torchattacks", f"≥ {FASTER}×", f"{faster:.1f}×", faster >= FASTER),
        Check("fooled by pixel-search, beside few-pixel", f"≥ {ours} of {COUNT}", str(search), search >= ours),
        Check("pixel-search's queries, beside few-pixel's", f"≤ 1/{SHARE}", f"1/{share:.1f}", share >= SHARE),
    )


def _table(timed: dict[str, Timed[Images]], fooled: dict[str, Tensor], asked: dict[str, float]) -> Table:
    headings = ("call", "ms an image (range)", "time beside few-pixel", "queries an image", "fooled")
    rows = tuple(
        (
            name,
            one.ms(len(one.result)),
            f"{one.times(timed[EVOLUTION]):.2f}",
            f"{asked[name]:.0f}",
            f"{int(fooled[name].sum())} of {COUNT}; of the first {len(one.result)}:"
            f" {int(fooled[name][: len(one.result)].sum())}",
        )
        for name, one in timed.items()
    )
    return Table(headings, rows)


def _fooled(case: Setting, images: Images) -> Tensor:
    with torch.no_grad():
        away = case.plain(images).argmax(1) != case.labels
    fooled: Tensor = away & (L0.measure(images - case.images) <= 1) & ((images >= 0) & (images <= 1)).flatten(1).all(1)
    return fooled


def _calls(case: Setting, count: int, queries: dict[str, Tensor]) -> Calls:
    """Each on the first ``count`` images; what it asked of the network, image by image or on average, into queries."""
    images, labels = case.images[:count], case.labels[:count]
    evolution = FewPixel(eps=1, population=POPULATION, generations=GENERATIONS)

    def ours(name: str, attack: Any) -> Images:
        outcome: Outcome = attack(case.classifier, images, Untargeted(labels), rng=case.rng[slice(count)])
        queries[name] = outcome.forwards
        return outcome.images

    def theirs() -> Images:
        torchattacks: Any = importlib.import_module("torchattacks")
        passes: list[int] = []
        hook = case.plain.register_forward_hook(lambda _, inputs, __: passes.append(len(inputs[0])))
        attack = torchattacks.OnePixel(case.plain, pixels=1, steps=GENERATIONS, popsize=POPULATION)
        found: Images = attack(images, labels).detach()
        hook.remove()
        queries[TORCHATTACKS] = torch.tensor([sum(passes) / count])
        return found

    return {
        EVOLUTION: lambda: ours(EVOLUTION, evolution),
        SEARCH: lambda: ours(SEARCH, PixelSearch()),
        TORCHATTACKS: theirs,
    }
