"""Craft: whole grey levels, the confidence, the least visible change in closed form, and each option at work."""

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from brittle.attacks import Craft, Outcome
from brittle.errors import BrittleError
from brittle.goals import Goal, Targeted, Untargeted
from brittle.models.network import Network
from brittle.rng import Rng
from brittle.visibility.colour import colour_metric, inverse_metric, lab, small_difference
from known.affine import Affine

pytestmark = pytest.mark.usefixtures("one_thread")


def photographs(count: int = 4, channels: int = 3, side: int = 16, seed: int = 1) -> Tensor:
    """In whole grey levels, away from black and white."""
    levels = torch.randint(60, 196, (count, channels, side, side), generator=torch.Generator().manual_seed(seed))
    return levels.float() / 255


def affine(images: Tensor, classes: int = 3, gap: float = 6.0, seed: int = 0) -> Affine:
    """The first image is class 0 by a gap; the others nearly so."""
    pixels = images[0].numel()
    weight = torch.randn(classes, pixels, generator=torch.Generator().manual_seed(seed))
    bias = -weight @ images[0].flatten()
    bias[0] += gap
    return Affine(weight, bias)


def craft(net: Affine, images: Tensor, goal: Goal, attack: Craft) -> Outcome:
    rng = Rng(0, tuple(str(row) for row in range(len(images))))
    return attack(Network(net, fast=False), images, goal, rng=rng)


def one_problem(channels: int = 3, classes: int = 2) -> tuple[Affine, Tensor]:
    images = photographs(1, channels, 32)
    return affine(images, classes, gap=40.0), images


def rms(images: Tensor, changed: Tensor) -> float:
    squares = small_difference(colour_metric(images.expand(-1, 3, -1, -1)), (changed - images).expand(-1, 3, -1, -1))
    return float(squares.mean().sqrt())


# ---- what comes back


@pytest.mark.parametrize("confidence", [0.6, 0.99, 0.9999])
@pytest.mark.parametrize("targeted", [True, False])
def test_the_confidence_is_reached_in_whole_grey_levels(confidence: float, targeted: bool) -> None:
    images = photographs()
    net = affine(images)
    labels = net(images).argmax(1)
    goal: Goal = Targeted((labels + 1) % 3) if targeted else Untargeted(labels)
    outcome = craft(net, images, goal, Craft(confidence=confidence))
    assert outcome.claimed.all()
    levels = outcome.images * 255
    assert torch.allclose(levels, levels.round(), atol=1e-4)
    likely = net(outcome.images).softmax(1)[torch.arange(4), goal.labels]
    assert ((likely if targeted else 1 - likely) >= confidence).all()
    assert torch.equal(outcome.forwards, outcome.steps + 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_on_a_plane_it_is_as_invisible_as_can_be(channels: int) -> None:
    """Least squares of CIEDE2000 with a given gain: gain / sqrt(g^T G^-1 g)."""
    net, images = one_problem(channels)
    wanted = math.log(0.99 / 0.01)
    outcome = craft(net, images, Targeted(torch.tensor([1])), Craft(confidence=0.99))
    assert outcome.claimed.all()
    with torch.no_grad():
        logits = net(images)[0]
        gain = float(wanted - (logits[1] - logits[0]))
        g = (net.weight[1] - net.weight[0]).view(images.shape)
    metric = colour_metric(images.expand(-1, 3, -1, -1))
    if channels == 3:
        steepest = (inverse_metric(metric) * g.unsqueeze(1)).sum(2)
    else:
        steepest = g / metric.sum((1, 2)).unsqueeze(1)
    least = gain / float((g * steepest).sum().sqrt()) / math.sqrt(images[0, 0].numel())
    assert 0.99 * least < rms(images, outcome.images) < 1.03 * least  # rounding to levels costs some of it


def test_what_is_fooled_already_is_left_alone_and_costs_one_look() -> None:
    images = photographs()
    net = affine(images)
    outcome = craft(net, images, Targeted(net(images).argmax(1)), Craft())
    assert torch.equal(outcome.images, images)
    assert outcome.claimed.all()
    assert outcome.steps.tolist() == [0] * 4
    assert outcome.forwards.tolist() == [1] * 4


def test_where_the_confidence_is_out_of_reach_the_highest_comes_back() -> None:
    images = photographs(2)
    net = affine(images, gap=4000.0)
    outcome = craft(net, images, Targeted(torch.tensor([1, 1])), Craft(steps=60))
    before, after = (net(one) for one in (images, outcome.images))
    assert not outcome.claimed.any()
    assert (after[:, 1] - after[:, 0] > before[:, 1] - before[:, 0] + 100).all()


def test_images_of_other_than_one_or_three_channels_are_measured_by_squares() -> None:
    images = photographs(2, channels=2)
    net = affine(images)
    outcome = craft(net, images, Targeted(torch.tensor([1, 1])), Craft())
    assert outcome.claimed.all()


# ---- options


def test_dark_pixels_stay_to_the_bit_also_where_they_are_between_levels() -> None:
    images = photographs(2)
    images[:, :, :8] = 0.0512345
    net = affine(images)
    outcome = craft(net, images, Targeted(torch.tensor([1, 1])), Craft(space="dark(0.3)"))
    assert outcome.claimed.all()
    assert torch.equal(outcome.images[:, :, :8], images[:, :, :8])
    assert not torch.equal(
        craft(net, images, Targeted(torch.tensor([1, 1])), Craft()).images[:, :, :8], images[:, :, :8]
    )


def test_chroma_leaves_the_lightness() -> None:
    net, images = one_problem()
    goal = Targeted(torch.tensor([1]))
    light = {}
    for space in ("pixels", "chroma"):
        outcome = craft(net, images, goal, Craft(space=space))
        assert outcome.claimed.all()
        light[space] = float((lab(outcome.images) - lab(images))[:, 0].square().mean().sqrt())
    assert light["chroma"] < 0.8 * light["pixels"]


@pytest.mark.parametrize(
    "change", [{"confidence": 0.9}, {"steps": 3}, {"stride": 0.05}, {"walk": 8}, {"space": "flat(0.1)"}], ids=str
)
def test_each_option_changes_what_comes_back(change: dict[str, Any]) -> None:
    images = photographs(2)
    images[:, :, 8:] = (images[:, :, 8:] * 25.5).round() / 255 + 100 / 255
    net, goal = affine(images, gap=20.0), Targeted(torch.tensor([1, 1]))
    usual = Craft(steps=2) if "stride" in change else Craft()  # on a plane later steps make up for short ones
    found = [craft(net, images, goal, attack) for attack in (usual, dataclasses.replace(usual, **change))]
    assert not torch.equal(found[0].images, found[1].images) or not torch.equal(found[0].steps, found[1].steps)


def test_an_unknown_space_is_refused_before_any_work() -> None:
    with pytest.raises(BrittleError, match="did you mean 'dark'"):
        Craft(space="drak")
