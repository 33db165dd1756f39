"""Sparse-RS: pixels and colours of a proposal, the schedule, the limit of queries, and each option at work."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import brittle.attacks.black_box.sparse_rs as module
from brittle.attacks import Outcome, SparseRS
from brittle.errors import BrittleError
from brittle.goals import Goal, Targeted, Untargeted
from brittle.models.network import Network
from brittle.rng import Rng

pytestmark = pytest.mark.usefixtures("one_thread")


def fool(net: nn.Module, images: Tensor, goal: Goal, attack: SparseRS, *, seed: int = 0) -> Outcome:
    rng = Rng(seed, tuple(str(row) for row in range(len(images))))
    return attack(Network(net, fast=False), images, goal, rng=rng)


def grey_images(count: int = 4) -> Tensor:
    return 0.3 + 0.4 * torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(4))


class Spots(nn.Module):
    """Class 1 once the red of all these pixels is full; before, each one that is brings it nearer."""

    def __init__(self, places: list[int], *, reachable: bool = True) -> None:
        super().__init__()
        self.places, self.need = places, len(places) - 0.2 if reachable else 1e3
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images)
        red = images.flatten(2)[:, 0, self.places].sum(1)
        return torch.stack([self.need - red, torch.zeros_like(red)], dim=1)


def nobody(count: int) -> Untargeted:
    return Untargeted(torch.zeros(count, dtype=torch.int64))


# ---- proposals


def test_every_image_asked_about_has_at_most_eps_changed_pixels_all_at_corners() -> None:
    net, images = Spots([0, 9, 27], reachable=False), grey_images(4)
    fool(net, images, nobody(4), SparseRS(eps=5, queries=150))
    assert torch.equal(net.seen[0], images)
    exact = 0
    for asked in net.seen[1:]:
        changed = (asked != images).any(1)
        exact += int((changed.flatten(1).sum(1) == 5).all())
        assert (changed.flatten(1).sum(1) <= 5).all()
        colours = asked.permute(0, 2, 3, 1)[changed]
        assert ((colours == 0) | (colours == 1)).all()
    assert exact > 100


@pytest.mark.parametrize("eps", [20, 40, 60, 64])
@pytest.mark.parametrize("near", [0.0, 0.5, 1.0])
def test_it_never_spends_a_pixel_of_its_budget_twice(near: float, eps: int) -> None:
    """Two of a proposal's pixels at one place, or one at a place that is changed already, would leave others unused."""

    class Unmoved(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.stack([50 + images.mean((1, 2, 3)), torch.zeros(len(images))], dim=1)

    images = grey_images(4)
    outcome = fool(Unmoved(), images, nobody(4), SparseRS(eps=eps, queries=300, near=near))
    assert (outcome.images != images).any(1).flatten(1).sum(1).tolist() == [eps] * 4


def test_a_corner_is_never_the_colour_that_is_there() -> None:
    generator = torch.Generator().manual_seed(0)
    original = (torch.rand(50, 3, 40, generator=generator) < 0.5).float()
    corner, one = module._corners(torch.rand(original.shape, generator=generator).unsqueeze(1))
    corners = module._other(corner[:, 0], one[:, 0], original)
    assert (corners != original).any(1).all()
    share = (corners == 1).float().mean((0, 2))
    assert torch.allclose(share, torch.tensor(0.5), atol=0.05)


@pytest.mark.parametrize(
    ("proposal", "exchanged"), [(0, 80), (1, 40), (50, 40), (51, 20), (201, 16), (501, 13), (1001, 10), (8001, 4)]
)
def test_the_schedule_over_ten_thousand_queries_is_the_papers(proposal: int, exchanged: int) -> None:
    assert SparseRS(alpha=0.8, shrink=10_000).exchanged(proposal, 100) == exchanged
    assert SparseRS(alpha=0.8, shrink=10_000).exchanged(proposal, 1) == 1


def test_without_near_every_pixel_comes_once_before_any_comes_twice() -> None:
    net, images = Spots([0], reachable=False), grey_images(2)
    images[:, 0] = 1  # red is full everywhere, so that no proposal is better than another
    fool(net, images, nobody(2), SparseRS(eps=1, queries=66, near=0.0))
    places = [(asked != images).any(1)[0].flatten().nonzero().item() for asked in net.seen[1:65]]
    assert sorted(places) == list(range(64))


def test_near_pixels_are_beside_the_old_and_keep_its_colour_every_other_time() -> None:
    net, images = Spots([27], reachable=False), grey_images(2)
    fool(net, images, nobody(2), SparseRS(eps=1, queries=400, near=1.0))
    same, best, least = 0, net.seen[1][0], torch.tensor(torch.inf)
    for asked in (batch[0] for batch in net.seen[2:400]):
        old, new = ((one != images[0]).any(0).nonzero()[0] for one in (best, asked))
        assert int((old - new).abs().max()) <= 2
        same += int(torch.equal(best[:, old[0], old[1]], asked[:, new[0], new[1]]))
        least = torch.minimum(least, net(best.unsqueeze(0))[0, 0])
        if net(asked.unsqueeze(0))[0, 0] < least - 1e-4:
            best = asked
    assert 0.4 < same / 398 < 0.75  # a random corner is the same one time in eight


# ---- the search


def test_hidden_pixels_are_found() -> None:
    images = grey_images(8)
    outcome = fool(Spots([5, 33, 60]), images, nobody(8), SparseRS(eps=3, queries=4000))
    assert outcome.claimed.all()
    changed = (outcome.images != images).any(1).flatten(1)
    assert changed[:, [5, 33, 60]].all()
    assert (
        outcome.forwards.float().mean() < 1500
    )  # blind guesses of three of 64 pixels and their red would take 300,000


def test_targets_are_reached_and_where_not_the_smallest_margin_comes_back() -> None:
    images = grey_images(2)
    reached = fool(Spots([5]), images, Targeted(torch.tensor([1, 1])), SparseRS(eps=1, queries=600))
    assert reached.claimed.all()
    net = Spots([5, 33, 60], reachable=False)
    failed = fool(net, images, Targeted(torch.tensor([1, 1])), SparseRS(eps=3, queries=300))
    assert not failed.claimed.any()
    asked = torch.stack([net(one)[:, 0] for one in net.seen[:300]])
    assert torch.allclose(net(failed.images)[:, 0], asked.amin(0))


@pytest.mark.parametrize("queries", [1, 2, 3, 101, 102, 103, 250])
def test_queries_are_used_up_and_not_exceeded(queries: int) -> None:
    outcome = fool(Spots([0], reachable=False), grey_images(2), nobody(2), SparseRS(eps=2, queries=queries))
    assert outcome.forwards.tolist() == [queries, queries]
    assert outcome.backwards.tolist() == [0, 0]


def test_a_budget_of_all_pixels_and_more_works() -> None:
    images = grey_images(2)
    outcome = fool(Spots(list(range(64))), images, nobody(2), SparseRS(eps=100, queries=400))
    assert (outcome.images >= 0).all()
    assert (outcome.images <= 1).all()


# ---- options


@pytest.mark.parametrize(
    "change", [{"eps": 3}, {"queries": 50}, {"alpha": 0.2}, {"shrink": 40}, {"near": 0.0}], ids=str
)
def test_each_option_changes_what_is_asked(change: dict[str, Any]) -> None:
    images = grey_images(2)
    usual = SparseRS(eps=8, queries=60)
    asked = []
    for attack in (usual, dataclasses.replace(usual, **change)):
        net = Spots([0, 9], reachable=False)
        fool(net, images, nobody(2), attack)
        asked.append(torch.cat(net.seen))
    assert asked[0].shape != asked[1].shape or not torch.equal(asked[0], asked[1])


@pytest.mark.parametrize(
    "options",
    [
        {"eps": 0},
        {"eps": 1.5},
        {"queries": 0},
        {"alpha": 0.0},
        {"alpha": 2.0},
        {"shrink": 0},
        {"near": -0.1},
        {"near": 2},
    ],
    ids=str,
)
def test_senseless_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BrittleError, match="expected"):
        SparseRS(**options)
