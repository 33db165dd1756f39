"""SSIM against its definition in numpy and scipy, and where it is known in closed form."""

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d  # type: ignore[import-untyped]
from torch import Tensor
from torch.autograd import gradcheck

from brittle.visibility.ssim import ssim


def pair(*shape: int, noise: float = 0.2, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    one = torch.rand(shape, generator=generator, dtype=torch.float64)
    return one, (one + noise * torch.randn(shape, generator=generator, dtype=torch.float64)).clamp(0, 1)


def by_definition(one: Tensor, other: Tensor, width: int = 11) -> float:
    """Equation 13 of Wang et al. 2004 for two planes, window by window in the plane."""
    steps = np.arange(width) - width // 2
    window = np.exp(-(steps[:, None] ** 2 + steps[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    x, y = one.double().numpy(), other.double().numpy()

    def mean(plane: np.ndarray) -> np.ndarray:
        return np.asarray(correlate2d(plane, window, mode="valid"))

    mx, my = mean(x), mean(y)
    vx, vy, covariance = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    return float(((2 * mx * my + c1) * (2 * covariance + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("noise", [0.01, 0.3])
def test_it_is_its_definition(channels: int, noise: float) -> None:
    one, other = pair(3, channels, 20, 33, noise=noise)
    expected = [
        np.mean([by_definition(a, b) for a, b in zip(x, y, strict=True)]) for x, y in zip(one, other, strict=True)
    ]
    torch.testing.assert_close(ssim(one, other), torch.tensor(expected), rtol=1e-10, atol=0)
    torch.testing.assert_close(ssim(one.float(), other.float()).double(), torch.tensor(expected), rtol=0, atol=1e-5)


def test_scikit_image_agrees() -> None:
    metrics = pytest.importorskip("skimage.metrics")
    one, other = pair(1, 3, 40, 30)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    expected = metrics.structural_similarity(one[0].numpy(), other[0].numpy(), channel_axis=0, **options)
    assert ssim(one, other).item() == pytest.approx(expected, rel=1e-9)


def test_flat_images_have_only_luminance_to_compare() -> None:
    one, other = torch.full((1, 3, 16, 16), 0.25), torch.full((1, 3, 16, 16), 0.75)
    expected = (2 * 0.25 * 0.75 + 1e-4) / (0.25**2 + 0.75**2 + 1e-4)
    assert ssim(one, other).item() == pytest.approx(expected, rel=1e-5)


def test_equal_images_are_alike() -> None:
    one, _ = pair(2, 3, 16, 16)
    assert torch.equal(ssim(one.float(), one.float()), torch.ones(2))


@pytest.mark.parametrize(("height", "width", "window"), [(8, 8, 7), (9, 9, 9), (1, 1, 1)])
def test_small_images_get_the_largest_window_that_fits(height: int, width: int, window: int) -> None:
    one, other = pair(1, 1, height, width)
    assert ssim(one, other).item() == pytest.approx(by_definition(one[0, 0], other[0, 0], window), rel=1e-9)


def test_a_row_does_not_depend_on_its_batch() -> None:
    one, other = pair(4, 3, 16, 16)
    torch.testing.assert_close(ssim(one, other)[2:3], ssim(one[2:3], other[2:3]), rtol=1e-12, atol=0)
    assert ssim(one[:0], other[:0]).shape == (0,)


def test_its_gradient_is_right() -> None:
    one, other = pair(1, 2, 12, 13)
    assert gradcheck(ssim, (one.requires_grad_(), other.requires_grad_()))
