"""Attacks on a GPU beside a bare loop there: how much of the device's time goes into passes through the network."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import resnet50

from bench.bare import fast_copy, forward_backward
from bench.clock import Timed, interleaved
from bench.report import Check, Section, Table
from bench.setting import Normalised, Skipped
from brittle.attacks import PGD, Minimal, Outcome
from brittle.goals import Untargeted
from brittle.models import Network
from brittle.rng import Rng
from brittle.types import Images, Labels

BATCH, SIDE, ROUNDS = 256, 224, 3
GOAL = 0.80
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ATTACKS: dict[str, Any] = {
    "PGD, 100 steps": PGD(eps=1e-4, steps=100),  # so small that few images leave before the last step
    "minimal": Minimal(),
}


def section() -> Section:
    if not torch.cuda.is_available():
        raise Skipped("not seen: no GPU here")
    return measured(resnet50(), BATCH, SIDE, torch.device("cuda"))


def measured(net: nn.Module, batch: int, side: int, device: torch.device) -> Section:
    """On one batch of noise, and a network as it was made: what passes cost depends on neither."""
    classifier = Network(net, mean=MEAN, std=STD, device=device, batch_size=batch)
    images = torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(0)).to(device)
    labels, rng = classifier.logits(images).argmax(1), Rng(0, tuple(f"{row:05d}" for row in range(batch)))
    bare = fast_copy(classifier).to(device)
    parts = {name: _beside_bare(attack, classifier, bare, images, labels, rng) for name, attack in ATTACKS.items()}
    return Section(
        title="GPU",
        checks=tuple(
            Check(
                f"{name}: share of the time that its passes take alone", f"≥ {GOAL:.0%}", f"{share:.0%}", share >= GOAL
            )
            for name, (_, _, share) in parts.items()
        ),
        tables=(
            Table(
                ("attack", "seconds (range)", "the same passes in a bare loop", "share"),
                tuple(
                    (name, _seconds(timed), _seconds(alone), f"{share:.1%}")
                    for name, (timed, alone, share) in parts.items()
                ),
            ),
        ),
        notes=(
            f"{type(net).__name__} on one batch of {batch} images of {side} x {side}, {device}; {ROUNDS} interleaved"
            " rounds. The bare loop makes as many forward and backward passes of the same folded network, of whole"
            " batches, as the attack makes of an image on average, and does nothing with them.",
        ),
        facts={name: {"attack": timed.seconds, "bare": alone.seconds} for name, (timed, alone, _) in parts.items()},
    )


def _beside_bare(
    attack: Any, classifier: Network, bare: Normalised, images: Images, labels: Labels, rng: Rng
) -> tuple[Timed[Any], Timed[Any], float]:
    goal = Untargeted(labels)
    made: Outcome = attack(classifier, images, goal, rng=rng)
    both, more = _passes(made.backwards), _passes(made.forwards - made.backwards)

    def alone() -> None:
        forward_backward(bare, images, labels, passes=both, chunk=len(images))
        with torch.no_grad():
            for _ in range(more):
                bare(images)

    calls: dict[str, Callable[[], object]] = {
        "attack": lambda: attack(classifier, images, goal, rng=rng),
        "alone": alone,
    }
    timed = interleaved({name: _to_its_end(call, images.device) for name, call in calls.items()}, ROUNDS)
    # Passes are whole: what is rounded is given back.
    asked = float(made.forwards.float().mean() + made.backwards.float().mean())
    return timed["attack"], timed["alone"], timed["alone"].times(timed["attack"]) * asked / (2 * both + more)


def _passes(counts: Tensor) -> int:
    return max(0, round(float(counts.float().mean())))


def _to_its_end(call: Callable[[], object], device: torch.device) -> Callable[[], object]:
    """Until the device has done what it was asked."""

    def ended() -> object:
        found = call()
        if device.type != "cpu":
            torch.accelerator.synchronize(device)
        return found

    return ended


def _seconds(timed: Timed[Any]) -> str:
    return f"{timed.median:.2f} ({min(timed.seconds):.2f} to {max(timed.seconds):.2f})"
