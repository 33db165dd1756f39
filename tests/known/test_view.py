"""The preprocessing as part of the network: exact for 8-bit photographs, linear backwards, and watched."""

import pytest
import torch
from torch import Tensor, nn
from torchvision.transforms import functional as published
from torchvision.transforms.functional import InterpolationMode

from brittle.crafting.view import Watched, resized, see, viewed
from brittle.data.fit import Fit
from brittle.goals import Targeted
from brittle.models.network import Network
from laws.worlds import one_thread


class Sums(nn.Module):
    """Logits that tell every pixel from every other."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, pixels, generator=torch.Generator().manual_seed(0)))

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight.T


FITS = [
    Fit(channels=3, height=12, width=12, resize=16),
    Fit(channels=3, height=12, width=10, resize=16, interpolation="bicubic"),
    Fit(channels=3, height=40, width=40, resize=48),
    Fit(channels=3, height=12, width=12),
]
each_fit = pytest.mark.parametrize("fit", FITS, ids=lambda fit: f"{fit.resize} to {fit.height} {fit.interpolation}")
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)


def photographs(count: int = 2, height: int = 33, width: int = 27) -> Tensor:
    return torch.randint(0, 256, (count, 3, height, width), generator=torch.Generator().manual_seed(1)).to(torch.uint8)


def classifier_for(fit: Fit) -> Network:
    return Network(Sums(3 * fit.height * fit.width), mean=MEAN, std=STD)


@each_fit
def test_a_photograph_in_8_bits_is_seen_as_torchvision_shows_its_file(fit: Fit) -> None:
    photos, classifier = photographs(), classifier_for(fit)
    with one_thread():
        through = viewed(classifier, fit).logits(photos.float() / 255)
    rows = []
    for photo in photos:
        image = published.to_pil_image(photo)
        if fit.resize is not None:
            image = published.resize(image, fit.resize, InterpolationMode(fit.interpolation))
        image = published.center_crop(image, [fit.height, fit.width])
        rows.append(published.normalize(published.to_tensor(image), MEAN, STD))
    with torch.no_grad():
        expected = classifier.net(torch.stack(rows))
    assert torch.allclose(through, expected, rtol=0, atol=2e-4 * float(expected.abs().max()))


@each_fit
def test_the_copy_without_rounding_is_within_two_roundings_of_pillow(fit: Fit) -> None:
    photos = photographs()
    levels = 255 * (resized(photos.float() / 255, fit) - see(photos, fit)).abs()
    assert float(levels.max()) < (1.5 if fit.interpolation == "bilinear" else 2.5)
    if fit.resize is not None:
        assert not torch.equal(resized(photos.float() / 255, fit), see(photos, fit))


def test_between_grey_levels_nothing_is_rounded() -> None:
    fit = FITS[0]
    photos = (photographs().float() / 255 * 0.98 + 0.003).clamp(0, 1)
    through = viewed(classifier_for(fit), fit)
    step = torch.zeros_like(photos)
    step[:, :, 10:20, 10:20] = 1e-3
    with one_thread():
        low, middle, high = (through.logits(photos + t * step).double() for t in (0.0, 0.5, 1.0))
    assert float((high - low).abs().max()) > 1e-3
    assert torch.allclose(middle, (low + high) / 2, atol=1e-4)


@pytest.mark.parametrize("on_levels", [True, False])
def test_the_gradient_is_that_of_the_linear_map(on_levels: bool) -> None:
    fit = FITS[0]
    photos = photographs().float() / 255
    if not on_levels:
        photos = photos * 0.98 + 0.003
    through = viewed(classifier_for(fit), fit)
    goal = Targeted(torch.tensor([1, 2]))
    _, gradient = through.gradient(photos, goal.loss)
    assert gradient.shape == photos.shape
    # What is cropped away does not count; what is resized gets its share.
    leaf = photos.clone().requires_grad_()
    weights = torch.randn(2, 3, fit.height, fit.width, generator=torch.Generator().manual_seed(3))
    (adjoint,) = torch.autograd.grad((resized(leaf, fit) * weights).sum(), leaf)
    other = torch.rand(photos.shape, generator=torch.Generator().manual_seed(4))
    left, right = float((resized(other, fit) * weights).sum()), float((other * adjoint).sum())
    assert left == pytest.approx(right, rel=1e-4)
    assert bool((gradient == 0).all()) is False
    edge = (adjoint == 0).all(0).all(0)
    assert torch.equal((gradient == 0).all(0).all(0), edge)


def test_one_photograph_on_the_levels_and_one_between_them_do_not_disturb_each_other() -> None:
    fit = FITS[0]
    photos = photographs().float() / 255
    photos[1] = photos[1] * 0.98 + 0.003
    through = viewed(classifier_for(fit), fit)
    with one_thread():
        together = through.logits(photos)
        apart = torch.cat([through.logits(photos[:1]), through.logits(photos[1:])])
    assert torch.allclose(together, apart, atol=1e-4)


def test_a_network_of_any_size_sees_the_photograph_whole_and_is_watched() -> None:
    photos = photographs(height=12, width=12).float() / 255
    classifier = classifier_for(FITS[3])
    seen: list[tuple[Tensor, Tensor]] = []
    through = Watched(viewed(classifier, None), lambda images, logits: seen.append((images, logits)))
    logits = through.logits(photos)
    assert torch.allclose(logits, classifier.logits(photos), atol=1e-4)
    assert torch.equal(seen[0][0], photos)
    assert torch.equal(seen[0][1], logits)
