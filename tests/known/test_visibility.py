"""The numbers of a perturbation where they are known, and LPIPS without its package, without weights, and stubbed."""

import json
import sys
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from brittle.errors import BrittleError
from brittle.visibility.colour import ciede2000, lab
from brittle.visibility.lpips import load_lpips
from brittle.visibility.measures import Visibility, visibility
from brittle.visibility.ssim import ssim


def photos(count: int = 3, channels: int = 3) -> Tensor:
    levels = torch.randint(0, 256, (count, channels, 12, 15), generator=torch.Generator().manual_seed(0))
    return levels.float() / 255


# ---- visibility


def test_no_change_is_invisible() -> None:
    images = photos(2)
    assert visibility(images, images.clone()) == [Visibility(0.0, 0.0, 1.0, 0.0, 0.0, 0.0)] * 2


def test_one_pixel_changed() -> None:
    """By 3 levels in one channel and 4 in another: one of 180 pixels, 5 levels far."""
    images = photos(1).clamp(0.1, 0.9)
    changed = images.clone()
    changed[0, 0, 2, 3] += 3 / 255
    changed[0, 2, 2, 3] -= 4 / 255
    (seen,) = visibility(images, changed)
    assert seen.changed == pytest.approx(1 / 180)
    assert seen.l2 == pytest.approx(5 / 255, rel=1e-5)
    assert seen.linf == pytest.approx(4, rel=1e-5)
    assert 0 < seen.colour_mean < 4 / 180
    assert seen.colour_p99 == 0
    assert 0.99 < seen.ssim < 1


def test_each_number_is_what_it_is_called_for_each_image() -> None:
    images = photos(3)
    moved = (images + 0.1 * torch.rand(images.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    colour = ciede2000(lab(images), lab(moved)).flatten(1).numpy()
    for row, seen in enumerate(visibility(images, moved)):
        assert seen.colour_mean == pytest.approx(colour[row].mean(), rel=1e-4)
        assert seen.colour_p99 == pytest.approx(np.percentile(colour[row], 99), rel=1e-4)
        assert seen.ssim == pytest.approx(ssim(images, moved)[row].item(), rel=1e-5)
        assert seen.linf == pytest.approx(255 * (moved - images)[row].abs().max().item(), rel=1e-5)


def test_black_to_white_in_a_grey_image_is_all_there_is() -> None:
    (seen,) = visibility(torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4))
    assert seen.colour_mean == pytest.approx(100, rel=1e-5)
    assert seen.colour_p99 == pytest.approx(100, rel=1e-5)
    assert seen[3:] == (4.0, 255.0, 1.0)


def test_numbers_go_into_json() -> None:
    (seen,) = visibility(photos(1), photos(1).flip(3))
    assert Visibility(**json.loads(json.dumps(seen._asdict()))) == seen


def test_no_images_have_no_numbers() -> None:
    assert visibility(photos(0), photos(0)) == []


@pytest.mark.parametrize("other", [photos(2), photos(3)[:, :, 1:], photos(3, 1)], ids=["rows", "size", "channels"])
def test_images_of_another_shape_are_refused(other: Tensor) -> None:
    with pytest.raises(BrittleError, match=r"expected two batches .* of one shape, got \[3, 3, 12, 15\] and \["):
        visibility(photos(3), other)


# ---- LPIPS


class Stub(nn.Module):
    """A package whose distance is the squared difference of what it was given, normalised or not."""

    def __init__(self, net: str, verbose: bool) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor({"alex": 1.0, "vgg": 2.0}[net]))
        assert not verbose

    def forward(self, one: Tensor, other: Tensor, normalize: bool = False) -> Tensor:
        return self.scale * (1 + normalize) * (one - other).square().sum((1, 2, 3), keepdim=True)


def install(monkeypatch: pytest.MonkeyPatch, package: Any) -> None:
    monkeypatch.setitem(sys.modules, "lpips", package)


def test_lpips_calls_its_package_with_pixels_from_zero_to_one(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, SimpleNamespace(LPIPS=Stub))
    one, other = photos(2), photos(2).flip(3).requires_grad_()
    distance = load_lpips("vgg")(one, other)
    torch.testing.assert_close(distance, 4 * (one - other).square().sum((1, 2, 3)))
    (gradient,) = torch.autograd.grad(distance.sum(), other)
    torch.testing.assert_close(gradient, 8 * (other - one).detach())
    assert load_lpips()(one, one).tolist() == [0.0, 0.0]


def test_lpips_trains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Stub] = []

    def make(**options: Any) -> Stub:
        made.append(Stub(**options))
        return made[0]

    install(monkeypatch, SimpleNamespace(LPIPS=make))
    load_lpips()
    assert not made[0].training
    assert not made[0].scale.requires_grad


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, None)  # which makes its import fail
    with pytest.raises(BrittleError, match=r"^LPIPS needs the lpips library: pip install 'brittle\[lpips\]'$"):
        load_lpips()


def test_without_weights_it_says_what_to_download(monkeypatch: pytest.MonkeyPatch) -> None:
    package = ModuleType("lpips")

    def fails(**_: Any) -> None:
        raise URLError("no\nroute")

    package.LPIPS = fails  # type: ignore[attr-defined]
    install(monkeypatch, package)
    with pytest.raises(BrittleError) as refused:
        load_lpips("squeeze")
    assert "\n" not in str(refused.value)
    assert "download https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth into " in str(refused.value)


def test_a_misspelt_backbone_is_named() -> None:
    with pytest.raises(BrittleError, match="did you mean 'alex'"):
        load_lpips("alexnet")
