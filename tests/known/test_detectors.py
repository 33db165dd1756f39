"""Detectors where the truth is known: bars, densities, dimensions, distances; and their true and false positives."""

import math

import pytest
import torch
from kit import seeded
from torch import Tensor, nn
from torch.nn import functional

import brittle
from brittle.data import digits_split
from brittle.defend import (
    DEFENCES,
    BitDepth,
    FeatureSqueezing,
    KernelDensity,
    LocalIntrinsicDimension,
    Median,
    NonLocalMeans,
    defended,
)
from brittle.defend.feature_squeezing import Squeezed, apart
from brittle.defend.kernel_density import Density, likeliest_bandwidth
from brittle.defend.local_intrinsic_dimension import fooling, like, log_dimension
from brittle.defend.rejecting import Bar, rejecting
from laws.worlds import trained_world


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("count", "fpr"), [(99, 0.01), (100, 0.05), (500, 0.05), (19, 0.05)])
def test_a_bar_lets_no_more_than_its_share_pass(count: int, fpr: float) -> None:
    """Of one score more, exchangeable with the others, the chance to lie beyond is at most fpr, and nearly that."""
    scores = drawn(count)
    bar = Bar.of(scores, fpr, "it")
    above = int((bar.beyond(scores) > 0).sum())
    assert fpr - 1 / (count + 1) < (above + 1) / (count + 1) <= fpr + 1e-9
    assert float(bar.beyond(scores).sort().values[-above - 1]) == 0


def test_too_few_images_for_a_bar_are_refused() -> None:
    with pytest.raises(brittle.BrittleError, match=r"expected at least 99 clean images.*fpr=0.01, got 98"):
        Bar.of(drawn(98), 0.01, "it")


def test_the_joint_logits_reject_where_the_score_is_beyond_and_only_there() -> None:
    logits, beyond = drawn(6, 4), torch.tensor([-1.0, 2.0, 1e-6, -1e-6, 30.0, -30.0])
    joint = rejecting(logits, beyond)
    assert torch.equal(joint.argmax(1) == 4, beyond > 0)
    assert torch.equal(joint[:, :4].argmax(1), logits.argmax(1))


def test_squeezed_answers_are_ordered_by_the_l1_distance_of_probabilities() -> None:
    each = 3 * drawn(3, 200, 10)
    first, *others = each.softmax(2)
    distance = torch.stack([(one - first).abs().sum(1) for one in others]).amax(0) / 2
    torch.testing.assert_close(apart(each), torch.log(distance / (1 - distance)), rtol=1e-6, atol=1e-6)


def test_a_score_keeps_its_slope_where_probabilities_are_1_in_float32() -> None:
    each = torch.tensor([[[200.0, 0.0]], [[0.0, 200.0]]], requires_grad=True)
    one, other = each.detach().softmax(2)
    assert float((one - other).abs().sum()) == 2
    (gradient,) = torch.autograd.grad(apart(each).sum(), each)
    assert bool((gradient.abs() > 0.1).all())


def test_feature_squeezing_rejects_by_the_distance_that_the_paper_has() -> None:
    world, (train, _) = trained_world(), digits_split()
    squeezing = FeatureSqueezing(squeezers=(BitDepth(bits=1), Median(size=2)), fpr=0.1, images=200)
    made = defended(world.classifier(), squeezing, clean=train)
    assert isinstance(made, Squeezed)

    def distance(images: Tensor) -> Tensor:
        plain, *others = (
            world.logits(one).softmax(1) for one in (images, *(step.step(images) for step in squeezing.squeezers))
        )
        return torch.stack([(one - plain).abs().sum(1) for one in others]).amax(0)

    clean = distance(train.images(0, 200))
    threshold = clean.sort().values[math.ceil(201 * 0.9) - 1]
    assert made.reject is not None
    rejected = made.logits(world.images, plain=True).argmax(1) == made.reject
    assert torch.equal(rejected, distance(world.images) > threshold)
    assert 0 < int(rejected.sum()) < 15


def test_a_density_is_the_gaussian_kernels_of_the_answered_class() -> None:
    references, classes, points = drawn(30, 3), torch.arange(30) % 3, drawn(4, 3, seed=1)
    density = Density(references, classes)
    logits = functional.one_hot(torch.tensor([0, 1, 2, 3]), 4).double()
    h = density.bandwidth
    found = density([points], logits)
    for row in range(3):
        mine = references[classes == row]
        kernel = torch.exp(-(mine - points[row]).square().sum(1) / (2 * h**2))
        assert float(found[row]) == pytest.approx(-math.log(float(kernel.mean())), rel=1e-6)
    assert float(found[3]) == 1e6  # no reference is of that class


def test_the_bandwidth_follows_the_references_in_any_unit() -> None:
    references, classes = drawn(200, 2), torch.arange(200) % 2
    one, other = (likeliest_bandwidth(scale * references, classes) for scale in (1.0, 50.0))
    assert other == pytest.approx(50 * one, rel=1e-6)
    assert 0.15 < one < 0.6  # Silverman's rule says 100 ** (-1 / 6) = 0.46


@pytest.mark.parametrize("dimension", [1, 2, 4])
def test_the_local_intrinsic_dimension_is_that_of_the_plane_that_points_lie_in(dimension: int) -> None:
    generator = torch.Generator().manual_seed(dimension)
    turn = torch.linalg.qr(torch.randn(10, 10, generator=generator)).Q[:dimension]
    references = torch.rand(4000, dimension, generator=generator) @ turn
    middle = (0.25 + 0.5 * torch.rand(60, dimension, generator=generator)) @ turn
    found = log_dimension(middle, references, 40).exp()
    assert float(found.median()) == pytest.approx(dimension, rel=0.15)


def test_what_the_dimensions_are_learnt_from_fools_and_noise_is_as_large() -> None:
    world, (train, _) = trained_world(), digits_split()
    network, images = world.classifier(), train.images(0, 20)
    before = network.logits(images, plain=True).argmax(1)
    attacked = fooling(network, images)
    assert bool((network.logits(attacked, plain=True).argmax(1) != before).all())
    noisy = like(images, attacked)
    sizes = [(one - images).flatten(1).norm(dim=1) for one in (noisy, attacked)]
    assert bool((sizes[0] <= sizes[1] + 1e-4).all())
    assert bool((sizes[0] >= 0.5 * sizes[1]).all())  # some of it is cut off at the box
    assert torch.equal(like(images.flip(0), attacked.flip(0)).flip(0), noisy)


def test_non_local_means_leave_what_repeats_and_average_noise_away() -> None:
    stripes = (torch.arange(16) % 2).float().expand(1, 1, 16, 16) * 0.6 + 0.2
    assert torch.allclose(NonLocalMeans(search=5).step(stripes), stripes, atol=1e-5)
    noisy = stripes + 0.02 * torch.randn(stripes.shape, generator=torch.Generator().manual_seed(0))
    left = (NonLocalMeans(search=7, strength=0.05).step(noisy) - stripes).square().mean() / (
        noisy - stripes
    ).square().mean()
    assert float(left) < 0.3
    with pytest.raises(brittle.BrittleError, match="expected search as an odd number, got 4"):
        NonLocalMeans(search=4)


@pytest.mark.parametrize("name", ["feature-squeezing", "kernel-density", "local-intrinsic-dimension"])
def test_a_detector_is_known_by_what_it_was_fitted_on(name: str) -> None:
    train, test = digits_split()
    detector = DEFENCES.one(f"{name}(images=200)")
    made = [defended(trained_world().classifier(), detector, clean=one) for one in (train, train, test)]
    assert made[0].fingerprint == made[1].fingerprint != made[2].fingerprint
    with pytest.raises(brittle.BrittleError, match=f"expected clean images to fit {name} on: --defence-data"):
        defended(trained_world().classifier(), detector)
    with pytest.raises(brittle.BrittleError, match="expected a model without a reject class"):
        defended(brittle.Network(trained_world().net, reject=3), detector, clean=train)


@pytest.mark.parametrize("detector", [KernelDensity(images=200), LocalIntrinsicDimension(images=200)])
def test_a_detector_that_looks_inside_needs_a_network_of_layers(detector: KernelDensity) -> None:
    deaf = brittle.Network(seeded(nn.Sequential(nn.Flatten(), nn.Identity())), name="layerless")
    with pytest.raises(brittle.BrittleError, match="expected a network"):
        defended(deaf, detector, clean=digits_split()[0])
