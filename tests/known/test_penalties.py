"""Penalties against closed forms, against the measures that they stand for, and against finite differences."""

import math
import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck

from brittle.errors import BrittleError
from brittle.visibility.colour import ciede2000, lab
from brittle.visibility.jnd import just_noticeable
from brittle.visibility.penalties import PENALTIES, Colours, Squares, penalty_of
from brittle.visibility.ssim import ssim

BUILT_IN = [name for name in PENALTIES if name != "lpips"]


def pair(channels: int = 3, size: int = 12, count: int = 3, change: float = 0.01) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    original = 0.2 + 0.6 * torch.rand(count, channels, size, size, generator=generator).double()
    return original, original + change * torch.randn(original.shape, generator=generator).double()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", BUILT_IN)
def test_nothing_costs_nothing_and_more_costs_more(name: str, channels: int) -> None:
    original, perturbed = pair(channels)
    penalty = penalty_of(name, original)
    assert penalty(original).abs().max() < 1e-12
    costs = [penalty(original + share * (perturbed - original)) for share in (0.25, 0.5, 1.0)]
    assert (costs[0] > 0).all()
    assert (costs[1] > 3 * costs[0]).all()  # four times, where it is a square
    assert (costs[2] > 3 * costs[1]).all()
    assert all(cost.shape == (3,) for cost in costs)


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_gradient_is_one(name: str) -> None:
    original, perturbed = pair(size=6, count=2)
    assert gradcheck(penalty_of(name, original), perturbed.requires_grad_())
    assert gradcheck(penalty_of(name, original), original.clone().requires_grad_(), atol=1e-4)


@pytest.mark.parametrize("name", BUILT_IN)
def test_some_rows_are_the_rows_of_all(name: str) -> None:
    rows = torch.tensor([2, 0])
    original, perturbed = pair()
    for images in (original, original[:1].expand(3, -1, -1, -1)):
        penalty = penalty_of(name, images)
        torch.testing.assert_close(penalty[rows](perturbed[rows]), penalty(perturbed)[rows])
        torch.testing.assert_close(penalty_of(name, images[1:2])(perturbed[1:2]), penalty(perturbed)[1:2])
        assert penalty[rows[:0]](perturbed[:0]).shape == (0,)


def test_l2_is_the_mean_square() -> None:
    original, _ = pair()
    assert penalty_of("l2", original)(original + 0.03).tolist() == pytest.approx([0.0009] * 3)


def test_l2_has_any_number_of_channels() -> None:
    original, perturbed = pair(5)
    expected = (perturbed - original).square().mean((1, 2, 3))
    torch.testing.assert_close(penalty_of("l2", original)(perturbed), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_colour_is_the_mean_square_of_ciede2000(channels: int) -> None:
    original, perturbed = pair(channels, change=0.002)
    one, other = (lab(images.expand(-1, 3, -1, -1)) for images in (original, perturbed))
    expected = ciede2000(one, other).square().mean((1, 2))
    torch.testing.assert_close(penalty_of("colour", original)(perturbed), expected, rtol=0.02, atol=0)


def test_ssim_is_what_is_missing_to_one() -> None:
    original, perturbed = pair(change=0.1)
    torch.testing.assert_close(penalty_of("ssim", original)(perturbed), 1 - ssim(original, perturbed))


def test_jnd_is_one_at_the_threshold() -> None:
    original, _ = pair()
    threshold = just_noticeable(original)
    assert penalty_of("jnd", original)(original + threshold).tolist() == pytest.approx([1.0] * 3)
    assert penalty_of("jnd", original)(original - 2 * threshold).tolist() == pytest.approx([4.0] * 3)


def test_jnd_lets_textures_carry_more() -> None:
    """On a wall of 127 the threshold is 3 levels; a chequered part of the same mean has more."""
    original = torch.full((1, 3, 16, 32), 127 / 255)
    original[..., 16:] += 0.3 * (2 * ((torch.arange(16).view(-1, 1) // 3 + torch.arange(16) // 3) % 2) - 1)
    wall, texture = original.clone(), original.clone()
    wall[..., 2:12], texture[..., 20:30] = wall[..., 2:12] + 3 / 255, texture[..., 20:30] + 3 / 255
    penalty = penalty_of("jnd", original)
    assert float(penalty(wall)) == pytest.approx(10 / 32, rel=1e-4)
    assert float(penalty(texture)) < float(penalty(wall)) / 3


def test_lpips_is_asked_about_the_original_and_the_perturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Net(nn.Module):
        def __init__(self, net: str, verbose: bool) -> None:
            super().__init__()
            assert net == "alex"

        def forward(self, one: Tensor, other: Tensor, normalize: bool) -> Tensor:
            assert one.shape[1] == other.shape[1] == 3
            return (other - 2 * one).sum((1, 2, 3)).view(-1, 1, 1, 1)

    package = ModuleType("lpips")
    package.LPIPS = Net  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lpips", package)
    for channels, times in ((1, 3), (3, 1)):
        original, perturbed = pair(channels)
        expected = times * (perturbed - 2 * original).sum((1, 2, 3))
        torch.testing.assert_close(penalty_of("lpips", original)(perturbed), expected)


def test_lpips_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(BrittleError, match="LPIPS needs the lpips library"):
        penalty_of("lpips", pair()[0])


def test_what_one_photograph_needs_is_made_once() -> None:
    photo = pair(count=1)[0].expand(4, -1, -1, -1)
    colours, squares = penalty_of("colour", photo), penalty_of("jnd", photo)
    assert isinstance(colours, Colours)
    assert isinstance(squares, Squares)
    assert len(colours.metric) == len(squares.unit) == 1


def test_what_is_no_penalty() -> None:
    with pytest.raises(BrittleError, match=r"^unknown penalty 'color'; did you mean 'colour'\?$"):
        penalty_of("color", pair()[0])
    with pytest.raises(BrittleError, match="expected grey or RGB images for the penalty jnd, got 2 channels"):
        penalty_of("jnd", pair(2)[0])
    assert not math.isnan(float(penalty_of("l2", pair(2)[0])(pair(2)[1]).sum()))
