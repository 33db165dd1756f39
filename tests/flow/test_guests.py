"""Models of other libraries: what their files say is read, and the rest is asked for in one line."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

import brittle
from brittle.data.fit import Fit
from brittle.errors import BrittleError
from brittle.models import BlackBox, load_model
from laws.classifiers import network, small
from laws.guests import NAMES, saved_onnx, saved_vit
from laws.worlds import network_of, one_thread, trained_world

GREY = {"Image.BitmapPixelFormat": "Gray8"}


@pytest.fixture
def onnx(tmp_path: Path) -> Path:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnx", reason="onnx, which the tests write files with, is not installed")
    return tmp_path / "small.onnx"


def images(count: int = 7) -> Tensor:
    return trained_world().images[:count]


def answers(text: str, x: Tensor | None = None) -> Tensor:
    return load_model(text).logits(images() if x is None else x)


def same(logits: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


def test_an_onnx_file_answers_as_its_network_in_either_layout(onnx: Path) -> None:
    expected = network().logits(images())
    same(answers(f"onnx:{saved_onnx(small(), onnx)}"), expected)
    same(answers(f"onnx:{saved_onnx(small(), onnx, shape=('n', 8, 8, 1), nhwc=True)}"), expected)
    unknown = saved_onnx(small(), onnx, shape=("n", "h", "w", "c"), nhwc=True)
    same(answers(f"onnx:{unknown},layout=nhwc"), expected)
    with pytest.raises(BrittleError, match=r"the input pixels is \? x \? x \? x \?: add ,layout=nchw"):
        load_model(f"onnx:{unknown}")


def test_an_onnx_file_for_a_fixed_number_of_images_gets_as_many(onnx: Path) -> None:
    classifier = load_model(f"onnx:{saved_onnx(small(), onnx, shape=(4, 1, 8, 8))}")
    assert (classifier.batch_size, classifier.num_classes, classifier.channels) == (4, 10, 1)
    assert classifier.fit == Fit(channels=1, height=8, width=8, resize=8)
    assert (classifier.access, classifier.class_names) == ("score", None)
    same(classifier.logits(images()), network().logits(images()))  # four, and three with one more
    same(
        classifier.adjusted(brittle.models.classifier.Settings(batch_size=7)).logits(images()),
        network().logits(images()),
    )


def test_the_range_is_what_the_file_says_or_is_told(onnx: Path) -> None:
    """The network within takes 255 times what it was trained on, so that its file must be given pixels up to 255."""
    x = (images() * 255).round() / 255
    up_to_255 = network().logits(255 * x)
    up_to_1 = network().logits(x)
    path = saved_onnx(small(), onnx)
    same(answers(f"onnx:{path},range=255", x), up_to_255)
    same(answers(f"onnx:{path}", x), up_to_1)
    same(load_model(f"onnx:{path}", mean=(0.5,), std=(0.25,)).logits(x), network().logits((x - 0.5) / 0.25))
    same(answers(f"onnx:{saved_onnx(small(), onnx, kind='UINT8')}", x), up_to_255)
    same(answers(f"onnx:{saved_onnx(small(), onnx, kind='DOUBLE')}", x), up_to_1)
    for said, expected in (("NominalRange_0_255", up_to_255), ("Normalized_1_1", network().logits(2 * x - 1))):
        path = saved_onnx(small(), onnx, about={"Image.NominalPixelRange": said, **GREY})
        same(answers(f"onnx:{path}", x), expected)
        same(answers(f"onnx:{path},range=1", x), up_to_1)


BAD_ONNX = {
    ",layout=chw": "expected layout=nchw or nhwc, got 'chw'",
    ",range=2": "expected range=1 or 255, got '2'",
    ",layoot=nchw": r"got the option 'layoot'; did you mean 'layout'\?",
    ".gone": r"no ONNX file .*small.onnx.gone; expected onnx:FILE\[",
}


@pytest.mark.parametrize("more", BAD_ONNX)
def test_mistakes_with_onnx_files_get_one_line(more: str, onnx: Path) -> None:
    with pytest.raises(BrittleError, match=BAD_ONNX[more]) as caught:
        load_model(f"onnx:{saved_onnx(small(), onnx)}{more}")
    assert "\n" not in str(caught.value)


def test_files_that_are_no_classifiers_get_one_line(onnx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx.write_bytes(b"no model")
    with pytest.raises(BrittleError, match=r"onnxruntime cannot read .*small\.onnx: "):
        load_model(f"onnx:{onnx}")
    saved_onnx(small(), onnx, about={"Image.NominalPixelRange": "NominalRange_16_235"})
    with pytest.raises(
        BrittleError, match=r"Image\.NominalPixelRange as Normalized_0_1, .*, got 'NominalRange_16_235'"
    ):
        load_model(f"onnx:{onnx}")
    with pytest.raises(BrittleError, match="an ONNX file holds its weights: expected no --weights"):
        load_model(f"onnx:{onnx}", weights=onnx)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BrittleError, match=r"need onnxruntime: pip install brittle\[onnx\]$"):
        load_model(f"onnx:{onnx}")


def test_weights_beside_an_onnx_file_are_part_of_it(onnx: Path) -> None:
    classifier = load_model(f"onnx:{saved_onnx(small(), onnx)}")
    assert isinstance(classifier, BlackBox)
    before = classifier.fingerprint
    (onnx.parent / "small.onnx.data").write_bytes(b"weights")
    assert classifier.fingerprint != before


# ---- transformers


@pytest.fixture
def transformers() -> Any:
    return pytest.importorskip("transformers", reason="transformers is not installed")


def photograph(height: int = 50, width: int = 40) -> Image.Image:
    pixels = torch.randint(0, 256, (height // 10, width // 10, 3), generator=torch.Generator().manual_seed(0))
    return Image.fromarray(pixels.to(torch.uint8).numpy()).resize((width, height), Image.Resampling.BICUBIC)


def as_brittle_sees(classifier: Any, photo: Image.Image) -> Tensor:
    fitted = classifier.fit.apply(photo, "photo")
    pixels = torch.frombuffer(bytearray(fitted.tobytes()), dtype=torch.uint8).view(fitted.height, fitted.width, -1)
    logits: Tensor = classifier.logits(pixels.permute(2, 0, 1).unsqueeze(0).float() / 255)
    return logits


def test_a_resnet_is_the_published_pipeline(transformers: Any, tmp_path: Path) -> None:
    """A small edge's resize with a crop share, as ConvNeXt's processor, which ResNets have, does it."""
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], num_labels=4)
    processor = transformers.ConvNextImageProcessor(
        size={"shortest_edge": 24}, crop_pct=0.75, resample=3, image_mean=[0.5, 0.4, 0.3], image_std=[0.2, 0.3, 0.4]
    )
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.manual_seed(0)
        model = transformers.ResNetForImageClassification(config).eval()
        model.save_pretrained(tmp_path)
        processor.save_pretrained(tmp_path)
        classifier = load_model(f"hf:{tmp_path}")
        with torch.no_grad():
            expected = model(**processor(photograph(), return_tensors="pt")).logits
        assert classifier.fit == Fit(channels=3, height=24, width=24, resize=32, interpolation="bicubic")
        assert (classifier.class_names, classifier.name) == (None, f"hf:{tmp_path}")
        logits = as_brittle_sees(classifier, photograph())
        assert float((logits - expected).abs().max()) < 0.02 * float(expected.abs().max())  # Pillow rounds on its way
        other = as_brittle_sees(classifier, photograph().transpose(Image.Transpose.ROTATE_180))
        assert float((other - expected).abs().max()) > 0.1 * float(expected.abs().max())


def test_a_vision_transformer_is_resized_to_its_size_whatever_the_shape(transformers: Any, tmp_path: Path) -> None:
    folder = saved_vit(tmp_path / "vit", rescale_factor=1 / 127.5)
    classifier = network_of(load_model(f"hf:{folder}"))
    assert classifier.fit == Fit(channels=1, height=8, width=8, resize=(8, 8))
    assert classifier.class_names == NAMES
    assert classifier.mean == pytest.approx((0.2,))
    assert classifier.std == pytest.approx((0.1,))
    assert classifier.fit.apply(photograph(), "photo").size == (8, 8)
    model = transformers.ViTForImageClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        expected = model(pixel_values=(2 * images() - 0.4) / 0.2).logits
    same(classifier.logits(images()), expected)
    found = brittle.attack(classifier, images(), expected.argmax(1), brittle.DeepFool(max_steps=20))
    assert found.fooled.all()
    assert not found.flags


def test_what_cannot_be_loaded_gets_one_line(
    transformers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = saved_vit(tmp_path / "vit")
    pickled = Path(shutil.copytree(folder, tmp_path / "pickled"))
    (pickled / "model.safetensors").unlink()
    torch.save({}, pickled / "pytorch_model.bin")
    bare = Path(shutil.copytree(folder, tmp_path / "bare"))
    (bare / "preprocessor_config.json").unlink()
    flipped = saved_vit(tmp_path / "flipped", do_flip_channel_order=True)
    cases = {
        f"hf:{pickled}": "could not load .*pickled from the folder: ",
        f"hf:{bare}": "could not load .*bare from the folder: ",
        f"hf:{flipped}": "does what a fit cannot: do_flip_channel_order$",
    }
    for spec, message in cases.items():
        with pytest.raises(BrittleError, match=message) as caught:
            load_model(spec)
        assert "\n" not in str(caught.value)
    with pytest.raises(BrittleError, match="comes with its weights: expected no --weights"):
        load_model(f"hf:{folder}", weights=folder / "model.safetensors")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(BrittleError, match=r"need the transformers library: pip install brittle\[transformers\]$"):
        load_model(f"hf:{folder}")
