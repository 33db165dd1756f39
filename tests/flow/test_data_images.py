"""What becomes of an image file: orientation, modes, hostile files, and the fit to a network."""

import io
import itertools
import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms
from torchvision.models import SqueezeNet1_0_Weights

from brittle.data import Fit, decode, load_data
from brittle.data.peek import Header, plain_header
from brittle.errors import BrittleError

RGB = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 10  # 2 rows, 3 columns
UPRIGHT = {
    1: RGB,
    2: RGB[:, ::-1],
    3: RGB[::-1, ::-1],
    4: RGB[::-1],
    5: RGB.transpose(1, 0, 2),
    6: np.rot90(RGB, -1),
    7: np.rot90(RGB, 2).transpose(1, 0, 2),
    8: np.rot90(RGB),
}
"""What people see, by EXIF orientation, of the stored pixels RGB."""


def save(folder: Path, image: Image.Image, name: str = "a.png", **options: Any) -> str:
    folder.mkdir(exist_ok=True)
    image.save(folder / name, **options)
    return str(folder)


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    shape = (height, width, 3) if mode == "RGB" else (height, width)
    return Image.fromarray(np.random.default_rng(width * height).integers(0, 256, shape, dtype=np.uint8))


def eight_bit(images: torch.Tensor) -> np.ndarray:
    """Rows, columns, channels of the first image in 8 bits; exact, or the assertion fails."""
    scaled = images[0] * 255
    assert (scaled - scaled.round()).abs().max() < 1e-4
    return scaled.round().to(torch.uint8).permute(1, 2, 0).numpy()


class TestModes:
    @pytest.mark.parametrize("orientation", sorted(UPRIGHT))
    @pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
    def test_orientation(self, tmp_path: Path, orientation: int, suffix: str) -> None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        lossless = {"lossless": True} if suffix == "webp" else {}
        found = load_data(save(tmp_path, Image.fromarray(RGB), f"a.{suffix}", exif=exif, **lossless))
        assert np.array_equal(eight_bit(found.images(0, 1)), UPRIGHT[orientation])

    def test_one_size_means_upright_size(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        save(tmp_path, noise(5, 8))
        save(tmp_path, noise(8, 5), "b.jpg", exif=exif)
        assert load_data(str(tmp_path)).images(0, 2).shape == (2, 3, 8, 5)

    @pytest.mark.parametrize("other", [(8, 6), (9, 5)])
    def test_two_sizes_need_a_fit(self, tmp_path: Path, other: tuple[int, int]) -> None:
        save(tmp_path, noise(8, 5))
        save(tmp_path, noise(*other), "b.png")
        message = rf"one size, got '.*a\.png' of 8 x 5 pixels .* and '.*b\.png' of {other[0]} x {other[1]}; give them"
        with pytest.raises(BrittleError, match=message):
            load_data(str(tmp_path))
        assert load_data(str(tmp_path), fit=Fit(channels=3, height=5, width=8)).images(0, 2).shape == (2, 3, 5, 8)

    @pytest.mark.parametrize(
        ("image", "rgb"),
        [
            (Image.new("RGBA", (2, 2), (255, 0, 0, 255)), (255, 0, 0)),
            (Image.new("RGBA", (2, 2), (255, 0, 0, 0)), (255, 255, 255)),
            (Image.new("RGBA", (2, 2), (0, 0, 0, 51)), (204, 204, 204)),
            (Image.new("LA", (2, 2), (0, 51)), (204, 204, 204)),
            (Image.new("RGB", (2, 2), (9, 8, 7)).convert("P", palette=Image.Palette.ADAPTIVE), (9, 8, 7)),
            (Image.new("1", (2, 2), 1), (255, 255, 255)),
            (Image.fromarray(np.full((2, 2), 128 * 257 + 128, np.uint16)), (128, 128, 128)),
            (Image.fromarray(np.full((2, 2), 128 * 257 + 129, np.uint16)), (129, 129, 129)),
        ],
    )
    def test_become_rgb_over_white(self, tmp_path: Path, image: Image.Image, rgb: tuple[int, int, int]) -> None:
        save(tmp_path, image)
        save(tmp_path, Image.new("RGB", (2, 2), (1, 2, 3)), "z.png")  # colour: so grey files among it become RGB
        assert eight_bit(load_data(str(tmp_path)).images(0, 1)).reshape(-1, 3).tolist() == [list(rgb)] * 4

    def test_transparent_palette(self, tmp_path: Path) -> None:
        image = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
        image.putpalette([200, 0, 0, 0, 100, 0])
        found = load_data(save(tmp_path, image, transparency=bytes([0, 255])))
        assert eight_bit(found.images(0, 1)).tolist() == [[[255, 255, 255], [0, 100, 0]]]

    def test_cmyk(self, tmp_path: Path) -> None:
        found = load_data(save(tmp_path, Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "a.tiff"))
        assert eight_bit(found.images(0, 1))[0, 0].tolist() == [255, 0, 0]

    def test_colour_becomes_grey_for_a_grey_network(self, tmp_path: Path) -> None:
        spec = save(tmp_path, Image.new("RGB", (2, 2), (255, 0, 0)))
        images = load_data(spec, fit=Fit(channels=1, height=2, width=2)).images(0, 1)
        assert images.shape == (1, 1, 2, 2) and eight_bit(images)[0, 0, 0] == 76  # 0.299 * 255

    def test_grey_only_is_refused_by_a_colour_network(self, tmp_path: Path) -> None:
        for name, mode in [("a.png", "L"), ("b.png", "LA"), ("c.png", "1")]:
            save(tmp_path, Image.new(mode, (4, 4)), name)
        fit = Fit(channels=3, height=4, width=4)
        with pytest.raises(
            BrittleError, match=r"network of 3 channels, got grey ones only \(3 of 3 in .*\); use a net"
        ):
            load_data(str(tmp_path), fit=fit)
        save(tmp_path, Image.new("RGB", (4, 4)), "d.png")
        assert load_data(str(tmp_path), fit=fit).images(0, 4).shape == (4, 3, 4, 4)
        assert load_data(str(tmp_path), limit=3).images(0, 3).shape == (3, 1, 4, 4)


def encodings() -> Iterator[bytes]:
    """Images of many kinds, as Pillow and others may write them."""
    exif = Image.Exif()
    exif[0x0112] = 6
    ways: dict[str, list[dict[str, Any]]] = {
        "JPEG": [{}, {"progressive": True}, {"exif": exif}, {"comment": b"hello"}, {"quality": 5, "optimize": True}],
        "PNG": [{}, {"exif": exif}, {"dpi": (72, 72)}, {"icc_profile": b"not one"}],
    }
    modes = {"JPEG": ["L", "RGB", "CMYK"], "PNG": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"]}
    for kind, options in ways.items():
        for mode, size, option in itertools.product(modes[kind], [(9, 9), (12, 7)], options):
            buffer = io.BytesIO()
            image = Image.new("I;16", size, 7) if mode == "I;16" else noise(*size).convert(mode)
            image.save(buffer, kind, **option)
            yield buffer.getvalue()


def judged(data: bytes) -> Header | None:
    """What Pillow alone says; None where it refuses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "plain_header", lambda _: None)
        try:
            return decode.read_header(data, "it")
        except BrittleError:
            return None


class TestPlainHeaders:
    def test_the_plain_ones_are_read_without_pillow(self) -> None:
        answers = [plain_header(data) for data in encodings()]
        assert sum(answer is not None for answer in answers) >= 25

    def test_pillow_agrees(self) -> None:
        for data in encodings():
            assert plain_header(data) in (None, judged(data))

    def test_pillow_agrees_about_damaged_ones(self) -> None:
        """Any answer given to a file with random bytes changed, cut out or cut off is Pillow's answer too."""
        draw, answered = random.Random(0), 0
        for data in encodings():
            for _ in range(30):
                broken = bytearray(data)
                if draw.random() < 0.3:
                    del broken[(start := draw.randrange(len(data))) : start + draw.randrange(1, 40)]
                for _ in range(draw.randrange(1, 4)):
                    broken[draw.randrange(min(len(broken), draw.choice([40, 300, 2000])))] = draw.randrange(256)
                if draw.random() < 0.3:
                    del broken[draw.randrange(len(broken)) :]
                if answer := plain_header(bytes(broken)):
                    answered += 1
                    assert answer == judged(bytes(broken))
        assert answered > 50


class TestHostile:
    @pytest.mark.parametrize("suffix", ["jpg", "png"])
    def test_truncated(self, tmp_path: Path, suffix: str) -> None:
        spec = save(tmp_path, noise(64, 64), f"a.{suffix}")
        file = tmp_path / f"a.{suffix}"
        file.write_bytes(file.read_bytes()[:-1000])
        with pytest.raises(BrittleError, match=rf"'.*a\.{suffix}' is not an image or is truncated: .*truncated"):
            load_data(spec).images(0, 1)

    def test_decompression_bomb(self, tmp_path: Path) -> None:
        header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
        chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
        (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + bytes(4))
        with pytest.raises(BrittleError, match=r"a\.png' is too large to decode: Image size \(900000000 pixels\)"):
            load_data(str(tmp_path))

    def test_the_size_that_pillow_only_warns_about(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        spec = save(tmp_path, noise(12, 12))
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
        with pytest.raises(BrittleError, match=r"a\.png' is too large to decode: Image size \(144 pixels\)"):
            load_data(spec)

    def test_a_thread_that_would_grow_into_a_bomb(self, tmp_path: Path) -> None:
        spec = save(tmp_path, Image.new("RGB", (20_000, 1)))
        with pytest.raises(BrittleError, match=r"too long and thin: 20000 x 1 pixels .* become 5120000 x 256 when"):
            load_data(spec, fit=Fit(channels=3, height=224, width=224, resize=256))

    def test_no_program_is_started_for_a_postscript_file(self, tmp_path: Path) -> None:
        buffer = io.BytesIO()
        noise(4, 4).save(buffer, "EPS")
        (tmp_path / "a.jpg").write_bytes(buffer.getvalue())
        with pytest.raises(BrittleError, match=r"is not an image or is truncated$"):
            load_data(str(tmp_path))

    def test_float_pixels(self, tmp_path: Path) -> None:
        with pytest.raises(BrittleError, match=r"a\.tiff' is not .*: its pixels are floats, whose range nothing tells"):
            load_data(save(tmp_path, Image.fromarray(np.ones((2, 2), np.float32)), "a.tiff"))

    def test_more_than_16_bits(self, tmp_path: Path) -> None:
        with pytest.raises(BrittleError, match=r"its pixels need more than 16 bits"):
            load_data(save(tmp_path, Image.fromarray(np.full((2, 2), 70_000, np.int32)), "a.tiff")).images(0, 1)

    def test_metadata_that_pillow_warns_about_passes_in_silence(self, tmp_path: Path) -> None:
        found = load_data(save(tmp_path, noise(8, 5), "a.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12"))
        assert found.images(0, 1).shape == (1, 3, 5, 8)


class TestFit:
    @pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
    @pytest.mark.parametrize("size", [(97, 61), (61, 97), (33, 33), (300, 41), (40, 40)])
    @pytest.mark.parametrize(("resize", "crop"), [(40, (33, 31)), (37, (37, 37)), (None, (30, 29))])
    def test_equals_torchvision(
        self, tmp_path: Path, size: tuple[int, int], resize: int | None, crop: tuple[int, int], interpolation: str
    ) -> None:
        image = noise(*size)
        fit = Fit(channels=3, height=crop[0], width=crop[1], resize=resize, interpolation=interpolation)  # type: ignore[arg-type]
        mode = transforms.InterpolationMode(interpolation)
        steps = [transforms.Resize(resize, interpolation=mode, antialias=True)] if resize else []
        expected = transforms.Compose([*steps, transforms.CenterCrop(crop), transforms.ToTensor()])(image)
        assert torch.equal(load_data(save(tmp_path, image), fit=fit).images(0, 1)[0], expected)

    def test_equals_the_published_preprocessing(self, tmp_path: Path) -> None:
        image, published = noise(301, 277), SqueezeNet1_0_Weights.DEFAULT.transforms()
        fit = Fit(channels=3, height=224, width=224, resize=256)
        found = load_data(save(tmp_path, image), fit=fit).images(0, 1)
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (published.mean, published.std))
        assert torch.equal((found[0] - mean) / std, published(image))

    @pytest.mark.parametrize("resize", [None, 9])
    def test_the_right_size_passes_to_the_bit(self, tmp_path: Path, resize: int | None) -> None:
        image = noise(12, 9)
        found = load_data(save(tmp_path, image), fit=Fit(channels=3, height=9, width=12, resize=resize)).images(0, 1)
        assert torch.equal(found[0], torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255)

    @pytest.mark.parametrize("fit", [{"height": 10}, {"width": 13}, {"resize": 8}])
    def test_too_small(self, tmp_path: Path, fit: dict[str, Any]) -> None:
        spec = save(tmp_path, noise(12, 9))
        with pytest.raises(BrittleError, match=r"a\.png' is too small: 12 x 9 pixels \(width x height\), the network"):
            load_data(spec, fit=Fit(**({"channels": 3, "height": 9, "width": 12} | fit)))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"channels": 2}, "1 or 3 image channels, got 2"),
            ({"height": 0}, "sizes of at least 1 pixel, got Fit"),
            ({"resize": 0}, "sizes of at least 1 pixel, got Fit"),
            ({"interpolation": "nearest"}, "expected interpolation bilinear or bicubic, got 'nearest'"),
        ],
    )
    def test_values_that_no_image_can_have(self, change: dict[str, Any], message: str) -> None:
        with pytest.raises(BrittleError, match=message):
            Fit(**({"channels": 3, "height": 9, "width": 12} | change))
