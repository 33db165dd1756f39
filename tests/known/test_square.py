"""Square: what a proposal looks like, the schedule of sizes, the limit of queries, and each option at work."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import brittle.attacks.black_box.squares as module
from brittle.attacks import Outcome, Square
from brittle.attacks.black_box.squares import Bumps, Corners, Spots, Squares, painted
from brittle.errors import BrittleError
from brittle.geometry.norms import L1, L2, LINF, Norm
from brittle.goals import Goal, Targeted, Untargeted
from brittle.models.network import Network
from brittle.rng import Rng
from known.affine import Affine

all_norms = pytest.mark.parametrize("norm", [L1, L2, LINF], ids=str)


pytestmark = pytest.mark.usefixtures("one_thread")


def rng_of(images: Tensor, seed: int = 0) -> Rng:
    return Rng(seed, tuple(str(row) for row in range(len(images))))


def fool(net: nn.Module, images: Tensor, goal: Goal, attack: Square, *, seed: int = 0) -> Outcome:
    return attack(Network(net, fast=False), images, goal, rng=rng_of(images, seed))


def grey_images(count: int = 4, side: int = 8) -> Tensor:
    return 0.3 + 0.4 * torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(4))


def proposed(squares: Squares, best: Tensor, side: int, draw: Tensor) -> Tensor:
    """The best images after a proposal each, from ``draw [n, numbers]``."""
    patches = squares.patches(best, side, squares.block(draw.unsqueeze(1), [side]))
    new = painted(best.clone(), [patch.flat(slice(None)) for patch in patches])
    squares.moved(torch.arange(len(best)), new)
    return new


class Stubborn(nn.Module):
    """Class 0 by a margin that no perturbation overcomes; it grows with the distance from a hidden corner."""

    def __init__(self, corner: Tensor) -> None:
        super().__init__()
        self.corner = corner
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images)
        margin = 1 + (images - self.corner).flatten(1).square().mean(1)
        return torch.stack([margin, torch.zeros_like(margin)], dim=1)


# ---- the schedule


@pytest.mark.parametrize(
    ("proposal", "halvings"),
    [(0, 0), (10, 0), (11, 1), (50, 1), (51, 2), (201, 3), (501, 4), (1001, 5), (2001, 6), (4001, 7), (6001, 8)],
)
def test_the_schedule_over_ten_thousand_queries_is_the_papers(proposal: int, halvings: int) -> None:
    side = Square(p=0.8, shrink=10_000).side(proposal, 64, 64)
    assert side == max(round((0.8 / 2**halvings * 64 * 64) ** 0.5), 1)


def test_squares_fit_into_small_and_oblong_images_and_are_odd_in_l2() -> None:
    assert Square(p=1.0).side(0, 7, 30) == 7
    assert Square(p=0.8).side(10_000, 8, 8) == 1
    assert [Square(norm=L2, p=0.3).side(proposal, 32, 32) for proposal in (0, 10_000)] == [19, 3]
    assert [Square(norm=L1, p=0.3).side(proposal, 32, 32) for proposal in (0, 10_000)] == [19, 1]


# ---- proposals


def test_linf_proposals_repaint_one_square_with_ends_of_the_range() -> None:
    images, eps = grey_images(), 0.1
    squares = Corners(images, eps)
    rng = rng_of(images)
    best = squares.start(rng)
    up = (best > images.flatten(2)).view(images.shape)
    assert torch.equal(up, up[:, :, :1].expand_as(up)), "stripes run from top to bottom"
    assert (up != up[:, :, :, :1]).any()
    draw = rng.uniform("proposal", best.new_empty(len(best), squares.numbers))
    new = proposed(squares, best, 3, draw)
    size = (new - images.flatten(2)).abs()
    assert torch.allclose(size, torch.full_like(size, eps), atol=1e-6)
    changed = (new != best).any(1).view(-1, 8, 8)
    for one in changed:
        rows, columns = one.any(1).nonzero(), one.any(0).nonzero()
        assert 0 <= rows.max() - rows.min() < 3
        assert 0 <= columns.max() - columns.min() < 3
    assert changed.any((1, 2)).all()


def test_an_idle_linf_proposal_turns_one_channel_over() -> None:
    images = grey_images(1)
    squares = Corners(images, 0.1)
    best = squares.high.clone()
    draw = torch.full((1, squares.numbers), 0.4)  # below a half: all channels up, where they already are
    new = proposed(squares, best, 2, draw)
    assert (new != best).flatten(2).any(2).sum() == 1
    assert (new != best).sum() == 4


def test_the_first_bumps_have_the_size_of_the_budget_and_leave_it_nowhere() -> None:
    images = grey_images(side=32)
    squares = Bumps(images, 0.5)
    best = squares.start(rng_of(images))
    sizes = [(best - images.flatten(2)).flatten(1).norm(dim=1)]
    generator = torch.Generator().manual_seed(0)
    for side in (15, 9, 3, 3, 3):
        best = proposed(squares, best, side, torch.rand(len(best), squares.numbers, generator=generator))
        sizes.append((best - images.flatten(2)).flatten(1).norm(dim=1))
    assert torch.allclose(torch.stack(sizes), torch.tensor(0.5), atol=1e-5), "the box binds nowhere here"


def test_energy_that_the_box_cuts_off_is_given_to_the_next_bump() -> None:
    images = torch.zeros(1, 1, 16, 16)
    squares = Bumps(images, 2.0)
    best = squares.start(rng_of(images))
    before = float(best.norm())
    assert before < 1.9, "half of each bump points out of the box"
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        best = proposed(squares, best, 3, torch.rand(1, squares.numbers, generator=generator))
    assert before < float(best.norm()) <= 2 + 1e-5


def spread(images: Tensor) -> tuple[Spots, Tensor]:
    squares = Spots(images, 4.0)
    best = squares.start(rng_of(images))
    generator = torch.Generator().manual_seed(0)
    for side in (7, 5, 3, 3):
        best = proposed(squares, best, side, torch.rand(len(best), squares.numbers, generator=generator))
        assert (L1.measure(best - images.flatten(2)) <= 4 * (1 + 1e-6)).all()
        assert ((best >= 0) & (best <= 1)).all()
    return squares, best


def test_in_l1_few_values_move_as_far_as_they_go_and_together_they_have_the_size_of_the_budget() -> None:
    images = grey_images()
    _, best = spread(images)
    delta = best - images.flatten(2)
    assert torch.allclose(L1.measure(delta), torch.tensor(4.0), atol=1e-5)
    at_wall = ((best == 0) | (best == 1)).flatten(1).sum(1)
    assert (at_wall >= 3).all()
    assert ((delta != 0).flatten(1).sum(1) < 60).all(), "the first 25 spots have 75 values"


def test_in_l1_what_is_around_a_changed_pixel_is_taken_back_and_fills_a_square_from_its_middle() -> None:
    images = torch.full((1, 1, 9, 9), 0.5)
    squares, best = Spots(images, 1.2), images.flatten(2).clone()
    best[0, 0, 80] += 1 / 3  # in the last corner
    squares.moved(torch.tensor([0]), best)
    squares.unused.zero_()
    new = proposed(squares, best, 3, torch.tensor([[0.5, 0.5, 0.9, 0.1]])).view(9, 9)
    assert float(new[8, 8]) == 0.5
    assert float(new[4, 4]) == pytest.approx(0.5 + 1 / 3, abs=1e-6)
    assert int((new != 0.5).sum()) == 1
    squares.unused.fill_(1.2)
    filled = proposed(squares, images.flatten(2).clone(), 3, torch.tensor([[0.5, 0.5, 0.9, 0.9]])).view(9, 9)
    assert [float(filled[4, 4]), float(filled[3, 4]), float(filled[4, 3])] == pytest.approx([0, 0, 0.3], abs=1e-6)
    assert int((filled != 0.5).sum()) == 3


def test_a_bump_is_two_opposite_peaks_of_length_one_and_may_lie_or_stand() -> None:
    standing, lying = module._bump(5).view(2, 5, 5)
    assert torch.equal(standing, lying.T)
    assert float(standing.norm()) == pytest.approx(1, abs=1e-6)
    assert float(standing[:2].amin()) > 0 > float(standing[2:].amax())
    # Rings of a peak three wide hold 1 and 1/4: the middle has 1 + 1/4, what is around it 1/4.
    peak = module._peak(3, 3)
    assert float(peak[1, 1] / peak[0, 0]) == pytest.approx(5, rel=1e-6)


# ---- the search


@all_norms
def test_the_margin_never_grows_and_what_comes_back_has_the_smallest(norm: Norm) -> None:
    images = grey_images(3)
    net = Stubborn(torch.ones(3, 8, 8))
    goal = Untargeted(torch.zeros(3, dtype=torch.int64))
    few, many = (fool(net, images, goal, Square(norm=norm, eps=0.3, queries=queries)) for queries in (10, 200))
    net.seen.clear()
    assert not few.claimed.any()
    assert not many.claimed.any()
    smallest = net(many.images)[:, 0]
    assert (smallest < net(few.images)[:, 0]).all()
    net.seen.clear()
    fool(net, images, goal, Square(norm=norm, eps=0.3, queries=200))
    asked = torch.cat(net.seen)
    seen = (1 + (asked - 1).flatten(1).square().mean(1)).amin()
    assert float(smallest.amin()) == pytest.approx(float(seen), rel=1e-4)


@pytest.mark.parametrize("queries", [1, 2, 3, 97, 98, 99, 400, 900, 901])
def test_queries_are_used_up_and_not_exceeded(queries: int) -> None:
    images = grey_images(2)
    outcome = fool(Stubborn(torch.ones(3, 8, 8)), images, Untargeted(torch.tensor([0, 0])), Square(queries=queries))
    assert outcome.forwards.tolist() == [queries, queries]
    assert outcome.backwards.tolist() == [0, 0]


def test_late_proposals_are_asked_about_together() -> None:
    net = Stubborn(torch.ones(3, 8, 8))
    images = grey_images(4)
    fool(net, images, Untargeted(torch.zeros(4, dtype=torch.int64)), Square(queries=900))
    assert [len(asked) for asked in net.seen[:3]] == [4, 4, 4]
    assert {len(asked) for asked in net.seen} == {4, 8, 16}


def test_targets_are_reached() -> None:
    net = Affine(torch.randn(5, 192, generator=torch.Generator().manual_seed(1)), torch.zeros(5))
    images = grey_images(6)
    with torch.no_grad():
        target = (net(images).argmax(1) + 2) % 5
    outcome = fool(net, images, Targeted(target), Square(eps=0.25, queries=300))
    assert outcome.claimed.float().mean() >= 0.8
    with torch.no_grad():
        assert torch.equal(net(outcome.images).argmax(1)[outcome.claimed], target[outcome.claimed])


# ---- options


@pytest.mark.parametrize("change", [{"eps": 0.02}, {"queries": 50}, {"p": 0.1}, {"shrink": 50}, {"norm": L2}], ids=str)
def test_each_option_changes_what_is_asked(change: dict[str, Any]) -> None:
    images, goal = grey_images(2), Untargeted(torch.tensor([0, 0]))
    usual = Square(eps=0.1, queries=60)
    asked = []
    for attack in (usual, dataclasses.replace(usual, **change)):
        net = Stubborn(torch.ones(3, 8, 8))
        fool(net, images, goal, attack)
        asked.append(torch.cat(net.seen))
    assert asked[0].shape != asked[1].shape or not torch.allclose(asked[0], asked[1])


@pytest.mark.parametrize(
    "options", [{"queries": 0}, {"p": 0.0}, {"p": 1.5}, {"shrink": 0}, {"eps": -1.0}, {"norm": "l3"}], ids=str
)
def test_senseless_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BrittleError, match="expected"):
        Square(**options)
