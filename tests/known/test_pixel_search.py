"""Pixel search: beside brute force, where it asks first and next, several pixels, its queries, and each option."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from brittle.attacks import FewPixel, Outcome, PixelSearch
from brittle.attacks.black_box.corners import Corners
from brittle.data import load_data
from brittle.goals import Goal, Targeted, Untargeted
from brittle.models import load_model
from brittle.models.network import Network
from brittle.rng import Rng

CORNERS = torch.tensor([[red, green, blue] for blue in (0.0, 1.0) for green in (0.0, 1.0) for red in (0.0, 1.0)])


pytestmark = pytest.mark.usefixtures("one_thread")


class Recorded(nn.Module):
    """Keeps what it is asked about; logits are ``[margin, 0]`` of a function of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        padded = len(images) in (2, 4) and torch.equal(images[-1], images[-2])  # the classifier has put it there twice
        self.seen.append(images[:-1] if padded else images)
        margin = self.margin(images)
        return torch.stack([margin, torch.zeros_like(margin)], dim=1)

    def margin(self, images: Tensor) -> Tensor:
        raise NotImplementedError


class Bump(Recorded):
    """The redder and the nearer to one place, the smaller the margin; class 1 at that very place, fully red."""

    def __init__(self, y: int, x: int, side: int) -> None:
        super().__init__()
        rows, columns = torch.arange(side).view(-1, 1), torch.arange(side).view(1, -1)
        self.weight = 1 / (1 + ((rows - y).square() + (columns - x).square()).sqrt())

    def margin(self, images: Tensor) -> Tensor:
        red = images[:, 0] - images[:, 1] - images[:, 2] + 0.5  # 0 in grey, and 1.5 at the most
        margin: Tensor = 1.4 - (red * self.weight).sum((1, 2))
        return margin


class Lights(Recorded):
    """Class 1 once the red of all these pixels is full; each one that is brings it nearer."""

    def __init__(self, places: list[int], need: float) -> None:
        super().__init__()
        self.places, self.need = places, need - 0.3

    def margin(self, images: Tensor) -> Tensor:
        return self.need - images.flatten(2)[:, 0, self.places].sum(1)


class Trap(Recorded):
    """Red at 0 helps more than at 5 or 15, but only those two together fool."""

    def margin(self, images: Tensor) -> Tensor:
        a, b, c = images.flatten(2)[:, 0, [0, 5, 15]].unbind(1)
        return 2.5 - a - 0.9 * (b + c) - b * c


class Wild(nn.Module):
    """Three classes, and nothing smooth about them."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first = torch.randn(24, inputs, generator=generator)
        self.second = torch.randn(3, 24, generator=generator)
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images)
        logits: Tensor = (0.3 * images.flatten(1) @ self.first.T).sin() @ self.second.T
        return logits


def images_of(count: int, side: int) -> Tensor:
    """No red anywhere, some of the rest."""
    images = 0.3 + 0.4 * torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(4))
    images[:, 0] = 0
    return images


def fool(net: nn.Module, images: Tensor, goal: Goal, attack: PixelSearch) -> Outcome:
    rng = Rng(0, tuple(str(row) for row in range(len(images))))
    return attack(Network(net, fast=False), images, goal, rng=rng)


def leave(count: int) -> Untargeted:
    return Untargeted(torch.zeros(count, dtype=torch.int64))


def asked_pixel(asked: Tensor, image: Tensor) -> tuple[int, ...]:
    """``(y, x, red, green, blue)`` of the one pixel in which a question differs from the image."""
    ((y, x),) = (asked != image).any(0).nonzero().tolist()
    return (y, x, *(int(value) for value in asked[:, y, x]))


# ---- one pixel


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("survey", [1, 5, 16])
def test_given_enough_queries_it_finds_what_brute_force_finds(targeted: bool, survey: int) -> None:
    count, side = 40, 4
    images = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))
    images[:, :, 0, :2] = images[:, :, 0, :2].round()  # two pixels have the colour of a corner already
    net = Wild(3 * side * side)
    candidates = images.unsqueeze(1).repeat(1, side * side * 8, 1, 1, 1)
    for one in range(side * side * 8):
        candidates[:, one, :, one // 8 // side, one // 8 % side] = CORNERS[one % 8]
    labels = net(images).argmax(1)
    goal: Goal = Targeted((labels + 1) % 3) if targeted else Untargeted(labels)
    answers = net(candidates.flatten(0, 1)).argmax(1).view(count, -1)
    wanted = goal.labels.unsqueeze(1)
    fools = ((answers == wanted) if targeted else (answers != wanted)).any(1)
    assert 3 < int(fools.sum()) < count - 2

    net.seen.clear()
    outcome = fool(net, images, goal, PixelSearch(queries=200, survey=survey))
    assert torch.equal(outcome.claimed, fools)
    assert torch.equal(goal.is_met(net(outcome.images)), fools)
    assert ((outcome.images != images).any(1).flatten(1).sum(1) == 1)[fools].all()
    assert (outcome.forwards[~fools] == 1 + 8 * side * side - 2).all(), "each candidate that changes the image, once"
    assert (outcome.forwards[fools] < 1 + 8 * side * side - 1).all()


def test_where_none_fools_the_best_candidate_comes_back() -> None:
    net, images = Lights([3, 5], need=2), images_of(1, 4)
    outcome = fool(net, images, leave(1), PixelSearch(queries=200))
    assert not outcome.claimed.any()
    asked = torch.cat(net.seen)
    assert len(set(map(tuple, asked.flatten(1).tolist()))) == len(asked)
    with torch.no_grad():
        assert float(net.margin(outcome.images)) == pytest.approx(float(net.margin(asked).amin()))


def test_a_bump_is_climbed_without_asking_about_everything() -> None:
    images = torch.full((3, 3, 32, 32), 0.5)
    for y, x in ((0, 31), (17, 9), (30, 3)):
        net = Bump(y, x, 32)
        outcome = fool(net, images, leave(3), PixelSearch())
        assert outcome.claimed.all()
        at = (outcome.images != images).any(1).nonzero()[:, 1:]
        assert at.tolist() == [[y, x]] * 3
        assert (outcome.images[:, :, y, x] == torch.tensor([1.0, 0.0, 0.0])).all()
        assert (outcome.forwards < 200).all(), "of 8192"


def test_the_survey_is_an_even_grid_with_the_farthest_corners_from_the_centre_outwards() -> None:
    net, images = Lights([0], 9), images_of(1, 6)
    fool(net, images, leave(1), PixelSearch(queries=10, survey=9))
    assert len(net.seen) == 2
    asked = [asked_pixel(one, images[0]) for one in net.seen[1]]
    assert asked[0][:2] == (3, 3)
    assert sorted(one[:2] for one in asked) == [(y, x) for y in (1, 3, 5) for x in (1, 3, 5)]
    for y, x, *colour in asked:
        assert colour == (images[0, :, y, x] < 0.5).int().tolist()


def test_next_it_asks_about_the_neighbours_of_the_best_candidates_and_their_other_colours() -> None:
    net, images = Bump(4, 2, 9), images_of(1, 9)
    images[:] = 0.5
    fool(net, images, leave(1), PixelSearch(queries=24, survey=9))
    asked = [asked_pixel(one, images[0]) for one in net.seen[1]]
    with torch.no_grad():
        order = net.margin(net.seen[1]).argsort(stable=True)[:2].tolist()
    expected = set()
    for y, x, r, g, b in (asked[one] for one in order):
        expected |= {(y + 1, x, r, g, b), (y - 1, x, r, g, b), (y, x + 1, r, g, b), (y, x - 1, r, g, b)}
        expected |= {(y, x, 1 - r, g, b), (y, x, r, 1 - g, b), (y, x, r, g, 1 - b)}
    assert {asked_pixel(one, images[0]) for one in net.seen[2]} == expected


def test_where_the_grid_is_coarse_it_looks_far_first() -> None:
    net, images = Lights([0], 9), images_of(1, 9)
    fool(net, images, leave(1), PixelSearch(queries=9, survey=1))
    asked = [asked_pixel(one, images[0])[:2] for one in torch.cat(net.seen[1:])]
    assert asked[:5] == [(4, 4), (0, 4), (8, 4), (4, 0), (4, 8)]
    assert asked[5:] == [(4, 4)] * 3
    reached = fool(Bump(2, 61, 64), torch.full((1, 3, 64, 64), 0.5), leave(1), PixelSearch(survey=4, queries=240))
    assert reached.claimed.all(), "a step at a time from the nearest of four positions to (2, 61) is 267 questions"


@pytest.mark.parametrize(("channels", "count"), [(1, 2), (2, 4), (3, 8), (6, 64), (13, 64)])
def test_corners_set_channels_to_either_end_in_groups_where_there_are_many(channels: int, count: int) -> None:
    corners = Corners.of(torch.zeros(1, channels, 2, 2)).colours
    assert corners.shape == (count, channels)
    assert len(set(map(tuple, corners.tolist()))) == count
    assert set(corners.flatten().tolist()) == {0.0, 1.0}
    assert len(set(map(tuple, corners.T.tolist()))) == min(channels, 6)


# ---- several pixels


@pytest.mark.parametrize("pixels", [1, 3, 5, 10])
@pytest.mark.parametrize("targeted", [False, True])
def test_as_many_pixels_as_it_takes_are_found(pixels: int, targeted: bool) -> None:
    places, images = [15, 3, 5, 6, 8, 9, 11, 12, 14, 0][:pixels], images_of(2, 4)
    goal: Goal = Targeted(torch.tensor([1, 1])) if targeted else leave(2)
    net = Lights(places, need=pixels)
    outcome = fool(net, images, goal, PixelSearch(eps=pixels, queries=30_000))
    assert outcome.claimed.all()
    changed = (outcome.images != images).any(1).flatten(1)
    assert changed[:, places].all()
    assert changed.sum(1).tolist() == [pixels, pixels]


def test_no_question_changes_more_pixels_than_allowed_and_all_of_them_to_corners() -> None:
    net, images = Lights([1, 2, 3, 4, 5], need=6), images_of(1, 8)
    fool(net, images, leave(1), PixelSearch(eps=3, queries=600))
    asked = torch.cat(net.seen[1:])
    changed = (asked != images).any(1)
    assert set(changed.flatten(1).sum(1).tolist()) == {1, 2, 3}
    colours = asked.permute(0, 2, 3, 1)[changed]
    assert ((colours == 0) | (colours == 1)).all()


def test_a_pixel_that_was_settled_first_is_given_up_for_a_better_pair() -> None:
    images = images_of(2, 4)
    outcome = fool(Trap(), images, leave(2), PixelSearch(eps=2, queries=2000))
    assert outcome.claimed.all()
    changed = (outcome.images != images).any(1).flatten(1)
    assert changed.nonzero()[:, 1].tolist() == [5, 15] * 2


def test_margins_only_shrink_with_more_queries() -> None:
    images = images_of(2, 4)
    margins = []
    for queries in (1, 30, 100, 300, 900, 2000):
        net = Trap()
        outcome = fool(net, images, leave(2), PixelSearch(eps=2, queries=queries))
        with torch.no_grad():
            margins.append(float(net.margin(outcome.images)[0]))
    assert margins == sorted(margins, reverse=True)
    assert margins[0] > 2
    assert margins[-1] < 0


# ---- queries


@pytest.mark.parametrize("queries", [1, 2, 20, 21, 22, 100])
@pytest.mark.parametrize("pixels", [1, 3])
def test_queries_are_used_up_and_not_exceeded(queries: int, pixels: int) -> None:
    net = Lights([0], 9)
    outcome = fool(net, images_of(1, 8), leave(1), PixelSearch(eps=pixels, queries=queries))
    assert outcome.forwards.tolist() == [queries] == [sum(map(len, net.seen))]
    assert outcome.backwards.tolist() == [0]


@pytest.mark.parametrize("rounds", [1, 4])
def test_it_stops_where_nothing_is_left_to_try(rounds: int) -> None:
    outcome = fool(Lights([1, 2], 9), images_of(2, 4), leave(2), PixelSearch(eps=2, queries=10**6, rounds=rounds))
    assert not outcome.claimed.any()
    assert (outcome.forwards < 3000).all()


def test_only_differences_of_logits_are_used_and_no_gradients() -> None:
    class Shifted(Bump):
        def forward(self, images: Tensor) -> Tensor:
            shifted: Tensor = super().forward(images) + 4 * images.flatten(1).sum(1, keepdim=True).cos()
            return shifted

    images, found = images_of(2, 8), []
    for net in (Bump(2, 5, 8), Shifted(2, 5, 8)):
        classifier = Network(net, fast=False)
        classifier.access = "score"
        found.append(PixelSearch(queries=60, survey=4)(classifier, images, leave(2), rng=Rng(0, ("0", "1"))))
        assert classifier.backwards == 0
    assert torch.equal(found[0].images, found[1].images)
    assert torch.equal(found[0].forwards, found[1].forwards)
    assert torch.equal(found[0].claimed, found[1].claimed)
    assert (found[0].images != images).any()


def test_it_fools_a_real_network_as_often_as_evolution_with_a_quarter_of_the_queries(real_data: Path) -> None:
    classifier = load_model("resnet20", weights=real_data / "weights" / "cifar10_resnet20.safetensors")
    examples = load_data(str(real_data / "cifar10-jpeg" / "test.parquet"), fit=None)
    assert examples.labels is not None
    images, labels = examples.read(range(0, 10_000, 1250)), examples.labels[::1250]
    right = (classifier.logits(images).argmax(1) == labels).nonzero().squeeze(1)
    images, labels = images[right], labels[right]
    goal, rng = Untargeted(labels), Rng(0, tuple(map(str, range(len(right)))))
    search, evolution = (
        attack(classifier, images, goal, rng=rng)
        for attack in (PixelSearch(queries=90), FewPixel(population=40, generations=10))
    )
    fooled = [int(goal.is_met(classifier.logits(one.images, plain=True)).sum()) for one in (search, evolution)]
    assert fooled[0] >= fooled[1] > 0
    assert 4 * int(search.forwards.sum()) <= int(evolution.forwards.sum())


# ---- options


@pytest.mark.parametrize("change", [{"eps": 3}, {"queries": 50}, {"survey": 10}, {"rounds": 1}], ids=str)
def test_each_option_changes_what_is_asked(change: dict[str, Any]) -> None:
    images = images_of(2, 8)
    usual = PixelSearch(eps=2, queries=200)
    asked = []
    for attack in (usual, dataclasses.replace(usual, **change)):
        net = Lights([0, 9, 27], 9)
        fool(net, images, leave(2), attack)
        asked.append(torch.cat(net.seen))
    assert asked[0].shape != asked[1].shape or not torch.equal(asked[0], asked[1])
