"""The just noticeable difference: the paper's curve, its operators on images whose answer is known, and symmetries."""

import pytest
import torch
from torch import Tensor

from brittle.visibility.jnd import adaptation, just_noticeable, masking


def flat(level: float, channels: int = 1) -> Tensor:
    return torch.full((1, channels, 9, 9), level / 255, dtype=torch.float64)


def checks(contrast: float, level: float = 127) -> Tensor:
    """Squares of two pixels, ``contrast`` levels apart around ``level``."""
    rows = torch.arange(16) // 2
    sign = (rows.unsqueeze(1) + rows) % 2 * 2 - 1
    return ((level + sign * contrast / 2) / 255).double().view(1, 1, 16, 16)


@pytest.mark.parametrize(("level", "expected"), [(0, 20), (31.75, 11.5), (127, 3), (191, 4.5), (255, 6)])
def test_the_adaptation_curve(level: float, expected: float) -> None:
    assert adaptation(torch.tensor(float(level))).item() == pytest.approx(expected)


def test_masking_is_linear_in_the_contrast() -> None:
    background, gradient = torch.tensor([0.0, 100.0, 200.0]), torch.tensor([100.0, 100.0, 0.0])
    torch.testing.assert_close(masking(background, gradient), torch.tensor([12.0, 12.0, -1.5]))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("level", [0.0, 60.0, 127.0, 255.0])
def test_a_flat_image_is_limited_by_its_luminance_up_to_the_border(level: float, channels: int) -> None:
    expected = adaptation(torch.tensor(level, dtype=torch.float64)) / 255
    torch.testing.assert_close(just_noticeable(flat(level, channels)), expected.expand(1, 1, 9, 9))


def test_dark_and_bright_carry_more_than_the_middle() -> None:
    curve = adaptation(torch.arange(256.0))
    assert (curve[:128].diff() < 0).all()
    assert (curve[127:].diff() > 0).all()


def test_beside_a_step_it_is_what_the_step_masks() -> None:
    """A step of 80 levels below the row is seen whole, and raises the mean by the 13 of 32 beyond it."""
    image = flat(100)
    image[:, :, 5:] = 180 / 255
    expected = masking(torch.tensor(100 + 80 * 13 / 32), torch.tensor(80.0)).item()
    assert 255 * just_noticeable(image)[0, 0, 4, 4].item() == pytest.approx(expected, rel=1e-6)


def test_texture_carries_more_the_more_contrast_it_has() -> None:
    means = [just_noticeable(checks(contrast)).mean().item() * 255 for contrast in (0, 60, 120, 240)]
    assert means[0] == pytest.approx(3)
    assert means == sorted(means)
    assert means[3] > 4 * means[0]


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_it_sees_edges_in_every_direction_alike(turns: int) -> None:
    image = torch.rand(2, 1, 12, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    turned = torch.rot90(just_noticeable(image), turns, (2, 3))
    torch.testing.assert_close(just_noticeable(torch.rot90(image, turns, (2, 3))), turned)


def test_colour_counts_by_its_luma() -> None:
    image = torch.rand(1, 3, 8, 10, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    luma = 0.299 * image[:, :1] + 0.587 * image[:, 1:2] + 0.114 * image[:, 2:]
    torch.testing.assert_close(just_noticeable(image), just_noticeable(luma))


@pytest.mark.parametrize("side", [1, 2])
def test_the_smallest_images_have_a_map_too(side: int) -> None:
    assert just_noticeable(torch.full((1, 3, side, side), 0.5)).shape == (1, 1, side, side)
