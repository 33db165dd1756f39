"""Penalised optimisation on planes, where the least visible change is known, and what each option is for."""

import math
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from brittle.attacks import Outcome, Penalised
from brittle.catalog import options_of
from brittle.errors import BrittleError
from brittle.goals import Goal, Targeted, Untargeted
from brittle.models.network import Network
from brittle.rng import Rng
from brittle.visibility.colour import colour_metric, inverse_metric, lab
from brittle.visibility.penalties import penalty_of
from brittle.visibility.spaces import SPACES

OPTIMISERS = ["sgd", "adam", "lbfgs"]
COUNT, SIDE = 3, 16
GAP = math.log(0.99 / 0.01)  # log-odds from even chances to 99 %


pytestmark = pytest.mark.usefixtures("one_thread")


def photographs(dark: float = 0.3) -> Tensor:
    """Of whole grey levels; the left half is dark."""
    images = 0.3 + 0.4 * torch.rand(COUNT, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    images[..., : SIDE // 2] *= dark
    return (images * 255).round() / 255


class Plane(nn.Module):
    """Log-odds of class 1 against class 0 that are linear in the image, -4.6 at the images given, on average."""

    weight: Tensor
    offset: Tensor

    def __init__(self, images: Tensor, size: float = 2.0) -> None:
        super().__init__()
        weight = torch.randn(images[0].shape, generator=torch.Generator().manual_seed(2))
        self.register_buffer("weight", size * weight / weight.norm() * GAP)
        self.register_buffer("offset", GAP + (images * self.weight).sum((1, 2, 3)).mean())
        self.unused = nn.Parameter(torch.zeros(1))

    def log_odds(self, images: Tensor) -> Tensor:
        return (images * self.weight).sum((1, 2, 3)) - self.offset

    def forward(self, images: Tensor) -> Tensor:
        odds = self.log_odds(images)
        return torch.stack((torch.zeros_like(odds), odds), 1)


def run(images: Tensor, *, net: nn.Module | None = None, goal: Goal | None = None, **options: Any) -> Outcome:
    classifier = Network(net or Plane(images))
    rng = Rng(0, tuple(str(row) for row in range(len(images))))
    return Penalised(**options)(classifier, images, goal or to_class_1(images), rng=rng)


def to_class_1(images: Tensor) -> Goal:
    return Targeted(torch.ones(len(images), dtype=torch.int64))


def confidence(images: Tensor, net: nn.Module) -> Tensor:
    with torch.no_grad():
        result: Tensor = net(images).double().softmax(1)[:, 1]
    return result


# ---- the least visible change


@cache
def by_l2(optimiser: str) -> Outcome:
    """As it comes, once for all that hold something against it."""
    return run(photographs(), optimiser=optimiser)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_l2_ends_at_the_closed_form(optimiser: str) -> None:
    images = photographs()
    net = Plane(images)
    outcome = by_l2(optimiser)
    least = (GAP - net.log_odds(images)).double() / net.weight.double().norm()
    ratio = (outcome.images - images).double().flatten(1).norm(dim=1) / least
    assert outcome.claimed.all()
    assert (confidence(outcome.images, net) >= 0.99).all()
    assert ratio.min() >= 1
    assert ratio.max() < 1.05


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_colour_ends_near_the_closed_form(optimiser: str) -> None:
    """Of all d with <w, d> = gap, the least d^T G d is gap^2 / w^T G^-1 w."""
    images = photographs(dark=1.0)
    net = Plane(images, size=4)
    outcome = run(images, net=net, optimiser=optimiser, penalty="colour", steps=400)
    inverse = inverse_metric(colour_metric(images)).double()
    weight = net.weight.double()
    gained = torch.einsum("ihw,nijhw,jhw->n", weight, inverse, weight)
    least = (GAP - net.log_odds(images)).double().square() / gained / SIDE**2
    cost = penalty_of("colour", images)(outcome.images)
    assert outcome.claimed.all()
    assert (cost / least).max() < 1.35  # rounding alone costs some of that
    assert (cost / least).min() >= 0.999


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("penalty", ["colour", "ssim", "jnd"])
def test_each_penalty_is_smaller_where_it_is_the_one(penalty: str, optimiser: str) -> None:
    images = photographs()
    cost = penalty_of(penalty, images)
    with_it, with_l2 = run(images, optimiser=optimiser, penalty=penalty), by_l2(optimiser)
    assert with_it.claimed.all()
    assert (cost(with_it.images) < cost(with_l2.images)).all()


# ---- what comes back


@pytest.mark.parametrize("space", [*SPACES, "dark(0.3)+multiplicative", "dark(0.3)+band(0, 0.3)"])
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_every_space_reaches_the_confidence_in_whole_levels(space: str, optimiser: str) -> None:
    images = photographs()
    net = Plane(images, size=6)
    outcome = run(images, net=net, optimiser=optimiser, space=space)
    assert outcome.claimed.all()
    assert (confidence(outcome.images, net) >= 0.99).all()
    levels = outcome.images * 255
    assert torch.equal(outcome.images, levels.round() / 255)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_what_is_masked_stays_to_the_bit(optimiser: str) -> None:
    images = photographs()
    dark = (lab(images)[:, :1] < 30).expand_as(images)
    masked = {space: run(images, optimiser=optimiser, space=space) for space in ("dark(0.3)", "dark(0.3)+band(0, 0.3)")}
    for space, outcome in (masked | {"pixels": by_l2(optimiser)}).items():
        changed = outcome.images != images
        assert bool(changed[dark].any()) is (space == "pixels")
        assert changed[~dark].any()


def test_multiples_leave_black_alone_and_change_light_pixels_more() -> None:
    images = photographs()
    images[:, :, 0] = 0
    change, free = ((run(images, space=space).images - images).abs() for space in ("multiplicative", "pixels"))
    assert not change[:, :, 0].any()
    assert free[:, :, 0].any()
    light, light_free = (float(one[..., SIDE // 2 :].sum() / one.sum()) for one in (change, free))
    assert light > light_free + 0.05


def test_a_band_has_few_other_frequencies_and_chroma_little_lightness() -> None:
    """Few and little: rounding to whole levels has a share in every frequency and direction."""
    images = photographs(dark=1.0)
    net = Plane(images, size=1.0)
    low, all_of_them = (run(images, net=net, space=space).images - images for space in ("band(0, 0.2)", "pixels"))
    frequency = torch.hypot(torch.fft.fftfreq(SIDE).unsqueeze(1), torch.fft.fftfreq(SIDE))
    share = [torch.fft.fft2(one).abs()[..., frequency > 0.2].square().sum() / one.numel() for one in (low, all_of_them)]
    assert share[0] < 0.1 * share[1]
    lightness = []
    for space in ("chroma", "pixels"):
        shift = lab(run(images, net=net, space=space).images) - lab(images)
        lightness.append(float(shift[:, 0].norm() / shift.norm()))
    assert lightness[0] < 0.25 * lightness[1]


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_the_box_holds(optimiser: str) -> None:
    images = torch.where(photographs() > 0.4, 1.0, 0.0)
    net = Plane(images, size=0.7)
    outcome = run(images, net=net, optimiser=optimiser)
    assert outcome.claimed.all()
    assert outcome.images.min() >= 0
    assert outcome.images.max() <= 1


def test_untargeted_leaves_the_label() -> None:
    images = photographs()
    net = Plane(images)
    outcome = run(images, net=net, goal=Untargeted(torch.zeros(COUNT, dtype=torch.int64)))
    assert torch.equal(outcome.images, run(images, net=net).images)


# ---- optimisers by hand


def test_sgd_goes_by_the_learning_rate_times_the_gradient() -> None:
    images = photographs()
    net = Plane(images)
    outcome = run(images, net=net, optimiser="sgd", lr=0.01, steps=2)
    expected = (images + 0.01 * net.weight).mul(255).round() / 255
    torch.testing.assert_close(outcome.images, expected, rtol=0, atol=1e-6)
    assert outcome.steps.tolist() == [2] * COUNT


def test_adam_goes_by_the_learning_rate_at_first() -> None:
    images = photographs()
    net = Plane(images)
    outcome = run(images, net=net, optimiser="adam", lr=2 / 255, steps=2)
    torch.testing.assert_close(outcome.images - images, net.weight.sign() * 2 / 255 + 0 * images, rtol=0, atol=1e-6)


def test_weight_decay_is_what_an_l2_penalty_makes_of_sgd() -> None:
    """A step is theta - lr (2 weight theta / n - gradient): the second one starts from the first."""
    images = photographs()
    net = Plane(images, size=0.5)
    count, lr, weight = images[0].numel(), 0.02, 4000.0
    outcome = run(images, net=net, optimiser="sgd", lr=lr, weight=weight, steps=3)
    theta = lr * net.weight * (1 - lr * 2 * weight / count) + lr * net.weight
    torch.testing.assert_close(outcome.images, (images + theta).mul(255).round() / 255, rtol=0, atol=1e-6)


def test_the_line_search_makes_good_a_learning_rate_that_is_much_too_large() -> None:
    images = photographs()
    searched, plain = (run(images, optimiser=one, lr=300.0, steps=60) for one in ("lbfgs", "sgd"))
    sizes = [(one.images - images).flatten(1).norm(dim=1) for one in (searched, plain)]
    assert searched.claimed.all()
    assert (sizes[0] < sizes[1]).all()


# ---- options


def test_more_confidence_costs_more() -> None:
    images = photographs()
    net = Plane(images)
    half, most = (run(images, net=net, confidence=one) for one in (0.6, 0.999))
    assert (penalty_of("l2", images)(half.images) < penalty_of("l2", images)(most.images)).all()
    for outcome, wanted in ((half, 0.6), (most, 0.999)):
        assert (confidence(outcome.images, net) >= wanted).all()
        assert (confidence(outcome.images, net) < 1 - (1 - wanted) * 0.7).all()


def test_too_much_weight_stops_short_of_the_confidence_and_none_never_comes_back() -> None:
    images = photographs()
    net = Plane(images)
    heavy, found, none = (run(images, net=net, weight=weight) for weight in (5e4, None, 0.0))
    short = confidence(heavy.images, net)
    assert heavy.claimed.tolist() == (short > 0.5).tolist()
    assert (short < 0.99).all()
    assert (short > confidence(images, net)).all()
    size = penalty_of("l2", images)
    assert (size(heavy.images) < size(found.images)).all()
    assert (size(none.images) > size(found.images)).all()
    assert none.steps.max() < found.steps.min()  # nothing is left to do


def test_a_confidence_that_is_not_enough_to_be_the_most_likely_class_is_not_the_end() -> None:
    images = photographs()

    class Three(Plane):
        def forward(self, images: Tensor) -> Tensor:
            return torch.cat((super().forward(images), 0 * images[:, :1, 0, 0]), 1)

    net = Three(images)
    outcome = run(images, net=net, confidence=0.01)
    assert outcome.claimed.all()
    assert (confidence(outcome.images, net) > 1 / 3).all()
    assert (confidence(outcome.images, net) < 0.45).all()


def test_patience_and_steps_end_it() -> None:
    images = photographs()
    hasty, patient = (run(images, patience=patience) for patience in (1, 30))
    assert (hasty.steps < patient.steps).all()
    cut = run(images, steps=7)
    assert cut.steps.tolist() == [7] * COUNT
    assert not torch.equal(cut.images, images)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_a_row_does_not_depend_on_its_company(optimiser: str) -> None:
    images = photographs()
    net = Plane(images)
    whole = by_l2(optimiser)
    for row in range(COUNT):
        alone = run(images[row : row + 1], net=net, optimiser=optimiser)
        torch.testing.assert_close(alone.images, whole.images[row : row + 1], rtol=0, atol=1.01 / 255)
        assert int(alone.steps) == int(whole.steps[row])


def test_under_inference_mode() -> None:
    images = photographs()
    net = Plane(images)
    usual = run(images, net=net, penalty="colour", steps=20)
    with torch.inference_mode():
        outcome = run(images.clone(), net=net, penalty="colour", steps=20)
    assert torch.equal(outcome.images, usual.images)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimiser": "adamw"}, "expected optimiser sgd, adam or lbfgs, got 'adamw'; did you mean 'adam'?"),
        ({"penalty": "l3"}, "expected penalty l2, colour, ssim, lpips or jnd, got 'l3'; did you mean 'l2'?"),
        ({"space": "bands"}, "unknown space 'bands'; did you mean 'band'?"),
        ({"space": "dark(3)"}, "expected threshold from 0 to 1, got 3.0"),
    ],
)
def test_what_it_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BrittleError) as error:
        Penalised(**options)
    assert str(error.value) == message


def test_the_help_names_every_space() -> None:
    told = options_of(Penalised)["space"].help
    assert all(one in told for one in SPACES)
