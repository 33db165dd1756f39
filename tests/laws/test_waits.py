"""On an accelerator no step of a loop waits for it; and that rows leave later there changes nothing."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from brittle import devices
from brittle.attacks import APGD, FMN, PGD, Attack, BoundaryWalk, DeepFool, Minimal, Outcome
from brittle.attacks.minimal.shrinking_ball import descend
from brittle.attacks.parts.asking import asking_nearest
from brittle.geometry import l1_budget
from brittle.geometry.norms import L1, LINF, Norm
from brittle.goals import Goal, Untargeted
from brittle.models.classifier import Classifier
from brittle.models.network import Network
from brittle.rng import Rng
from brittle.train.attacked import Onward
from laws.waits import Waits, waits
from laws.worlds import MEAN, STD, World, trained_world

MANY = 10**9
Made = Callable[..., Outcome]


def descent(norm: Norm, steps: int) -> Made:
    """The descent of which the polish of a walk and ``ShrinkingBall`` are made, from far away."""

    def attack(classifier: Classifier, images: Tensor, goal: Goal, *, rng: Rng) -> Outcome:
        ask = asking_nearest(classifier, images, goal, norm)
        descend(ask, norm, ask.everyone, 0.5 + 0.5 * (images - 0.5), steps, 0.4)
        return ask.outcome()

    return attack


STEPS: dict[str, tuple[Callable[[int], Made], int, float]] = {
    "pgd linf": (lambda steps: PGD(eps=0.03, steps=steps), 4, 0),
    "pgd l1": (lambda steps: PGD(norm="l1", eps=0.6, steps=steps, momentum=1.0), 4, 0),
    "apgd linf": (
        lambda steps: APGD(eps=0.03, steps=steps),
        8,
        0.25,
    ),  # at checkpoints, of which longer walks have more
    "apgd-t l1": (
        lambda steps: APGD(norm="l1", eps=0.6, steps=steps, loss="dlr", targets=2),
        25,
        0.5,
    ),  # the same, twice
    "fmn l2": (lambda steps: FMN(steps=steps), 4, 0),
    "fmn l1": (lambda steps: FMN(norm="l1", steps=steps), 4, 0),
    "descent linf": (lambda steps: descent(LINF, steps), 4, 0),
    "descent l1": (lambda steps: descent(L1, steps), 4, 0),
    "walk l2": (lambda steps: BoundaryWalk(steps=steps, candidates=1, polish=0), 2, 1),  # has Newton's method ended?
    "deepfool l2": (lambda steps: DeepFool(max_steps=steps), 4, 4),  # that; who has crossed, twice; which planes more?
}
"""Attacks, a number of steps, and how often each of as many more may ask."""


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def world() -> World:
    return trained_world().part(slice(0, 4))


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The CPU is taken for an accelerator."""
    monkeypatch.setattr(devices, "AT_ONCE", frozenset())
    return monkeypatch


def asked(attack: Made, world: World, goal: Goal) -> Waits:
    """What an attack waits for."""
    classifier = Network(world.net, mean=MEAN, std=STD, fast=False)
    attack(classifier, world.images[:1], goal[:1], rng=world.rng()[:1])  # what is made once is made
    with waits() as seen:
        attack(classifier, world.images, goal, rng=world.rng())
    return seen


def a_step(make: Callable[[int], Made], few: int, world: World, goal: Goal) -> tuple[float, Waits]:
    """How often a step more asks, and where."""
    short, long = (asked(make(steps), world, goal) for steps in (few, 2 * few))
    long.lines.subtract(short.lines)
    return long.total / few, long


@pytest.mark.parametrize("name", STEPS)
def test_no_step_waits(name: str, world: World, elsewhere: pytest.MonkeyPatch) -> None:
    make, few, most = STEPS[name]
    elsewhere.setattr(devices, "EVERY", MANY)  # what is asked now and then is asked at the end alone
    # A goal that is never met keeps the batch whole, and lets no attack end early; a walk would look for more.
    goal: Goal = Untargeted(world.labels) if name.startswith("walk") else Onward(world.labels)
    found, seen = a_step(make, few, world, goal)
    assert found <= most, f"a step waits {found:g} times: {+seen.lines}"


def test_a_planted_wait_is_seen(world: World) -> None:
    plants: dict[str, tuple[Callable[[Tensor], object], int]] = {
        "a number": (lambda x: float(x.amax()), 1),
        "a condition": (lambda x: 1 if (x > 2).any() else 2, 1),
        "a mask": (lambda x: x[x.amax((1, 2, 3)) > 0.5], 1),
        "written by masks": (lambda x: x.clone().index_put_((x > 2,), x[:0].flatten()), 1),
        "a copy to the device": (lambda x: x * torch.tensor([0.5]), 1),
        "a copy from it": (lambda x: x[:, 0, 0, 0].tolist(), 1),
        "another": (lambda x: x.cpu(), 1),
        "drawn elsewhere": (lambda x: Rng(0, ("a",)).uniform("b", x[:1]), 1),
        "equality": (lambda x: torch.equal(x, x), 1),
        "nothing": (lambda x: torch.where(x > 0.5, x, 0.0)[torch.arange(2)], 0),
    }
    for name, (plant, times) in plants.items():
        with waits() as seen:
            plant(world.images)
        assert seen.total == times, f"{name}: {seen.lines}"


LATER: dict[str, Attack] = {
    "pgd linf": PGD(eps=0.05, steps=11, random_start=True),
    "pgd l1": PGD(norm="l1", eps=1.6, steps=10, momentum=1.0),
    "apgd linf": APGD(eps=0.05, steps=25),
    "apgd l2": APGD(norm="l2", eps=0.4, steps=25, widest=3.0),
    "apgd-t l1": APGD(norm="l1", eps=1.6, steps=25, loss="dlr", targets=3),
    "fmn linf": FMN(norm="linf", steps=15),
    "deepfool l2": DeepFool(),
    "deepfool linf": DeepFool(norm="linf", overshoot=0.0),
    "walk l1": BoundaryWalk(norm="l1"),
    "minimal l2": Minimal(),
    "minimal linf": Minimal(norm="linf"),
}


@pytest.mark.parametrize("name", LATER)
def test_rows_that_leave_later_come_to_the_same(name: str, elsewhere: pytest.MonkeyPatch) -> None:
    world = trained_world().part(slice(0, 20))
    goal = Untargeted(world.labels)

    def outcome() -> Outcome:
        return LATER[name](world.shared_classifier, world.images, goal, rng=world.rng())

    with pytest.MonkeyPatch.context() as both:  # or the level of a projection in L1 would be rounded in two ways
        both.setattr(l1_budget, "_level_by_steps", l1_budget._level_by_sorting)
        later = outcome()
        elsewhere.undo()
        at_once = outcome()
    assert at_once.claimed.any()
    for what in ("images", "claimed", "steps"):
        differ = (getattr(later, what) != getattr(at_once, what)).reshape(len(goal), -1).any(1)
        assert not differ.any(), f"{int(differ.sum())} {what} differ"
    assert (later.forwards >= at_once.forwards).all()
