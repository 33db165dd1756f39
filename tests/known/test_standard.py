"""The standard ensemble against its parts: what it finds is what one of them finds, at the price of those it needed."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from brittle.attacks import Minimal, Outcome, PixelGreedy, SigmaZero, SparseRS
from brittle.attacks.black_box.square import Square
from brittle.attacks.budget.apgd import APGD
from brittle.attacks.budget.standard import Standard
from brittle.catalog import entry_of
from brittle.errors import BrittleError
from brittle.geometry.norms import L0, L1, L2, LINF, Norm
from brittle.goals import Goal, Untargeted
from brittle.models.classifier import Classifier
from brittle.models.network import Network
from brittle.rng import Rng
from laws.worlds import World, trained_world

BUDGETS = {LINF: 0.06, L2: 0.4, L1: 1.5, L0: 2}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def world() -> World:
    return trained_world()


def run(attack: Any, classifier: Classifier, images: Tensor, goal: Goal) -> Outcome:
    outcome: Outcome = attack(classifier, images, goal, rng=Rng(0, tuple(f"image {n}" for n in range(len(images)))))
    return outcome


def test_members_are_autoattacks_in_its_settings() -> None:
    standard = Standard(norm="l2", eps=0.5)
    ce, minimal, wide, towards, square = standard.members
    assert ce == APGD(norm=L2, eps=0.5, steps=100, loss="ce", targets=0)
    assert wide == APGD(norm=L2, eps=0.5, steps=100, loss="ce", targets=0, widest=6)
    assert towards == APGD(norm=L2, eps=0.5, steps=100, loss="dlr", targets=9, shortlist=2, widest=6)
    assert entry_of(minimal).kind == "minimal"
    assert minimal.norm == L2  # type: ignore[attr-defined]
    assert square == Square(norm=L2, eps=0.5, queries=5000)


def test_members_serve_every_goal() -> None:
    for norm, eps in BUDGETS.items():
        members = Standard(norm=norm, eps=eps).members
        assert all(set(entry_of(member).goals) == {"untargeted", "targeted"} for member in members)
        assert all(norm.name in entry_of(member).norms for member in members)


def test_in_l0_each_member_may_change_so_many_pixels() -> None:
    greedy, minimal, sigma, random = Standard(norm="l0", eps=7.0, steps=30, queries=50).members
    assert greedy == PixelGreedy(shortlist=64, max_steps=14)
    assert minimal == Minimal(norm=L0)
    assert sigma == SigmaZero(steps=30)
    assert random == SparseRS(eps=7, queries=50)


@pytest.mark.parametrize("norm", BUDGETS, ids=str)
@pytest.mark.parametrize("targeted", [False, True])
def test_it_finds_what_its_parts_find_and_pays_for_no_other(norm: Norm, targeted: bool, world: World) -> None:
    """Each part alone, on all images: the ensemble's counts are those up to and including the first to succeed."""
    world = world.part(slice(0, 16))
    goal = world.goals(["targeted" if targeted else "untargeted"])[0]
    standard = Standard(norm=norm, eps=BUDGETS[norm], steps=8, targets=3, queries=20)
    classifier = world.classifier()
    whole = run(standard, classifier, world.images, goal)
    claimed = torch.zeros_like(whole.claimed)
    counts = torch.zeros(3, len(claimed), dtype=torch.int64)
    found = world.images.clone()
    outside = 0
    for member in standard.members:
        alone = run(member, classifier, world.images, goal)
        counts += torch.stack(alone[2:]) * ~claimed
        inside = norm.measure(alone.images - world.images) <= standard.eps * (1 + 1e-5)
        outside += int((alone.claimed & ~inside).sum())
        first = alone.claimed & inside & ~claimed
        found[first] = alone.images[first]
        claimed |= first
    assert torch.equal(whole.claimed, claimed)
    assert 0 < int(claimed.sum()) < len(claimed)
    torch.testing.assert_close(whole.images[claimed], found[claimed], rtol=0, atol=1e-5)
    assert torch.equal(torch.stack(whole[2:]), counts)
    assert targeted or outside, "no image shows that a minimal attack's result beyond eps does not count"


# ---- what one of them alone can do


class Steps(nn.Module):
    """Answers to the image rounded to grey levels: no gradient anywhere, yet easily fooled."""

    def forward(self, images: Tensor) -> Tensor:
        level = (images * 20).round().flatten(1).mean(1) / 20
        return torch.stack([0 * level, 20 * (level - 0.51), 0 * level - 1], 1)


def test_square_finds_what_hides_its_gradient() -> None:
    images, goal = torch.full((4, 1, 4, 4), 0.5), Untargeted(torch.zeros(4, dtype=torch.int64))
    outcome = run(Standard(eps=0.1, queries=300), Network(Steps()), images, goal)
    assert outcome.claimed.all()
    assert not Untargeted(goal.labels).is_met(Steps()(images)).any()
    # Where no climb sees a gradient, none goes on; those that begin beyond the boundary descend 76 steps.
    assert outcome.backwards.amin() <= 60
    assert (outcome.backwards <= 60 + 76).all()


@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize("norm", [LINF, L2], ids=str)
def test_few_classes_are_enough(classes: int, norm: Norm) -> None:
    generator = torch.Generator().manual_seed(classes)
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, classes)).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    images = torch.rand(12, 1, 4, 4, generator=generator)
    with torch.no_grad():
        goal = Untargeted(net(images).argmax(1))
    eps = {LINF: 0.2, L2: 0.6}[norm]
    outcome = run(Standard(norm=norm, eps=eps, steps=20, queries=50), Network(net), images, goal)
    assert int(outcome.claimed.sum()) > 0
    with torch.no_grad():
        assert torch.equal(outcome.claimed, goal.is_met(net(outcome.images)))


# ---- options


def survivor(attack: Standard) -> Outcome:
    """On an image that nothing within the budget fools, by a network that is never at rest."""
    return run(
        attack, Network(Restless(), fast=False), torch.full((2, 1, 2, 2), 0.5), Untargeted(torch.zeros(2).long())
    )


class Restless(nn.Module):
    """Four classes; three have a peak close to the image, far below the label, and no step leads to its top."""

    def forward(self, images: Tensor) -> Tensor:
        flat = images.flatten(1)
        peaks = -(100 * (flat[:, 1:] - torch.tensor([0.5037, 0.4957, 0.5023]))).square()
        return torch.cat([0 * flat[:, :1] + 9, peaks], 1)


SMALL: dict[str, Any] = {"eps": 0.01, "steps": 5, "targets": 1, "queries": 10}


def test_field_steps() -> None:
    least, more = (survivor(Standard(**SMALL | {"steps": steps})) for steps in (5, 9))
    assert (more.backwards - least.backwards == 3 * 4).all()  # in each of the three APGD


def test_field_targets() -> None:
    least, more = (survivor(Standard(**SMALL | {"targets": targets})) for targets in (1, 3))
    assert (more.backwards - least.backwards == 3 * 5 + 2 * 5 - 5).all()  # each a little, then two all there are


def test_field_queries() -> None:
    least, more = (survivor(Standard(**SMALL | {"queries": queries})) for queries in (10, 27))
    assert (more.forwards - least.forwards == 17).all()
    assert torch.equal(more.backwards, least.backwards)


def test_field_norm(world: World) -> None:
    goal = world.goals(["untargeted"])[0]
    small: dict[str, Any] = {"eps": 0.4, "steps": 5, "targets": 2, "queries": 5}
    for norm, most in ((LINF, 8 * 0.4), (L2, 0.4)):
        outcome = run(Standard(norm=norm, **small), world.classifier(), world.images, goal)
        assert outcome.claimed.sum() > 5
        size = float(L2.measure(outcome.images - world.images).max())
        assert most / 3 < size <= most * (1 + 1e-5)


def test_field_eps(world: World) -> None:
    goal = world.goals(["untargeted"])[0]
    claimed = [
        int(run(Standard(eps=eps, steps=5, targets=2, queries=5), world.classifier(), world.images, goal).claimed.sum())
        for eps in (0.0, 0.03, 0.3)
    ]
    assert claimed[0] < claimed[1] < claimed[2] == len(world.images)


def test_every_field_has_its_test() -> None:
    tested = {name.removeprefix("test_field_") for name in globals() if name.startswith("test_field_")}
    assert tested == {field.name for field in dataclasses.fields(Standard)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "l3", "eps": 1}, "expected norm l0, l1, l2 or linf, got l3"),
        ({"norm": "l0"}, "expected eps >= 1 in l0, the number of pixels, got 0.03"),
        ({"eps": -0.1}, "expected a finite eps >= 0, got -0.1"),
        ({"steps": 0}, "expected steps >= 1, got 0"),
        ({"targets": 0}, "expected targets >= 1, got 0"),
        ({"queries": 0}, "expected queries >= 1, got 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BrittleError) as refused:
        Standard(**options)
    assert str(refused.value).startswith(message)
