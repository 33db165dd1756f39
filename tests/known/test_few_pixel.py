"""Few pixels: known pixels and colours are found, what a child is, the curve, when to stop, and each option at work."""

import dataclasses
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import brittle.attacks.black_box.few_pixel as module
from brittle.attacks import FewPixel, Outcome
from brittle.attacks.black_box.few_pixel import Evolution
from brittle.data import load_data
from brittle.goals import Goal, Targeted, Untargeted
from brittle.models import load_model
from brittle.models.network import Network
from brittle.rng import Rng

SIDE = 8
QUARTER = [row * SIDE + column for row in range(4) for column in range(4)]
SMALL = FewPixel(population=40, generations=30)


pytestmark = pytest.mark.usefixtures("one_thread")


class Lights(nn.Module):
    """Class 1 once ``need`` of the given pixels are fully red, class 2 once ``need`` are fully green; else class 0.

    A third less red in one of them, which is the next smaller of four levels, is not enough.
    """

    def __init__(self, places: list[int], need: float, *, steepness: float = 4.0) -> None:
        super().__init__()
        self.places, self.need, self.steepness = places, need, steepness
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        padded = len(images) in (2, 4) and torch.equal(images[-1], images[-2])  # the classifier has put it there twice
        self.seen.append(images[:-1] if padded else images)
        red, green, _ = images.flatten(2)[:, :, self.places].sum(2).unbind(1)
        lit = torch.stack([torch.full_like(red, self.need - 0.3), red, green], dim=1)
        return self.steepness * lit

    def probabilities(self) -> Tensor:
        """Of every image seen, ``[seen, 3]``, without the look at the originals."""
        with torch.no_grad():
            logits: Tensor = Lights(self.places, self.need, steepness=self.steepness)(torch.cat(self.seen[1:]))
        return logits.softmax(1)


class Shifted(nn.Module):
    """The same probabilities from other logits, all of an image's moved by as much."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        shifted: Tensor = self.net(images) + 8 * images.flatten(1).sum(1, keepdim=True).cos()
        return shifted


def dark_images(count: int = 3) -> Tensor:
    """No red and no green anywhere, some blue."""
    images = torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(4))
    images[:, :2] = 0
    return images


def evolve(net: nn.Module, images: Tensor, goal: Goal, attack: FewPixel, *, seed: int = 0) -> Evolution:
    rng = Rng(seed, tuple(str(row) for row in range(len(images))))
    return attack.evolve(Network(net, fast=False), images, goal, rng=rng)


def fool(net: nn.Module, images: Tensor, goal: Goal, attack: FewPixel) -> Outcome:
    return evolve(net, images, goal, attack).outcome


def leave(count: int) -> Untargeted:
    return Untargeted(torch.zeros(count, dtype=torch.int64))


def reach(label: int, count: int) -> Targeted:
    return Targeted(torch.full((count,), label))


# ---- what is found


@pytest.mark.parametrize("channel", [0, 1])
def test_one_known_pixel_is_found_with_the_colour_that_fools(channel: int) -> None:
    images = dark_images()
    outcome = fool(Lights([19], 1), images, reach(channel + 1, 3), FewPixel(population=100, generations=40))
    assert outcome.claimed.all()
    changed = (outcome.images != images).any(1).flatten(1)
    assert changed.sum(1).tolist() == [1, 1, 1]
    assert changed[:, 19].all()
    colours = outcome.images.flatten(2)[:, :, 19]
    assert (colours[:, channel] == 1).all()
    assert (colours[:, 1 - channel] < 1).all()


@pytest.mark.parametrize(("pixels", "need"), [(1, 1), (3, 3), (5, 5), (10, 6)])
@pytest.mark.parametrize("targeted", [False, True])
def test_as_many_pixels_as_it_takes_are_found_in_the_region_that_matters(
    pixels: int, need: int, targeted: bool
) -> None:
    images = dark_images(2)
    goal = reach(2, 2) if targeted else leave(2)
    outcome = fool(Lights(QUARTER, need), images, goal, FewPixel(eps=pixels, population=100, generations=60, levels=2))
    assert outcome.claimed.all()
    changed = (outcome.images != images).any(1).flatten(1)
    assert (changed.sum(1) <= pixels).all()
    assert (changed[:, QUARTER].sum(1) >= need).all()
    lit = outcome.images.flatten(2)[:, :2, QUARTER].sum(2)
    assert (lit[:, 1] >= need if targeted else lit.amax(1) >= need).all()


def test_with_a_pixel_too_few_nothing_is_claimed_and_the_best_attempt_comes_back() -> None:
    net, images = Lights(QUARTER, 4), dark_images(1)
    outcome = fool(net, images, leave(1), dataclasses.replace(SMALL, eps=3))
    assert outcome.claimed.tolist() == [False]
    own = net.probabilities()[:, 0]
    with torch.no_grad():
        assert float(net(outcome.images).softmax(1)[0, 0]) == pytest.approx(float(own.amin()))
    assert float(own.amin()) < float(own.median())


def test_success_rises_with_the_number_of_pixels_on_a_real_network(real_data: Path) -> None:
    classifier = load_model("resnet20", weights=real_data / "weights" / "cifar10_resnet20.safetensors")
    examples = load_data(str(real_data / "cifar10-jpeg" / "test.parquet"), fit=None)
    assert examples.labels is not None
    images, labels = examples.read(range(0, 10_000, 625)), examples.labels[::625]
    right = (classifier.logits(images).argmax(1) == labels).nonzero().squeeze(1)
    images, labels = images[right], labels[right]
    rng = Rng(0, tuple(map(str, range(len(right)))))
    away, towards = Untargeted(labels), Targeted((labels + 1) % 10)
    fooled = []
    for pixels, goal in ((1, away), (1, towards), (5, away)):
        attack = FewPixel(eps=pixels, population=20, generations=5)
        outcome = attack(classifier, images, goal, rng=rng)
        met = goal.is_met(classifier.logits(outcome.images, plain=True))
        assert met[outcome.claimed].all()
        fooled.append(int(met.sum()))
    assert fooled[0] < fooled[2], "success rises with the number of pixels"
    assert fooled[1] < fooled[0], "a certain label is harder to reach than any"


# ---- candidates


def test_the_first_population_is_the_papers() -> None:
    net, images = Lights([0], 5), dark_images(1)
    fool(net, images, leave(1), FewPixel(population=4000, generations=0, levels=256))
    asked = torch.cat(net.seen[1:])
    changed = (asked != images).any(1).flatten(1)
    assert (changed.sum(1) <= 1).all()
    per_place = changed.sum(0)
    assert 25 < int(per_place.min()) <= int(per_place.max()) < 110  # 62.5 on average
    green = asked.flatten(2)[:, 1][changed]
    clipped = 0.1568  # of a normal distribution with mean 128 and deviation 127 below 0; as much above 255
    for end in (0.0, 1.0):
        assert float((green == end).float().mean()) == pytest.approx(clipped, abs=0.02)
    inside = green[(green > 0) & (green < 1)]
    assert float(inside.mean()) == pytest.approx(128 / 255, abs=0.01)
    assert float(inside.std()) == pytest.approx(0.270, abs=0.01)  # what clipping leaves of 127 / 255
    assert torch.allclose((255 * green).round() / 255, green, atol=1e-6)


def test_a_child_is_a_member_and_half_the_difference_of_two_more_all_others_than_the_parent() -> None:
    attack = FewPixel(population=5)
    count, rows = attack.population, 400
    rng = Rng(0, tuple(map(str, range(rows))))
    swarm = module._Swarm.of(attack, torch.arange(rows), torch.zeros(rows, 3, SIDE, SIDE), rng)
    swarm.genes = (0.4 + 0.1 * swarm.genes)[:1].expand(rows, -1, -1, -1)  # children stay inside
    draws = torch.rand(rows, count, 3, generator=torch.Generator().manual_seed(0))
    children = swarm._children(draws, slice(0, count))
    genes = swarm.genes[0]
    for own in range(count):
        triples = list(permutations([one for one in range(count) if one != own], 3))
        expected = torch.stack([genes[a] + 0.5 * (genes[b] - genes[c]) for a, b, c in triples])
        near = (children[:, own].unsqueeze(1) - expected).abs().amax((2, 3)) < 1e-6
        assert (near.sum(1) == 1).all()
        assert (near.sum(0) > 3).all(), "each of the 24 triples comes, 17 times on average"


def test_positions_are_reflected_at_the_border_and_colours_clipped() -> None:
    attack = FewPixel(population=4)
    swarm = module._Swarm.of(attack, torch.arange(1), torch.zeros(1, 3, SIDE, SIDE), Rng(0, ("0",)))
    swarm.genes = torch.tensor([0.5, 0.9, 0.9, 0.1]).view(1, 4, 1, 1).expand(-1, -1, -1, 5)
    draws = torch.zeros(1, 4, 3)  # each member's parents are those that follow it
    children = swarm._children(draws, slice(0, 4))
    assert torch.allclose(children[0, 0], torch.tensor([0.7, 0.7, 1.0, 1.0, 1.0])), "0.9 + (0.9 - 0.1) / 2 = 1.3"
    assert torch.allclose(children[0, 2], torch.tensor([0.1, 0.1, 0.0, 0.0, 0.0]), atol=1e-6), "0.1 + (0.5 - 0.9) / 2"


def test_of_a_single_place_that_matters_the_best_colour_comes_back() -> None:
    net, images = Lights([19], 9), dark_images(1)
    evolution = evolve(net, images, leave(1), FewPixel(population=100, generations=40))
    assert float(evolution.curve[-1, 0]) == pytest.approx(float(net.probabilities()[:, 0].amin()))
    with torch.no_grad():
        best = Lights([19], 9)(evolution.outcome.images)
    assert best[0, 1:].tolist() == [4.0, 4.0], "both red and green make class 0 least probable"


@pytest.mark.parametrize("levels", [2, 4, 256])
def test_colours_have_as_many_levels_as_asked_for(levels: int) -> None:
    net, images = Lights([0], 5), dark_images(1)
    fool(net, images, leave(1), FewPixel(population=200, generations=2, levels=levels))
    asked = torch.cat(net.seen[1:])
    values = torch.tensor(sorted(set(asked[:, 1][(asked != images).any(1)].tolist())))
    assert torch.allclose((values * (levels - 1)).round() / (levels - 1), values)
    assert len(values) == levels or (levels == 256 and len(values) > 100)


# ---- passes


@pytest.mark.parametrize("levels", [2, 256])
def test_every_pass_is_counted_and_hardly_a_candidate_comes_twice(levels: int) -> None:
    net, images = Lights([19], 9), dark_images(1)
    outcome = fool(net, images, leave(1), dataclasses.replace(SMALL, levels=levels))
    passes = sum(map(len, net.seen))
    assert outcome.forwards.tolist() == [passes]
    assert outcome.backwards.tolist() == [0]
    assert outcome.steps.tolist() == [31]
    assert passes <= 1 + 40 * 31
    distinct = len(set(map(tuple, torch.cat(net.seen).flatten(1).tolist())))
    assert distinct >= (0.99 if levels == 256 else 0.75) * passes
    assert levels == 256 or passes < 1 + 64 * 8, "there are no more candidates"


def test_a_known_candidate_has_the_loss_that_it_had() -> None:
    generator = torch.Generator().manual_seed(0)
    memory = module._Memory.of(3, 200, torch.device("cpu"))
    truth = torch.randn(3, 50, generator=generator)
    asked = 0
    for _ in range(10):
        candidates = torch.randint(50, (3, 20), generator=generator)
        source, fresh = memory.recall(torch.stack([candidates, candidates**2], dim=2))
        losses = memory.learn(source, fresh, truth.gather(1, candidates)[fresh])
        assert torch.equal(losses, truth.gather(1, candidates))
        asked += int(fresh.sum())
    assert 3 * 40 < asked < 3 * 90, "of 200 a row, among which are 50 different ones"


def test_each_image_leaves_at_its_first_success() -> None:
    images = dark_images(2)
    images[0, 0, 4:] = 1  # class 1 does not look there
    images[0, 0].view(-1)[QUARTER[:2]] = 1  # two of three are red already
    net = Lights(QUARTER, 3)
    outcome = fool(net, images, leave(2), dataclasses.replace(SMALL, eps=3))
    assert outcome.claimed.all()
    assert outcome.steps[0] < outcome.steps[1]
    assert outcome.forwards[0] < outcome.forwards[1]
    assert int(outcome.forwards.sum()) == sum(map(len, net.seen))


def test_only_probabilities_are_used() -> None:
    images, attack = dark_images(2), dataclasses.replace(SMALL, eps=2)
    found = []
    for net in (Lights(QUARTER, 2), Shifted(Lights(QUARTER, 2))):
        classifier = Network(net, fast=False)
        classifier.access = "score"
        outcome = attack(classifier, images, leave(2), rng=Rng(0, ("0", "1")))
        assert outcome.claimed.all()
        assert classifier.backwards == 0
        found.append(outcome)
    assert torch.equal(found[0].images, found[1].images)
    assert torch.equal(found[0].forwards, found[1].forwards)


# ---- the curve, and when to stop


@pytest.mark.parametrize("targeted", [False, True])
def test_the_curve_is_the_best_probability_so_far(targeted: bool) -> None:
    net, images = Lights(QUARTER, 9, steepness=0.5), dark_images(1)
    goal = reach(2, 1) if targeted else leave(1)
    outcome, curve = evolve(net, images, goal, dataclasses.replace(SMALL, eps=3, levels=4))
    assert curve.shape == (31, 1)
    steps = curve[1:, 0] - curve[:-1, 0]
    assert (steps >= 0 if targeted else steps <= 0).all()
    assert (steps != 0).sum() >= 3
    seen = net.probabilities()[:, goal.labels[0]]
    assert float(curve[-1]) == pytest.approx(float(seen.amax() if targeted else seen.amin()), rel=1e-4)
    first = seen[: 40 if targeted else 35]
    assert float(curve[0]) == pytest.approx(float(first.amax() if targeted else first.amin()), rel=1e-4)
    with torch.no_grad():
        back = net(outcome.images).softmax(1)[0, goal.labels[0]]
    assert float(back) == pytest.approx(float(curve[-1]), rel=1e-4)


def test_the_curve_stays_where_an_image_has_left_and_starts_at_success_where_it_was_fooled_before() -> None:
    images = dark_images(3)
    images[1, 0].view(-1)[QUARTER] = 1
    outcome, curve = evolve(Lights(QUARTER, 2), images, leave(3), dataclasses.replace(SMALL, eps=2))
    assert outcome.claimed.all()
    assert outcome.forwards[1] == 1
    assert outcome.steps[1] == 0
    assert (curve[:, 1] == curve[0, 1]).all()
    assert (curve[int(outcome.steps.max()) :] == curve[-1]).all()
    with torch.no_grad():
        own = Lights(QUARTER, 2)(outcome.images).softmax(1)[:, 0]
    assert torch.allclose(curve[-1], own, rtol=1e-4)


@pytest.mark.parametrize("targeted", [False, True])
def test_thresholds_let_it_go_on_beyond_the_first_success(targeted: bool) -> None:
    # Of three pixels two fool; the third takes the probability of class 0 from 0.19 to 0.004.
    images, goal = dark_images(2), reach(1, 2) if targeted else leave(2)
    usual = dataclasses.replace(SMALL, eps=3, generations=60)
    option, value = ("stop_above", 0.95) if targeted else ("stop_below", 0.05)
    change: dict[str, Any] = {option: value}
    replaced = dataclasses.replace(usual, **change)
    early, late = (evolve(Lights(QUARTER, 2), images, goal, attack) for attack in (usual, replaced))
    assert early.outcome.claimed.all()
    assert late.outcome.claimed.all()
    assert (late.outcome.forwards > early.outcome.forwards).all()
    beyond = [(run.curve[-1] >= value) if targeted else (run.curve[-1] <= value) for run in (early, late)]
    assert not beyond[0].any()
    assert beyond[1].all()
    other = evolve(Lights(QUARTER, 2), images, leave(2) if targeted else reach(1, 2), usual)
    unmoved = evolve(
        Lights(QUARTER, 2),
        images,
        leave(2) if targeted else reach(1, 2),
        replaced,
    )
    assert torch.equal(other.outcome.forwards, unmoved.outcome.forwards), "it belongs to the other kind of goal"


def test_a_threshold_out_of_reach_loses_no_success() -> None:
    outcome, curve = evolve(
        Lights(QUARTER, 2), dark_images(2), leave(2), dataclasses.replace(SMALL, eps=2, stop_below=1e-9)
    )
    assert outcome.claimed.all()
    assert outcome.steps.tolist() == [31, 31]
    assert (curve[-1] > 1e-9).all()


# ---- options


def test_the_sizes_as_they_come_are_the_papers() -> None:
    attack = FewPixel()
    assert (attack.eps, attack.population, attack.generations, attack.scale) == (1, 400, 100, 0.5)


@pytest.mark.parametrize(
    "change", [{"eps": 2}, {"population": 50}, {"generations": 31}, {"scale": 0.9}, {"levels": 3}], ids=str
)
def test_each_option_changes_what_is_asked(change: dict[str, Any]) -> None:
    images = dark_images(2)
    asked = []
    for attack in (SMALL, dataclasses.replace(SMALL, **change)):
        net = Lights(QUARTER, 20)
        fool(net, images, leave(2), attack)
        asked.append(torch.cat(net.seen))
    assert asked[0].shape != asked[1].shape or not torch.equal(asked[0], asked[1])
