"""A change has the size that it is scaled to, as measured inside the box; and so has noise."""

import pytest
import torch

from brittle.errors import Unsupported
from brittle.geometry.norms import L0, L1, L2, LINF, Lp, Norm
from brittle.geometry.scaling import scaled_to
from brittle.rng import Rng
from brittle.studies.control import noise_like

IDS = tuple(str(k) for k in range(40))


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """Images, half of them with many pixels on the edge of the box, and directions over several orders of size."""
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(len(IDS), 3, 6, 6, generator=generator)
    images[::2] = (1.6 * images[::2] - 0.3).clamp(0, 1)
    delta = torch.randn(images.shape, generator=generator) * 10 ** (-4 * torch.rand(images.shape, generator=generator))
    return images, delta


@pytest.mark.parametrize(
    ("norm", "size"), [(L2, 0.5), (L2, 3.0), (L1, 5.0), (LINF, 8 / 255), (LINF, 0.4), (Lp(3.0), 1.0)]
)
def test_a_scaled_change_has_the_size_after_the_box_and_its_own_direction(norm: Norm, size: float) -> None:
    images, delta = pair()
    scaled, reached = scaled_to(images, delta, size, norm)
    moved = scaled.double() - images.double()
    assert reached.all()
    assert ((scaled >= 0) & (scaled <= 1)).all()
    assert torch.allclose(norm.measure(moved), torch.full((len(images),), size, dtype=torch.float64), rtol=2e-6)
    free = (scaled > 0) & (scaled < 1) & (delta.abs() > 0.01)
    for row in range(len(images)):  # one factor for all pixels that the box does not hold
        factors = (moved / delta.double())[row][free[row]]
        assert factors.std() <= 1e-4 * factors.mean()


def test_without_an_edge_near_it_is_plain_scaling() -> None:
    _, delta = pair()
    images = torch.full_like(delta, 0.5)
    scaled, _ = scaled_to(images, delta, 0.3, L2)
    assert torch.allclose(scaled - images, delta * (0.3 / L2.measure(delta)).view(-1, 1, 1, 1), atol=1e-7)


def test_what_has_no_direction_or_no_room_is_short() -> None:
    images, delta = pair()
    delta[0] = 0
    images[1], delta[1] = 1.0, delta[1].abs()  # against the edge
    images[2] = 0.5
    scaled, reached = scaled_to(images, delta, torch.full((len(images),), 4.0), L2)
    assert reached.tolist()[:3] == [False, False, True]
    assert torch.equal(scaled[:2], images[:2])
    largest, short = scaled_to(images, delta, 1e6, L2)
    assert not short.any()
    assert torch.equal(largest[2], (delta[2] > 0).float())
    with pytest.raises(Unsupported, match="a number of pixels cannot be scaled"):
        scaled_to(images, delta, 3, L0)


@pytest.mark.parametrize("norm", [L0, L1, L2, LINF])
def test_noise_has_the_size_of_the_change_image_by_image_and_is_always_the_same(norm: Norm) -> None:
    images, delta = pair()
    changed, _ = scaled_to(images, delta, 0.2, LINF)
    changed[0] = images[0]
    if norm == L0:
        changed = torch.where(delta.abs() > 0.3, changed, images)
    sizes = norm.measure(changed - images)
    noisy, reached = noise_like(images, sizes, norm, Rng(0, IDS))
    assert reached.all()
    assert torch.allclose(norm.measure(noisy - images), sizes, rtol=1e-5)
    assert torch.equal(noisy[0], images[0])
    assert not torch.allclose(noisy[1:], changed[1:], atol=1e-3)
    again, _ = noise_like(images[3:5], sizes[3:5], norm, Rng(0, IDS[3:5]))
    assert torch.equal(again, noisy[3:5])
