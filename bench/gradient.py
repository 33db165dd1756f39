"""FGSM and PGD beside a loop of bare forward and backward passes."""

from collections.abc import Callable
from functools import partial
from typing import Any

from bench.bare import fast_copy, forward_backward
from bench.clock import interleaved
from bench.report import Check, Section, Table
from bench.setting import Setting, setting
from brittle.attacks import FGSM, PGD, Outcome
from brittle.goals import Untargeted

COUNT, GOAL = 128, 1.05
FAST, PLAIN = "bare loop, folded network", "bare loop, plain network"


def section() -> Section:
    case = setting(COUNT)
    stay = 1e-4  # so small that hardly any image is fooled, and so leaves, before the last step
    parts = [
        _measured(case, "FGSM", FGSM(eps=stay), passes=1, rounds=15),
        _measured(case, "PGD, 10 steps", PGD(eps=stay), passes=10, rounds=7),
        _measured(case, "PGD, eps=0.01", PGD(eps=0.01), passes=10, rounds=5),
    ]
    checks = tuple(
        Check(f"{name}, time of a bare loop", f"≤ {GOAL}×", f"{ratio:.3f}×", ratio <= GOAL)
        for name, ratio, _, _ in parts[:2]
    )
    headings = (
        "call",
        "ms an image (range)",
        "passes an image",
        "µs a pass",
        "a pass, as a multiple of the folded bare one",
    )
    return Section(
        title="FGSM and PGD",
        checks=checks,
        tables=(Table(headings, tuple(row for _, _, rows, _ in parts for row in rows)),),
        notes=(
            f"The same {COUNT} images. A pass is one forward and one backward; the bare loops take the gradient of the"
            f" cross-entropy in the same chunks of {case.classifier.batch_size}, and do nothing with it. The goal is"
            " against the folded network, the one that brittle runs too. With eps=0.01 images leave the loop when"
            " fooled, so that its row is information: passes get fewer, and the chunks with them.",
        ),
        facts={name: seconds for name, _, _, seconds in parts},
    )


def _measured(
    case: Setting, name: str, method: Any, *, passes: int, rounds: int
) -> tuple[str, float, tuple[tuple[str, ...], ...], dict[str, Any]]:
    """The attack's time as a multiple of the bare loop's, pass for pass; table rows; seconds of each round."""
    goal, chunk = Untargeted(case.labels), case.classifier.batch_size
    calls: dict[str, Callable[[], Outcome | None]] = {
        name: lambda: method(case.classifier, case.images, goal, rng=case.rng),
        FAST: partial(
            forward_backward, fast_copy(case.classifier), case.images, case.labels, passes=passes, chunk=chunk
        ),
        PLAIN: partial(forward_backward, case.plain, case.images, case.labels, passes=passes, chunk=chunk),
    }
    timed = interleaved(calls, rounds)
    outcome = timed[name].result
    if outcome is None:
        raise TypeError(f"{name} gave no outcome")
    made = {name: float(outcome.backwards.float().mean()), FAST: float(passes), PLAIN: float(passes)}
    a_pass = {call: one.times(timed[FAST]) * passes / made[call] for call, one in timed.items()}
    rows = tuple(
        (
            call if call == name else f"{call}, {passes}×",
            one.ms(COUNT),
            f"{made[call]:.2f}",
            f"{one.median / COUNT / made[call] * 1e6:.0f}",
            f"{a_pass[call]:.3f}",
        )
        for call, one in timed.items()
    )
    return name, a_pass[name], rows, {call: one.seconds for call, one in timed.items()}
