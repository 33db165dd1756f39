"""Colours against published figures, against CIEDE2000 written with angles, and against finite differences."""

import math

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from brittle.visibility.colour import ciede2000, colour_frame, colour_metric, lab, small_difference

# Sharma, Wu and Dalal 2005, table 1: two colours in CIELAB, and their difference.
PUBLISHED = [
    (50.0, 2.6772, -79.7751, 50.0, 0.0, -82.7485, 2.0425),
    (50.0, 3.1571, -77.2803, 50.0, 0.0, -82.7485, 2.8615),
    (50.0, 2.8361, -74.0200, 50.0, 0.0, -82.7485, 3.4412),
    (50.0, -1.3802, -84.2814, 50.0, 0.0, -82.7485, 1.0),
    (50.0, -1.1848, -84.8006, 50.0, 0.0, -82.7485, 1.0),
    (50.0, -0.9009, -85.5211, 50.0, 0.0, -82.7485, 1.0),
    (50.0, 0.0, 0.0, 50.0, -1.0, 2.0, 2.3669),
    (50.0, -1.0, 2.0, 50.0, 0.0, 0.0, 2.3669),
    (50.0, 2.49, -0.0010, 50.0, -2.49, 0.0009, 7.1792),
    (50.0, 2.49, -0.0010, 50.0, -2.49, 0.0010, 7.1792),
    (50.0, 2.49, -0.0010, 50.0, -2.49, 0.0011, 7.2195),
    (50.0, 2.49, -0.0010, 50.0, -2.49, 0.0012, 7.2195),
    (50.0, -0.0010, 2.49, 50.0, 0.0009, -2.49, 4.8045),
    (50.0, -0.0010, 2.49, 50.0, 0.0010, -2.49, 4.8045),
    (50.0, -0.0010, 2.49, 50.0, 0.0011, -2.49, 4.7461),
    (50.0, 2.5, 0.0, 50.0, 0.0, -2.5, 4.3065),
    (50.0, 2.5, 0.0, 73.0, 25.0, -18.0, 27.1492),
    (50.0, 2.5, 0.0, 61.0, -5.0, 29.0, 22.8977),
    (50.0, 2.5, 0.0, 56.0, -27.0, -3.0, 31.9030),
    (50.0, 2.5, 0.0, 58.0, 24.0, 15.0, 19.4535),
    (50.0, 2.5, 0.0, 50.0, 3.1736, 0.5854, 1.0),
    (50.0, 2.5, 0.0, 50.0, 3.2972, 0.0, 1.0),
    (50.0, 2.5, 0.0, 50.0, 1.8634, 0.5757, 1.0),
    (50.0, 2.5, 0.0, 50.0, 3.2592, 0.3350, 1.0),
    (60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644),
    (63.0109, -31.0961, -5.8663, 62.8187, -29.7946, -4.0864, 1.2630),
    (61.2901, 3.7196, -5.3901, 61.4292, 2.2480, -4.9620, 1.8731),
    (35.0831, -44.1164, 3.7933, 35.0232, -40.0716, 1.5901, 1.8645),
    (22.7233, 20.0904, -46.6940, 23.0331, 14.9730, -42.5619, 2.0373),
    (36.4612, 47.8580, 18.3852, 36.2715, 50.5065, 21.2231, 1.4146),
    (90.8027, -2.0831, 1.4410, 91.1528, -1.6435, 0.0447, 1.4441),
    (90.9257, -0.5406, -0.9208, 88.6381, -0.8985, -0.7239, 1.5381),
    (6.7747, -0.2908, -2.4247, 5.8714, -0.0985, -2.2286, 0.6377),
    (2.0776, 0.0795, -1.1350, 0.9033, -0.0636, -0.5514, 0.9082),
]

# sRGB, and its CIELAB under D65 (B. Lindbloom's calculator).
KNOWN_LAB = [
    ((1.0, 1.0, 1.0), (100.0, 0.0, 0.0)),
    ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
    ((1.0, 0.0, 0.0), (53.2408, 80.0925, 67.2032)),
    ((0.0, 1.0, 0.0), (87.7347, -86.1827, 83.1793)),
    ((0.0, 0.0, 1.0), (32.2970, 79.1875, -107.8602)),
    ((119 / 255,) * 3, (50.0344, 0.0, 0.0)),
]


def pixels(colours: list[tuple[float, ...]] | Tensor) -> Tensor:
    """Colours ``[n, 3]`` as one image ``[1, 3, 1, n]`` in double precision."""
    return torch.as_tensor(colours, dtype=torch.float64).T.reshape(1, 3, 1, -1)


def drawn(count: int, seed: int = 0) -> Tensor:
    """Random numbers ``[count, 3]`` in [0, 1)."""
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def some_colours() -> Tensor:
    """Random, dark, grey and almost grey colours, and every corner of the cube."""
    grey = torch.linspace(0, 1, 21, dtype=torch.float64).unsqueeze(1).expand(-1, 3)
    corners = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 3)
    return torch.cat((drawn(300), 0.04 * drawn(60, 1), grey, grey * 0.99 + 1e-5 * drawn(21, 2), corners))


def by_angles(one: list[float], other: list[float]) -> float:
    """CIEDE2000 as the paper writes it, in degrees."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    mean = (math.hypot(a1, b1) + math.hypot(a2, b2)) / 2
    stretch = 1 + 0.5 * (1 - math.sqrt(mean**7 / (mean**7 + 25**7)))
    c1, c2 = math.hypot(stretch * a1, b1), math.hypot(stretch * a2, b2)
    h1, h2 = (math.degrees(math.atan2(b, stretch * a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    turn, h = h2 - h1, h1 + h2
    if c1 * c2 == 0:
        turn = 0.0
    elif abs(turn) <= 180:
        h /= 2
    else:
        turn, h = turn - math.copysign(360, turn), (h + 360) / 2 if h < 360 else (h - 360) / 2
    lightness, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    t = 1 - 0.17 * cos(h - 30) + 0.24 * cos(2 * h) + 0.32 * cos(3 * h + 6) - 0.20 * cos(4 * h - 63)
    bend = 30 * math.exp(-(((h - 275) / 25) ** 2))
    r = -2 * math.sqrt(chroma**7 / (chroma**7 + 25**7)) * math.sin(math.radians(2 * bend))
    dl = (l2 - l1) / (1 + 0.015 * (lightness - 50) ** 2 / math.sqrt(20 + (lightness - 50) ** 2))
    dc = (c2 - c1) / (1 + 0.045 * chroma)
    dh = 2 * math.sqrt(c1 * c2) * math.sin(math.radians(turn) / 2) / (1 + 0.015 * chroma * t)
    return math.sqrt(dl**2 + dc**2 + dh**2 + r * dc * dh)


def cos(degrees: float) -> float:
    return math.cos(math.radians(degrees))


# ---- CIELAB


@pytest.mark.parametrize(("rgb", "expected"), KNOWN_LAB)
def test_lab_has_its_known_values(rgb: tuple[float, ...], expected: tuple[float, ...]) -> None:
    torch.testing.assert_close(lab(pixels([rgb])), pixels([expected]), rtol=0, atol=2e-4)


def test_a_grey_has_no_chroma() -> None:
    grey = torch.linspace(0, 1, 256).view(1, 1, 1, -1).expand(1, 3, 1, -1)
    assert lab(grey.double())[:, 1:].abs().max() < 1e-12
    assert lab(grey)[:, 1:].abs().max() < 1e-4


def test_lab_has_the_slope_it_should() -> None:
    assert gradcheck(lab, (pixels(some_colours() * 0.98 + 0.01).requires_grad_(),))


def test_lab_is_steady_where_line_and_power_meet() -> None:
    """The power is 1.7 % steeper there (0.0787 for 1 / 12.92), by the definition of sRGB; the cube root is tangent."""
    around = 0.0404482362771 + torch.linspace(-1e-7, 1e-7, 9, dtype=torch.float64)
    x = pixels(around.unsqueeze(1).expand(-1, 3)).requires_grad_()
    lightness = lab(x)[0, 0, 0]
    (slope,) = torch.autograd.grad(lightness.sum(), x)
    assert lightness.diff().max() < 3e-5
    assert lightness.diff().min() > 0
    total = slope.sum(1).flatten()
    assert total[-1] / total[0] == pytest.approx(12.92 * 2.4 / 1.055 * (0.0954482362771 / 1.055) ** 1.4, rel=1e-5)


def test_black_has_a_finite_slope() -> None:
    """Of the line on the line: 116 / (3 (6/29)^2) / 12.92 in all, before the colours share it."""
    black = torch.zeros(1, 3, 2, 2, requires_grad=True)
    (slope,) = torch.autograd.grad(lab(black)[:, 0].sum(), black)
    torch.testing.assert_close(slope.sum(1), torch.full((1, 2, 2), 116 / (3 * (6 / 29) ** 2) / 12.92))


# ---- CIEDE2000


@pytest.mark.parametrize("pair", PUBLISHED, ids=range(1, 35))
def test_published_pairs(pair: tuple[float, ...]) -> None:
    one, other = pixels([pair[:3]]), pixels([pair[3:6]])
    assert ciede2000(one, other).item() == pytest.approx(pair[6], abs=5e-5)
    assert ciede2000(other, one).item() == pytest.approx(pair[6], abs=5e-5)


def test_it_is_the_formula_with_angles() -> None:
    scale, shift = torch.tensor([100.0, 240.0, 240.0]), torch.tensor([0.0, -120.0, -120.0])
    one, other = drawn(2000) * scale + shift, drawn(2000, 1) * scale + shift
    other[:1000] = one[:1000] + 3 * (drawn(1000, 2) - 0.5)  # half of them near,
    one[::7, 1:], other[::5, 1:] = 0.0, 0.0  # some grey, some both,
    one[::11, 2], other[::11, 2] = 0.5, -0.2  # and some on either side of the hue 0
    angles = [by_angles(a, b) for a, b in zip(one.tolist(), other.tolist(), strict=True)]
    expected = torch.tensor(angles, dtype=torch.float64)
    torch.testing.assert_close(ciede2000(pixels(one), pixels(other)).flatten(), expected, rtol=1e-8, atol=1e-8)


def test_opposite_hues_turn_as_their_angles_do() -> None:
    """Exactly opposite, as rounding seldom is: the mean hue is a right angle beyond the one below 180 degrees."""
    one = [[60.0, 8.0, 60.0], [60.0, -8.0, -60.0], [40.0, 30.0, 0.0], [40.0, -30.0, 0.0], [50.0, 12.0, -16.0]]
    other = [[60.0, -8.0, -60.0], [60.0, 8.0, 60.0], [45.0, -30.0, 0.0], [45.0, 30.0, 0.0], [51.0, -12.0, 16.0]]
    expected = torch.tensor([[[by_angles(a, b) for a, b in zip(one, other, strict=True)]]], dtype=torch.float64)
    for dtype in (torch.float64, torch.float32):
        got = ciede2000(*(pixels(torch.tensor(side)).to(dtype) for side in (one, other)))
        torch.testing.assert_close(got, expected.to(dtype), rtol=1e-5, atol=0)


def test_scikit_image_agrees() -> None:
    color = pytest.importorskip("skimage.color")
    one, other = 100 * drawn(500) - 30, 100 * drawn(500, 1) - 30
    expected = torch.from_numpy(color.deltaE_ciede2000(one.numpy(), other.numpy()))
    torch.testing.assert_close(ciede2000(pixels(one), pixels(other)).flatten(), expected, rtol=1e-9, atol=1e-9)


def test_single_precision_is_enough_for_small_differences() -> None:
    x = pixels(some_colours())
    y = (x + 0.004 * (pixels(drawn(x.shape[3], 3)) - 0.5)).clamp(0, 1)
    exact = ciede2000(lab(x), lab(y))
    torch.testing.assert_close(ciede2000(lab(x.float()), lab(y.float())).double(), exact, rtol=1e-3, atol=1e-3)


def test_its_gradient_is_right_in_both_colours() -> None:
    one, other = 100 * drawn(200) - 30, 100 * drawn(200, 1) - 30
    other[:100] = one[:100] + drawn(100, 2)
    assert gradcheck(ciede2000, (pixels(one).requires_grad_(), pixels(other).requires_grad_()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_gradients_are_finite_for_every_pair(dtype: torch.dtype) -> None:
    """Equal, grey and grey, grey and not, black and white, opposite hues."""
    colours = torch.cat(
        (some_colours()[::6], torch.tensor([[0.0, 0, 0], [1, 1, 1], [0.5, 0.5, 0.5], [0, 0, 1]]).double())
    )
    first, second = (
        pixels(side).to(dtype).requires_grad_()
        for side in (colours.repeat(len(colours), 1), colours.repeat_interleave(len(colours), 0))
    )
    difference = ciede2000(lab(first), lab(second))
    for gradient in torch.autograd.grad(difference.sum(), (first, second)):
        assert gradient.isfinite().all()
    assert difference.isfinite().all()


def test_equal_colours_have_no_gradient() -> None:
    x = pixels(some_colours()).float()
    y = x.clone().requires_grad_()
    difference = ciede2000(lab(x), lab(y))
    (gradient,) = torch.autograd.grad(difference.sum(), y)
    assert (difference == 0).all()
    assert (gradient == 0).all()


# ---- the metric


@pytest.mark.parametrize("size", [1e-3, 1e-5])
def test_the_metric_is_ciede2000_at_small_steps(size: float) -> None:
    x = pixels(some_colours())
    step = pixels(drawn(x.shape[3], 4)) - 0.5
    quadratic = torch.einsum("nihw,nijhw,njhw->nhw", step, colour_metric(x), step)
    measured = (ciede2000(lab(x), lab(x + size * step)) / size).square()
    torch.testing.assert_close(measured, quadratic, rtol=60 * size, atol=0)


def test_the_metric_is_symmetric_and_positive_definite() -> None:
    """At every tenth 8-bit level: no eigenvalue below a ten-thousandth of the trace, in single precision."""
    levels = torch.arange(0, 256, 15) / 255
    metric = colour_metric(torch.cartesian_prod(levels, levels, levels).T.reshape(1, 3, 1, -1))[0, :, :, 0]
    assert torch.equal(metric, metric.transpose(0, 1))
    values = torch.linalg.eigvalsh(metric.permute(2, 0, 1))
    assert values.min() > 1
    assert (values[:, 0] / values.sum(1)).min() > 1e-4


def test_the_quadratic_form_is_that_of_the_metric_and_has_its_gradient() -> None:
    x = pixels(some_colours())
    metric, step = colour_metric(x), pixels(drawn(x.shape[3], 5)) - 0.5
    expected = torch.einsum("nihw,nijhw,njhw->nhw", step, metric, step)
    torch.testing.assert_close(small_difference(metric, step), expected)
    assert gradcheck(lambda d: small_difference(metric, d), (step.requires_grad_(),))


def test_the_frame_is_a_root_of_the_metric_and_its_first_row_is_lightness() -> None:
    x = pixels(some_colours())
    frame = colour_frame(x)
    torch.testing.assert_close(torch.einsum("nkihw,nkjhw->nijhw", frame, frame), colour_metric(x))
    grey = pixels([(0.5, 0.5, 0.5)])
    lighter = colour_frame(grey).sum(2).flatten()  # a step of all three channels at once
    assert lighter[0] > 50
    assert lighter[1:].abs().max() < 1e-9
