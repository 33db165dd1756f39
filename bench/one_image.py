"""One image at a time: what a batch of 1 costs beside the same passes bare."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from bench.bare import fast_copy, one_by_one
from bench.clock import interleaved
from bench.report import Section, Table
from bench.setting import Setting, setting
from brittle.attacks import PGD, DeepFool, Outcome
from brittle.goals import Untargeted
from brittle.types import Images

COUNT, ROUNDS = 16, 3
ALONE, FAST, PLAIN = "one call for each image", "the same passes, folded network", "the same passes, plain network"


def section() -> Section:
    case = setting(COUNT)
    methods: dict[str, Any] = {"DeepFool": DeepFool(), "PGD, 10 steps": PGD(eps=1e-4)}
    rows: list[tuple[str, ...]] = []
    facts = {}
    for name, method in methods.items():
        together = method(case.classifier, case.images, Untargeted(case.labels), rng=case.rng)
        passes = {"forwards": together.forwards, "backwards": together.backwards}
        calls: dict[str, Callable[[], Images | None]] = {
            ALONE: partial(_each_alone, case, method),
            FAST: partial(one_by_one, fast_copy(case.classifier), case.images, case.labels, **passes),
            PLAIN: partial(one_by_one, case.plain, case.images, case.labels, **passes),
            f"one call for {COUNT} images": partial(_all_together, case, method),
        }
        timed = interleaved(calls, ROUNDS)
        rows += [(name, call, one.ms(COUNT), f"{one.times(timed[FAST]):.2f}") for call, one in timed.items()]
        facts[name] = {call: one.seconds for call, one in timed.items()}
    headings = ("attack", "call", "ms an image (range)", "as a multiple of the folded passes")
    note = (
        f"Information. {COUNT} images, each in a call of its own. On a CPU brittle runs a batch below four as four, so"
        " that an image's result does not depend on its company; the bare passes run one image as one."
    )
    return Section(title="One image at a time", tables=(Table(headings, tuple(rows)),), notes=(note,), facts=facts)


def _each_alone(case: Setting, method: Any) -> Images:
    found = []
    for row in range(COUNT):
        label = Untargeted(case.labels[row : row + 1])
        outcome: Outcome = method(case.classifier, case.images[row : row + 1], label, rng=case.rng[row : row + 1])
        found.append(outcome.images)
    return torch.cat(found)


def _all_together(case: Setting, method: Any) -> Images:
    outcome: Outcome = method(case.classifier, case.images, Untargeted(case.labels), rng=case.rng)
    return outcome.images
