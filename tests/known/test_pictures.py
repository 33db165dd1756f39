"""Pictures that crafting leaves behind: what the noise's grey values mean, and what stands in the comparison."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from brittle.crafting.crafted import Crafted
from brittle.crafting.sheet import aimed, comparison
from brittle.pages.pen import Pen, fitted
from brittle.pages.pictures import noise_picture, perturbation_picture, photograph, png_with_texts, shrunk
from brittle.visibility.measures import visibility

WRONG, INK = (0xB8, 0x32, 0x1A), (0x1C, 0x1B, 0x19)
LEFTS, TOP, CELL = (48, 528, 1008), 172, 444
"""Where the three pictures of a comparison lie, and how wide each may be."""


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def crafted(original: Tensor, perturbed: Tensor) -> Crafted:
    seen = visibility(original[None] / 255, perturbed[None] / 255)[0]
    before = (("tabby", 0.6), ("lynx", 0.2), ("fox", 0.1), ("ostrich", 0.01), ("wolf", 0.001))
    after = (("ostrich", 0.992), ("tabby", 0.004), ("lynx", 0.002), ("fox", 0.0002), ("wolf", 0.0))
    return Crafted(
        photo="cat.jpg",
        original=original,
        perturbed=perturbed,
        wish="ostrich",
        target=9,
        target_name="ostrich",
        before=before,
        after=after,
        label_before=281,
        confidence=0.992,
        claimed=True,
        fooled=True,
        reached=True,
        wanted=0.99,
        visibility=seen,
        attack="craft",
        steps=60,
        passes=63,
        backwards=60,
        seconds=3.2,
    )


def grey(side: int, **at: int) -> tuple[Tensor, Tensor]:
    """A grey picture, and one that is changed by ``at["by"]`` at its first ``at["values"]`` values."""
    original = torch.full((3, side, side), 128, dtype=torch.uint8)
    perturbed = original.int().flatten()
    perturbed[: at.get("values", 1)] += at["by"]
    return original, perturbed.view(3, side, side).to(torch.uint8)


ROUND = (1, 2, 5, 10, 20, 50, 100)


# --- the noise by itself


@pytest.mark.parametrize("strength", [1, 2, 3, 7, 13, 26, 70, 128, 200])
def test_the_noise_is_as_strong_as_fits(strength: int) -> None:
    """Against the rule as it is written: the largest factor that cuts off at most one value in a thousand."""
    original = noise(3, 40, 50)
    delta = torch.randint(-strength, strength + 1, original.shape, generator=torch.Generator().manual_seed(1))
    perturbed = (original.int() + delta).clamp(0, 255).to(torch.uint8)
    picture, factor = noise_picture(original, perturbed)
    change = (perturbed.int() - original.int()).double()
    share = {one: float((128 + one * change).ne((128 + one * change).clamp(0, 255)).double().mean()) for one in ROUND}
    assert factor == max([one for one in share if share[one] <= 1e-3], default=1)
    assert pil_to_tensor(picture).equal((128 + factor * change).clamp(0, 255).to(torch.uint8))
    if share[factor] == 0:
        assert ((pil_to_tensor(picture).int() - 128) / factor).equal((perturbed.int() - original.int()).float())


def test_one_value_in_a_thousand_may_be_cut_off() -> None:
    """Of 3,000 values three may lie outside of the picture, and not a fourth."""
    shape = (3, 20, 50)
    original = torch.full(shape, 128, dtype=torch.uint8)
    for loud, factor in ((3, 100), (4, 5)):
        change = torch.ones(shape, dtype=torch.int32).flatten()
        change[:loud] = 20
        assert noise_picture(original, (original.int() + change.view(shape)).to(torch.uint8))[1] == factor


def test_grey_has_one_level_more_below_than_above() -> None:
    assert noise_picture(*grey(8, by=-64, values=192))[1] == 2
    assert noise_picture(*grey(8, by=64, values=192))[1] == 1


def test_no_noise_is_grey() -> None:
    original = noise(3, 9, 7)
    picture, factor = noise_picture(original, original.clone())
    assert factor == 1
    assert (picture.size, set(picture.tobytes())) == ((7, 9), {128})


def test_a_grey_photograph_has_a_noise_picture_too() -> None:
    original, perturbed = grey(6, by=3, values=4)
    picture, factor = noise_picture(original[:1], perturbed[:1])
    assert (picture.mode, picture.size, factor) == ("RGB", (6, 6), 20)
    assert picture.getpixel((0, 0)) == (188, 188, 188)


def test_the_file_says_how_strong_it_is(tmp_path: Path) -> None:
    original, perturbed = grey(16, by=2, values=99)
    picture, factor = noise_picture(original, perturbed)
    (tmp_path / "noise.png").write_bytes(png_with_texts(picture))
    with Image.open(tmp_path / "noise.png") as read:
        assert read.info["Amplification"] == str(factor) == "50"
        assert read.info["Description"] == "The perturbation around grey 128: change = (value - 128) / 50"
        values = pil_to_tensor(read).int()
    assert ((values - 128) // factor).equal(perturbed.int() - original.int())


# --- any change, by the same rule


@pytest.mark.parametrize(
    ("size", "factor"),
    [(0.6, 1), (0.4, 1), (0.1, 5), (8 / 255, 10), (1 / 255, 100), (0.5 / 255, 200), (0.0002, 2000), (0.0, 1)],
)
def test_a_change_that_8_bits_cannot_hold_is_amplified_as_far_as_it_must(size: float, factor: int) -> None:
    picture, found = perturbation_picture(torch.tensor([[[size, -size]]]))
    assert found == factor
    bright, dark = picture.getpixel((0, 0)), picture.getpixel((1, 0))
    expected = [round(min(max(128 + sign * factor * size * 255, 0), 255)) for sign in (1, -1)]
    assert (bright, dark) == ((expected[0],) * 3, (expected[1],) * 3)


@pytest.mark.parametrize("size", [0.4, 0.001])
def test_a_change_of_a_single_pixel_is_not_blown_up_for_ever(size: float) -> None:
    """It is less than a thousandth of the picture, so that any factor would cut off few enough values."""
    change = torch.zeros(3, 40, 40)
    change[:, 20, 20] = size
    picture, factor = perturbation_picture(change)
    assert factor == {0.4: 100, 0.001: 500}[size], "0.001 is a quarter of a grey level"
    assert picture.getpixel((20, 20)) == (255,) * 3


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_three_channels_are_colours_and_anything_else_is_grey(channels: int) -> None:
    change = torch.zeros(channels, 2, 2)
    change[:, 0, 0] = torch.tensor([0.1, 0.02, -0.1, 0.3])[:channels]
    picture, factor = perturbation_picture(change)
    first = picture.getpixel((0, 0))
    assert isinstance(first, tuple)
    assert (len(set(first)) == 1) == (channels < 3)
    assert torch.tensor(first[0]).item() == min(round(128 + factor * 25.5), 255)


# --- smaller and larger


def test_noise_is_not_smoothed_when_it_shrinks() -> None:
    """A chequerboard of two values would become grey between them."""
    board = ((torch.arange(60)[:, None] + torch.arange(60)) % 2 * 200).to(torch.uint8).expand(3, -1, -1)
    assert set(shrunk(photograph(board), 20, 20, smooth=False).tobytes()) <= {0, 200}
    assert len(set(shrunk(photograph(board), 20, 20, smooth=True).tobytes()) - {0, 200}) > 1


def test_shrinking_keeps_proportions_and_what_fits() -> None:
    picture = photograph(noise(3, 10, 400))
    assert shrunk(picture, 100, 100, smooth=True).size == (100, 2)
    assert shrunk(picture, 8, 100, smooth=False).size == (8, 1)
    assert shrunk(picture, 400, 10, smooth=True) is picture


# --- the comparison


@pytest.mark.parametrize(("side", "factor"), [(1, 444), (32, 13), (96, 4), (400, 1)])
def test_the_comparison_holds_the_pixels_as_they_are(side: int, factor: int) -> None:
    """Where no smoothing is needed, every pixel is a square of whole pixels, of original, noise and result."""
    original = noise(3, side, side)
    result = (original.int() + noise(3, side, side, seed=1).int() % 5 - 2).clamp(0, 255).to(torch.uint8)
    sheet = pil_to_tensor(comparison(crafted(original, result)))
    assert sheet.shape[2] == 1500
    for left, expected in zip(
        LEFTS, (original, pil_to_tensor(noise_picture(original, result)[0]), result), strict=True
    ):
        seen = sheet[:, TOP : TOP + factor * side, left : left + factor * side]
        assert seen.equal(expected.repeat_interleave(factor, 1).repeat_interleave(factor, 2))


@pytest.mark.parametrize("size", [(1, 3000), (3000, 1), (5, 700), (1200, 900)])
def test_every_shape_of_photograph_has_a_comparison(size: tuple[int, int]) -> None:
    original = noise(3, *size)
    sheet = comparison(crafted(original, original))
    assert sheet.width == 1500
    assert 500 < sheet.height < 1300


def test_what_was_aimed_at_is_in_colour() -> None:
    """Its bar is as long as it is likely, after and before; where nothing moved, nothing is red."""
    original, perturbed = grey(32, by=2, values=9)
    one = crafted(original, perturbed)
    sheet = comparison(one)
    bars = [below_pictures(sheet, left, WRONG) for left in LEFTS]
    assert bars == [round(0.01 * CELL), 0, round(0.992 * CELL)]
    assert below_pictures(sheet, LEFTS[0], INK) == round(0.6 * CELL)
    untargeted = replace(one, target=None, target_name=None)
    assert (aimed(one), aimed(untargeted), aimed(replace(untargeted, after=one.before))) == ("ostrich",) * 2 + (
        "tabby",
    )
    still = comparison(replace(one, after=one.before, target=0, target_name="absent"))
    assert count(still, WRONG) == 0
    missed = comparison(replace(one, reached=False, after=one.before, target=0, target_name="absent"))
    assert count(missed, WRONG) > 0, "what was not reached is said in red"


def below_pictures(sheet: Image.Image, left: int, colour: tuple[int, int, int]) -> int:
    """How long the longest bar of this colour is, from the left edge of a column."""
    part = pil_to_tensor(sheet)[:, TOP + 416 :, left : left + CELL]
    same = (part == torch.tensor(colour, dtype=torch.uint8)[:, None, None]).all(0)
    return int(same.int().cumprod(1).sum(1).max())


def count(sheet: Image.Image, colour: tuple[int, int, int]) -> int:
    return int((pil_to_tensor(sheet) == torch.tensor(colour, dtype=torch.uint8)[:, None, None]).all(0).sum())


HOSTILE = ["<b>&amp;" * 700, "", "ダチョウ 鸵鸟 страус", "a\nb\tc\x00\u202ed", "\udcff\udc80.jpg", "é" * 300, "🦤" * 40]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_breaks_the_comparison(name: str, tmp_path: Path) -> None:
    original, perturbed = grey(32, by=2, values=9)
    classes = tuple((name, 0.2) for _ in range(5))
    one = crafted(original, perturbed)
    plain = comparison(one)
    odd = replace(one, photo=name, wish=name, target_name=name, before=classes, after=classes, attack=name)
    for shown in (odd, replace(odd, after=one.after), replace(odd, before=one.before)):
        sheet = comparison(shown)
        assert sheet.size == plain.size
        edges = pil_to_tensor(sheet)[:, :, 1500 - 48 + 3 :]
        assert edges.eq(edges[:, :1, :1]).all(), "nothing runs over the margin"
    (tmp_path / "comparison.png").write_bytes(png_with_texts(comparison(odd)))
    with Image.open(tmp_path / "comparison.png") as read:
        assert read.size == plain.size


def test_text_is_cut_to_its_place_in_letters_that_the_font_has() -> None:
    assert fitted("Crème brûlée × 3", 21, 900) == "Creme brulee x 3"
    assert fitted("鸵鸟 ost", 21, 900) == "?? ost"
    pen = Pen(ImageDraw.Draw(Image.new("RGB", (500, 50))))
    long = "an uncommonly long name of a class"
    for width in (30, 100, 300):
        cut = fitted(long, 21, width)
        assert cut.endswith("…")
        assert long.startswith(cut[:-1])
        assert pen.text(0, 0, long, 21, "#fff", width) <= width
