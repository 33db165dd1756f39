"""What every corruption keeps to, by registration, on grey and colour, small and large, square and not."""

import math
from typing import Any

import pytest
import torch

from brittle.corruption import CORRUPTIONS, SEVERITIES, corruption_named
from brittle.errors import BrittleError
from brittle.types import Images

SHAPES = ((1, 28, 28), (3, 32, 32), (3, 40, 61))
ALL = pytest.mark.parametrize("name", CORRUPTIONS)


def pictures(shape: tuple[int, int, int], count: int = 3) -> Images:
    """Smooth shapes with some texture, as photographs have them; neither black nor white."""
    channels, height, width = shape
    generator = torch.Generator().manual_seed(0)
    down, right = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    waves = torch.rand(count, channels, 4, generator=generator).mul(9)[..., None, None]
    picture = (waves[:, :, 0] * down + waves[:, :, 1]).sin() * (waves[:, :, 2] * right + waves[:, :, 3]).cos()
    texture = torch.rand(count, channels, height, width, generator=generator) - 0.5
    return (0.5 + 0.3 * picture + 0.2 * texture).clamp(0.02, 0.98)


def corrupted(name: str, images: Images, severity: int, seed: int = 0, ids: Any = "abc") -> Images:
    return CORRUPTIONS[name](images, severity, seed=seed, ids=ids)


@ALL
@pytest.mark.parametrize("shape", SHAPES)
def test_images_stay_images_and_get_farther_with_each_severity(name: str, shape: tuple[int, int, int]) -> None:
    if shape[0] == 1 and CORRUPTIONS[name].colour:
        return
    images = pictures(shape)
    before = images.clone()
    made = [corrupted(name, images, severity) for severity in SEVERITIES]
    assert torch.equal(images, before)
    assert all(one.shape == images.shape and one.dtype == images.dtype and one.isfinite().all() for one in made)
    assert all(one.min() >= 0 and one.max() <= 1 for one in made)
    far = [float((one - images).square().mean().sqrt()) for one in made]
    if CORRUPTIONS[name].group == "style":  # a finer shuffle is no farther
        assert min(far) > 0.01
    else:
        assert far[0] > 0.003 and far == sorted(far), far


@ALL
@pytest.mark.parametrize("shape", [(3, 1, 1), (3, 2, 1), (3, 1, 5)])
def test_the_smallest_images_are_images_afterwards(name: str, shape: tuple[int, int, int]) -> None:
    made = corrupted(name, pictures(shape), max(SEVERITIES))
    assert made.shape == (3, *shape) and bool(((made >= 0) & (made <= 1)).all())


@ALL
def test_draws_are_an_images_own(name: str) -> None:
    images = pictures((3, 32, 32))
    whole = corrupted(name, images, 3)
    order = [2, 0, 1]
    turned = corrupted(name, images[order], 3, ids="cab")
    assert torch.allclose(turned, whole[order], atol=1e-6)
    assert torch.allclose(corrupted(name, images[1:2], 3, ids="b"), whole[1:2], atol=1e-6)
    assert torch.equal(corrupted(name, images, 3), whole)
    assert corrupted(name, images[:0], 3, ids="").shape == (0, 3, 32, 32)
    if not torch.equal(corrupted(name, images, 3, seed=1), whole):  # what draws at all draws for each
        same = images[:1].expand(3, -1, -1, -1)
        first, second, _ = corrupted(name, same, 3)
        other = corrupted(name, same, 3, ids="xyz")
        assert not torch.equal(first, second) or not torch.equal(other, whole)


def test_noise_is_as_large_as_it_says() -> None:
    grey = torch.full((4, 1, 100, 100), 0.5)
    spread = {
        name: (corrupted(name, grey, 2, ids="abcd") - 0.5).std().item() for name in CORRUPTIONS if "noise" in name
    }
    assert spread["gaussian-noise"] == pytest.approx(0.06, rel=0.02)
    assert spread["speckle-noise"] == pytest.approx(0.5 * 0.2, rel=0.02)
    assert spread["shot-noise"] == pytest.approx(math.sqrt(0.5 / 50), rel=0.02)  # a Poisson variable's own
    assert (corrupted("shot-noise", grey, 2, ids="abcd") * 50).frac().abs().max() < 1e-4  # whole photons
    hit = corrupted("impulse-noise", grey, 5, ids="abcd") != 0.5
    assert hit.float().mean().item() == pytest.approx(0.17, abs=0.01)


def test_blurs_and_moves_keep_an_even_image_and_the_light() -> None:
    even = torch.full((2, 3, 30, 44), 0.4)
    for name, one in CORRUPTIONS.items():
        if one.group == "blur" or name in ("elastic", "pixelate", "low-pass", "patch-shuffle", "contrast", "hue"):
            assert torch.allclose(corrupted(name, even, 5, ids="ab"), even, atol=1e-5), name
    spot = torch.zeros(1, 1, 41, 41)
    spot[..., 20, 20] = 1
    for name in ("gaussian-blur", "defocus-blur", "motion-blur"):
        assert corrupted(name, spot, 5, ids="a").sum().item() == pytest.approx(1, abs=1e-4)
    disc = corrupted("defocus-blur", spot, 5, ids="a")
    wide = disc > disc.max() / 2  # a disc of a radius of 5.5 % of 41 pixels
    assert wide.sum().item() == pytest.approx(math.pi * (0.055 * 41 + 0.5) ** 2, rel=0.25)


def test_shuffled_patches_are_the_same_pixels() -> None:
    images = pictures((3, 32, 32))
    shuffled = corrupted("patch-shuffle", images, 4)
    assert torch.equal(shuffled.flatten(2).sort(-1).values, images.flatten(2).sort(-1).values)
    assert not torch.equal(shuffled, images)


def test_colours_turn_about_grey() -> None:
    images = pictures((3, 16, 16)) * 0.2 + 0.4
    turned = CORRUPTIONS["hue"].change(images, 120.0, _rng())
    ways = [torch.allclose(turned[row], images[row].roll(by, 0), atol=1e-5) for row in range(3) for by in (1, -1)]
    assert sum(ways) == 3  # a third of a circle takes red to green, or to blue
    assert torch.allclose(corrupted("saturation", images, 5), images.mean(1, keepdim=True).expand_as(images), atol=1e-6)
    assert torch.allclose(corrupted("colour-cast", images, 1).mean(1), images.mean(1), atol=1e-6)


def _rng() -> Any:
    from brittle.rng import Rng

    return Rng(0, tuple("abc"))


def test_an_unknown_one_names_the_nearest() -> None:
    with pytest.raises(BrittleError, match="unknown corruption 'gausian-blur'; did you mean 'gaussian-blur'"):
        corruption_named("gausian-blur")
