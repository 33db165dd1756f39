"""Spaces of change: each is linear, its adjoint is one, and it leaves alone what it says that it leaves alone."""

import pytest
import torch
from torch import Tensor

from brittle.errors import BrittleError
from brittle.visibility.colour import ciede2000, lab
from brittle.visibility.spaces import SPACES, InBand, Mixed, NotDark, Scaled, Space, Where

COMPOSED = ["dark+multiplicative", "chroma+band(0, 0.2)", "dark(0.4)+flat(0.01)+chroma", "band+multiplicative+dark"]


def images_of(channels: int = 3, height: int = 20, width: int = 17, count: int = 3) -> Tensor:
    """Half of each image is busy, and a corner is dark."""
    images = 0.3 + 0.4 * torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(1))
    images[..., : width // 2] = 0.5
    images[..., : height // 3, :] *= 0.2
    return images


def space_of(text: str, images: Tensor) -> Space:
    return Where.of(text).around(images)


def noise(like: Tensor, seed: int = 2) -> Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(seed), dtype=like.dtype)


def inner(a: Tensor, b: Tensor) -> float:
    return float((a.double() * b.double()).sum())


@pytest.mark.parametrize("text", [*SPACES, *COMPOSED])
def test_the_adjoint_is_one_and_the_space_linear(text: str) -> None:
    images = images_of().double()
    space = space_of(text, images)
    theta, gradient = noise(images), noise(images, 3)
    assert inner(space.change(theta), gradient) == pytest.approx(inner(theta, space.adjoint(gradient)), rel=1e-10)
    change = space.change(2 * theta + gradient)
    torch.testing.assert_close(change, 2 * space.change(theta) + space.change(gradient))
    assert change.shape == images.shape
    assert change.dtype == images.dtype
    assert change.abs().max() > 0


@pytest.mark.parametrize("text", [*SPACES, *COMPOSED])
def test_some_rows_are_the_rows_of_all(text: str) -> None:
    for images in (images_of(), images_of(count=1).expand(3, -1, -1, -1)):
        theta, rows = noise(images), torch.tensor([2, 0])
        space = space_of(text, images)
        torch.testing.assert_close(space[rows].change(theta[rows]), space.change(theta)[rows])
        torch.testing.assert_close(space[rows].adjoint(theta[rows]), space.adjoint(theta)[rows])
        assert space[rows[:0]].change(theta[:0]).shape == (0, *images.shape[1:])
        torch.testing.assert_close(space.change(theta)[1:2], space_of(text, images[1:2]).change(theta[1:2]))


def test_pixels_are_their_own_change() -> None:
    theta = noise(images_of())
    assert space_of("pixels", images_of()).change(theta) is theta


def test_multiplicative_changes_are_relative() -> None:
    images, theta = images_of(), noise(images_of())
    torch.testing.assert_close(images + space_of("multiplicative", images).change(theta), images * (1 + theta))


@pytest.mark.parametrize("channels", [1, 3])
def test_dark_pixels_stay_to_the_bit(channels: int) -> None:
    images = images_of(channels)
    for threshold in (0.1, 0.3):
        light = lab(images.expand(-1, 3, -1, -1))[:, :1]
        dark = (light < 100 * threshold).expand_as(images)
        changed = images + space_of(f"dark({threshold})", images).change(noise(images))
        assert 0 < dark.float().mean() < 1
        assert torch.equal(changed[dark], images[dark])
        assert (changed[~dark] != images[~dark]).all()


def test_darkness_is_that_of_lightness_and_not_of_a_channel() -> None:
    """Pure blue has an L* of 32.3, a grey of 0.1 one of 9.0 (Lindbloom's calculator has both)."""
    images = torch.tensor([[0.0, 0.0, 1.0], [0.1, 0.1, 0.1]]).view(2, 3, 1, 1)
    for threshold, left in ((0.32, [1, 0]), (0.33, [0, 0]), (0.089, [1, 1]), (0.091, [1, 0])):
        space = space_of(f"dark({threshold})", images)
        assert space.change(torch.ones_like(images))[:, 0].flatten().tolist() == left


def test_flat_places_stay_to_the_bit() -> None:
    images = images_of()
    light = lab(images)[:, :1].double() / 100
    windows = torch.nn.functional.pad(light, (3,) * 4, mode="replicate").unfold(2, 7, 1).unfold(3, 7, 1)
    spread = windows.flatten(4).std(-1, unbiased=False).expand_as(images)
    changed = images + space_of("flat(0.03)", images).change(noise(images))
    assert torch.equal(changed[spread < 0.0299], images[spread < 0.0299])
    assert (changed[spread > 0.0301] != images[spread > 0.0301]).all()
    assert 0.1 < (spread < 0.0299).float().mean() < 0.9


@pytest.mark.parametrize(("height", "width"), [(20, 17), (17, 20), (1, 8), (16, 16)])
def test_a_band_has_no_other_frequencies(height: int, width: int) -> None:
    images = images_of(height=height, width=width).double()
    change = space_of("band(0.1, 0.3)", images).change(noise(images))
    down, across = (torch.fft.fftfreq(side, dtype=torch.float64) for side in (height, width))
    frequency = (down.unsqueeze(1) ** 2 + across**2).sqrt().expand_as(change)
    power, whole = torch.fft.fft2(change).abs(), torch.fft.fft2(noise(images)).abs()
    inside = (frequency > 0.1 - 1e-9) & (frequency < 0.3 + 1e-9)  # 6 / 20 is in the band
    assert power[~inside].max() < 1e-10
    torch.testing.assert_close(power[inside], whole[inside])
    again = space_of("band(0.1, 0.3)", images).change(change)
    torch.testing.assert_close(again, change)


def test_a_band_that_has_everything_changes_nothing() -> None:
    images = images_of().double()
    torch.testing.assert_close(space_of("band(0, 1)", images).change(noise(images)), noise(images))


def test_chroma_keeps_the_lightness_and_its_units_are_visible_ones() -> None:
    images = images_of().double()
    theta = 0.002 * torch.nn.functional.normalize(noise(images), dim=1)
    change = space_of("chroma", images).change(theta)
    before, after = lab(images), lab(images + change)
    shift = (after - before).abs()
    assert shift[:, 0].max() < 0.01 * shift[:, 1:].norm(dim=1).max()
    visible = 100 * theta[:, 1:].norm(dim=1)
    torch.testing.assert_close(ciede2000(before, after), visible, rtol=0.02, atol=0)


def test_what_is_outermost_has_the_last_word() -> None:
    images = images_of()
    dark = (lab(images)[:, :1] < 20).expand_as(images)
    assert not space_of("dark+band(0, 0.1)", images).change(noise(images))[dark].any()
    assert space_of("band(0, 0.1)+dark", images).change(noise(images))[dark].any()


def test_spaces_as_written() -> None:
    assert Where.of(" band( 1e-1 ,0.3)+dark ").parts == (InBand(0.1, 0.3), NotDark(0.2))
    assert Where.of("band(0,1e+0)+dark").parts == (InBand(0.0, 1.0), NotDark())
    assert isinstance(space_of("multiplicative", images_of()), Scaled)


def test_one_photograph_is_held_once() -> None:
    photo = images_of(count=1).expand(5, -1, -1, -1)
    scaled, mixed = space_of("dark", photo), space_of("chroma", photo)
    assert isinstance(scaled, Scaled)
    assert isinstance(mixed, Mixed)
    assert len(scaled.factor) == len(mixed.matrix) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("darl", "unknown space 'darl'; did you mean 'dark'?"),
        ("", "unknown space ''; known: band, chroma, dark, flat, multiplicative, pixels"),
        ("dark+", "unknown space ''"),
        ("dark(2)", "expected threshold from 0 to 1, got 2.0"),
        ("dark(nan)", "expected threshold from 0 to 1, got nan"),
        ("dark(a)", "expected threshold as a number from 0 to 1, got 'a'"),
        ("band(0.3, 0.1)", "expected band(low, high) with low < high, got band(0.3, 0.1)"),
        ("band(0.3)", "expected band(low, high) with low < high, got band(0.3, 0.25)"),
        ("chroma(1)", "expected at most 0 values for chroma, got 1"),
        ("flat(-1)", "expected threshold from 0 to 0.5, got -1.0"),
        ("dark)(", "expected as many closing as opening parentheses, got 'dark)('"),
    ],
)
def test_what_is_no_space(text: str, message: str) -> None:
    with pytest.raises(BrittleError) as error:
        Where.of(text)
    assert message in str(error.value)


@pytest.mark.parametrize(("text", "channels"), [("chroma", 1), ("dark", 2), ("flat", 4)])
def test_images_without_the_colours(text: str, channels: int) -> None:
    with pytest.raises(BrittleError, match=f"for the space {text}, got {channels} channels"):
        space_of(text, images_of(channels))
