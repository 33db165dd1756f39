"""HopSkipJump: closed forms that it nears from decisions alone, the limit of queries, and each option at work."""

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import brittle.attacks.black_box.hopskipjump as module
from brittle.attacks import HopSkipJump, Outcome
from brittle.errors import BrittleError
from brittle.geometry.norms import L2, LINF, Norm, norm_named
from brittle.goals import Goal, Targeted, Untargeted
from brittle.models.network import Network
from brittle.rng import Rng
from known.affine import Affine
from laws.worlds import Deaf, linear_world

both_norms = pytest.mark.parametrize("norm", [L2, LINF], ids=str)


pytestmark = pytest.mark.usefixtures("one_thread")


def fool(net: nn.Module, images: Tensor, goal: Goal, attack: HopSkipJump, *, seed: int = 0) -> Outcome:
    rng = Rng(seed, tuple(str(row) for row in range(len(images))))
    return attack(Network(net, fast=False), images, goal, rng=rng)


def sizes(norm: Norm, outcome: Outcome, images: Tensor) -> Tensor:
    return norm.measure(outcome.images.double() - images.double())


def grey_images(count: int = 12, channels: int = 1) -> Tensor:
    return 0.3 + 0.4 * torch.rand(count, channels, 8, 8, generator=torch.Generator().manual_seed(4))


class Curved(nn.Module):
    """Two classes divided by a sphere around mid-grey; ``beyond`` it is class 1."""

    def __init__(self, radius: float) -> None:
        super().__init__()
        self.radius = radius

    def forward(self, images: Tensor) -> Tensor:
        beyond = (images - 0.5).flatten(1).norm(dim=1) - self.radius
        return torch.stack([-beyond, beyond], dim=1)


# ---- how near it comes


@both_norms
def test_linear_distance_is_neared_as_queries_are_added(norm: Norm) -> None:
    world, distance = linear_world(norm.p)  # type: ignore[attr-defined]
    for goal in world.goals(["untargeted", "targeted"]):
        ratios = []
        for queries, limit in ((200, 1.6), (1000, 1.12), (4000, 1.08)):
            attack = HopSkipJump(norm=norm, queries=queries)
            outcome = attack(world.classifier(), world.images, goal, rng=world.rng())
            ratio = sizes(norm, outcome, world.images) / distance
            assert outcome.claimed.all()
            assert float(ratio.min()) > 1 - 1e-4
            assert float(ratio.max()) < limit
            ratios.append(float(ratio.mean()))
        assert ratios[0] > ratios[1] > ratios[2]


def test_curved_boundary_is_found_where_it_is_nearest() -> None:
    """From inside a sphere, off its centre: the way out is straight on."""
    images = torch.full((6, 1, 4, 4), 0.5)
    images += 0.15 * torch.nn.functional.normalize(
        torch.randn(6, 16, generator=torch.Generator().manual_seed(0)), dim=1
    ).view(6, 1, 4, 4)
    outcome = fool(Curved(0.3), images, Untargeted(torch.zeros(6, dtype=torch.int64)), HopSkipJump(queries=2000))
    assert outcome.claimed.all()
    ratio = sizes(L2, outcome, images) / 0.15
    assert 1 <= float(ratio.min()) <= float(ratio.max()) < 1.1


@both_norms
def test_what_is_returned_lies_at_the_boundary(norm: Norm) -> None:
    world, _ = linear_world(norm.p)  # type: ignore[attr-defined]
    goal = world.goals(["untargeted"])[0]
    outcome = HopSkipJump(norm=norm, queries=320)(world.classifier(), world.images, goal, rng=world.rng())
    inwards = world.images + 0.995 * (outcome.images - world.images)
    assert goal.is_met(world.logits(outcome.images)).all()
    assert not goal.is_met(world.logits(inwards)).any()


# ---- decisions alone


class OneBit(nn.Module):
    """The same decisions as one-hot vectors, for images that are all to leave class 0 of two."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        logits = self.net(images)
        met = Untargeted(torch.zeros(len(logits), dtype=torch.int64)).is_surely_met(logits)
        return nn.functional.one_hot(met.long(), 2).float()


@both_norms
def test_nothing_but_decisions_is_used(norm: Norm) -> None:
    images, net = torch.full((5, 1, 4, 4), 0.5) + 0.01 * torch.arange(5).view(5, 1, 1, 1), Curved(0.3)
    goal, attack = Untargeted(torch.zeros(5, dtype=torch.int64)), HopSkipJump(norm=norm, queries=400)
    usual = fool(net, images, goal, attack)
    for name, one, other in zip(Outcome._fields, usual, fool(OneBit(net), images, goal, attack), strict=True):
        assert torch.equal(one, other), name
    assert not usual.backwards.any()


# ---- queries


@pytest.mark.parametrize("queries", [*range(1, 40), 60, 99, 333])
def test_queries_are_an_exact_limit(queries: int) -> None:
    world, _ = linear_world(2)
    seen = [0]

    def count(net: nn.Module, given: tuple[Tensor], output: Tensor) -> None:
        seen[0] += len(given[0])

    net = nn.Sequential(nn.Identity(), world.net)
    hook = net.register_forward_hook(count)
    classifier = Network(net, fast=False)
    images, goal, rng = world.images[:4], world.goals(["untargeted"])[0][:4], world.rng()[:4]
    outcome = HopSkipJump(queries=queries)(classifier, images, goal, rng=rng)
    hook.remove()
    assert int(outcome.forwards.max()) <= queries
    assert int(outcome.forwards.sum()) == classifier.forwards <= seen[0]
    assert outcome.claimed.all() or queries < 20
    assert int(outcome.forwards.min()) > queries - 40  # what is too little for another step


def test_images_for_which_nothing_is_found_come_back_as_they_are() -> None:
    images = grey_images(3)
    attack = HopSkipJump(tries=30)
    for goal in (Untargeted(torch.zeros(3, dtype=torch.int64)), Targeted(torch.ones(3, dtype=torch.int64))):
        outcome = fool(Deaf([1.0, 0.0, 0.0], connected=False), images, goal, attack)
        assert torch.equal(outcome.images, images)
        assert not outcome.claimed.any()
        assert outcome.forwards.tolist() == [31] * 3
        assert outcome.steps.tolist() == [1] * 3


def test_small_groups_of_probes_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    images, net = grey_images(), Affine(torch.randn(2, 64, generator=torch.Generator().manual_seed(0)), torch.zeros(2))
    goal = Untargeted(net(images).argmax(1))
    usual = fool(net, images, goal, HopSkipJump(queries=300))
    monkeypatch.setattr(module, "_AT_ONCE", 5000)
    torch.testing.assert_close(fool(net, images, goal, HopSkipJump(queries=300)).images, usual.images)


# ---- each option does something


@both_norms
def test_field_norm(norm: Norm) -> None:
    images, net = grey_images(), Affine(torch.randn(2, 64, generator=torch.Generator().manual_seed(0)), torch.zeros(2))
    goal = Untargeted(net(images).argmax(1))
    found = {one: fool(net, images, goal, HopSkipJump(norm=one, queries=500)) for one in (L2, LINF)}
    medians = {one: float(sizes(norm, outcome, images).median()) for one, outcome in found.items()}
    assert min(medians, key=lambda one: medians[one]) == norm


def test_field_queries() -> None:
    images, net = grey_images(), Affine(torch.randn(2, 64, generator=torch.Generator().manual_seed(0)), torch.zeros(2))
    goal = Untargeted(net(images).argmax(1))
    few, many = (fool(net, images, goal, HopSkipJump(queries=queries)) for queries in (100, 1000))
    assert (many.steps > few.steps).all()
    assert float(sizes(L2, many, images).mean()) < 0.8 * float(sizes(L2, few, images).mean())


def test_field_probes() -> None:
    images, net = grey_images(), Affine(torch.randn(2, 64, generator=torch.Generator().manual_seed(0)), torch.zeros(2))
    goal = Untargeted(net(images).argmax(1))
    few, many = (fool(net, images, goal, HopSkipJump(queries=600, probes=probes)) for probes in (20, 100))
    assert (few.steps > many.steps).all()  # the same queries make fewer, surer steps


def test_field_reach_keeps_probes_where_a_thin_region_still_fools() -> None:
    """Class 1 is a slab: probes that reach through it tell nothing of the nearer side."""

    class Slab(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            along = (images - 0.5).flatten(1).sum(1) / 4
            inside = 0.02 - (along - 0.4).abs()
            return torch.stack([-inside, inside], dim=1)

    images = torch.full((8, 1, 4, 4), 0.5)
    attack = HopSkipJump(queries=3000, tries=2000, starts=1)
    goal = Untargeted(torch.zeros(8, dtype=torch.int64))
    near, wide = (fool(Slab(), images, goal, dataclasses.replace(attack, reach=reach)) for reach in (0.05, 0.9))
    assert near.claimed.all()
    assert float(sizes(L2, near, images).mean()) < 0.95 * float(sizes(L2, wide, images).mean())


def test_field_colour_finds_a_boundary_across_brightness_sooner() -> None:
    generator = torch.Generator().manual_seed(0)
    images, weight = grey_images(channels=3), torch.randn(2, 3, 64, generator=generator)
    grey = weight.mean(1, keepdim=True)
    for normals, nearer in ((grey.expand(2, 3, 64), 0.1), (weight - grey, 1.0)):
        net = Affine(normals.reshape(2, 192), torch.zeros(2))
        goal = Untargeted(net(images).argmax(1))
        found = {c: fool(net, images, goal, HopSkipJump(queries=300, colour=c)) for c in (0.1, 1.0)}
        means = {c: float(sizes(L2, outcome, images).mean()) for c, outcome in found.items()}
        assert min(means, key=lambda c: means[c]) == nearer


def test_field_starts_compares_places_to_start_from() -> None:
    images, net = grey_images(), Curved(1.2)
    goal = Untargeted(torch.zeros(len(images), dtype=torch.int64))
    one, many = (fool(net, images, goal, HopSkipJump(queries=60, starts=starts)) for starts in (1, 30))
    assert one.claimed.all()
    assert float(sizes(L2, many, images).mean()) < float(sizes(L2, one, images).mean())


def test_field_tries_finds_what_is_rare() -> None:
    """Class 1 is the brightest of random images."""

    class Bright(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            over = images.flatten(1).mean(1) - 0.6
            return torch.stack([-over, over], dim=1)

    images = torch.full((20, 1, 8, 8), 0.5)
    goal = Targeted(torch.ones(20, dtype=torch.int64))
    few, many = (fool(Bright(), images, goal, HopSkipJump(queries=300, tries=tries)) for tries in (2, 200))
    assert not few.claimed.all()
    assert many.claimed.all()
    assert float(L2.measure(many.images - images).max()) < 1.1  # 0.8 is the way to this plane


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"norm": "l1"},
            "expected norm l2 or linf, got l1; l1 is a norm of boundary-walk, deepfool, fmn, minimal, shrinking-ball,"
            " sparsefool",
        ),
        ({"norm": "l0"}, "expected norm l2 or linf, got l0; l0 is a norm of minimal, pixel-greedy, sigma-zero"),
        ({"queries": 0}, "expected queries >= 1, got 0"),
        ({"probes": 0}, "expected probes >= 1, got 0"),
        ({"starts": 0}, "expected starts >= 1, got 0"),
        ({"tries": -1}, "expected tries >= 1, got -1"),
        ({"reach": 0.0}, "expected reach between 0 and 1, got 0.0"),
        ({"reach": math.nan}, "expected reach between 0 and 1, got nan"),
        ({"colour": -0.1}, "expected a finite colour >= 0, got -0.1"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BrittleError) as refused:
        HopSkipJump(**options)
    assert str(refused.value) == message


def test_norm_may_be_a_name() -> None:
    assert HopSkipJump(norm="linf").norm == norm_named("linf")
