"""``brittle.craft``: photographs as people have them in Python, and every wrong argument named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import brittle
from brittle.models import load_model
from laws.worlds import network_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("craft-python")
    save_file(network_of(load_model("digits-cnn")).net.state_dict(), folder / "trained.safetensors")
    noise = np.random.default_rng(0).integers(0, 256, (6, 6), np.uint8)
    Image.fromarray(noise).resize((28, 24), Image.Resampling.BICUBIC).save(folder / "photo.png")
    return folder


@pytest.fixture(scope="module")
def loaded(folder: Path) -> brittle.Classifier:
    return load_model("digits-cnn", weights=folder / "trained.safetensors")


def test_paths_images_tensors_and_arrays_are_the_same_photograph(
    folder: Path, loaded: brittle.Classifier, tmp_path: Path
) -> None:
    with Image.open(folder / "photo.png") as image:
        array = np.array(image)
        given = [folder / "photo.png", str(folder / "photo.png"), image.copy(), array, array[:, :, None] / 255]
    tensor = torch.from_numpy(array).unsqueeze(0)
    given += [tensor, tensor / 255]
    run = brittle.craft(loaded, given, target=3, out=tmp_path / "run")
    found = brittle.read_crafted(run.directory)
    assert [one.photo for one in found] == ["photo.png"] * 2 + [f"photograph-{k}" for k in range(2, 7)]
    assert all(one.reached for one in found)
    for one in found:
        assert torch.equal(one.original, tensor.expand(3, -1, -1))
        with Image.open(run.directory / one.folder / "perturbed.png") as saved:
            assert torch.equal(one.perturbed[0], torch.from_numpy(np.array(saved)))
    assert all(torch.equal(one.perturbed, found[0].perturbed) for one in found)
    assert (run.directory / "index.html").is_file()
    assert len(run.records) == 7
    batch = brittle.craft(loaded, tensor.expand(2, -1, -1, -1), target=3, out=tmp_path / "batch")
    assert [one.photo for one in brittle.read_crafted(batch.directory)] == ["photograph-0", "photograph-1"]


def test_a_spec_and_the_options_beside_it(folder: Path, tmp_path: Path) -> None:
    weights = folder / "trained.safetensors"
    how: dict[str, Any] = {"weights": weights, "mean": [0.4], "std": [0.6]}
    ways: list[Any] = ["craft,walk=5", brittle.PGD(eps=0.5, steps=3)]
    run = brittle.craft(
        "digits-cnn", folder / "photo.png", attack=ways, confidence=0.7, seed=3, out=tmp_path / "run", **how
    )
    (model,) = run.manifest.models
    assert model.fingerprint == load_model("digits-cnn", **how).fingerprint
    assert (model.name, run.manifest.seed, run.manifest.settings["confidence"]) == ("digits-cnn", 3, 0.7)
    assert [one.name for one in run.manifest.attacks] == ["craft", "pgd"]
    assert [one.config.get("confidence") for one in run.manifest.attacks] == [0.7, None]
    assert {one.wish for one in brittle.read_crafted(run.directory)} == {"untargeted"}


BAD: dict[str, tuple[Callable[[Any, Path], dict[str, Any]], str]] = {
    "no classifier": (lambda net, place: {"classifier": nn.Linear(1, 1)}, "expected a classifier, got Linear; wrap it"),
    "no model": (lambda net, place: {"classifier": "digits-cn"}, "did you mean 'digits-cnn'?"),
    "weights beside": (
        lambda net, place: {"weights": "w.safetensors", "mean": [0.5]},
        "expected weights and mean with a model spec only; a classifier has its own",
    ),
    "no photograph": (lambda net, place: {"photographs": []}, "expected at least one photograph, got none"),
    "no path": (lambda net, place: {"photographs": "nope.png"}, "cannot read 'nope.png': No such file"),
    "no path, and a model to fetch": (
        lambda net, place: {"photographs": "nope.png", "classifier": "torchvision:squeezenet1_0"},
        "cannot read 'nope.png': No such file",
    ),
    "a number": (lambda net, place: {"photographs": [place, 3]}, "expected a path, .* as photograph-1, got int"),
    "channels last": (
        lambda net, place: {"photographs": torch.zeros(9, 9, 3)},
        r"with C of 1 or 3, as photograph-0, got \[C, H, W\] float32 of shape \(9, 9, 3\)",
    ),
    "words": (lambda net, place: {"photographs": np.array(["a"])}, r"got <U1 array of shape \(1,\)"),
    "0 to 255 as floats": (
        lambda net, place: {"photographs": torch.full((1, 9, 9), 255.0)},
        r"expected floats in \[0, 1\] as photograph-0, got float32 .* to 255",
    ),
    "NaN": (lambda net, place: {"photographs": np.full((9, 9), np.nan)}, r"expected floats in \[0, 1\]"),
    "16 bits": (lambda net, place: {"photographs": np.zeros((9, 9), np.int32)}, "expected 8-bit values or floats"),
    "small": (lambda net, place: {"photographs": torch.zeros(1, 4, 9)}, "photograph-0 is too small: 9 x 4 pixels"),
    "no class": (lambda net, place: {"target": "ostrich"}, "no class is called 'ostrich'|no names"),
    "no target": (lambda net, place: {"target": None}, "expected a target as a class name, an index, .* got None"),
    "no targets": (lambda net, place: {"target": []}, "expected a target: a class name, an index"),
    "a negative target": (lambda net, place: {"target": -1}, "expected a target as a class name, .* got -1"),
    "a target too high": (lambda net, place: {"target": [3, 10]}, "expected a class index below 10, got 10"),
    "no attack": (lambda net, place: {"attack": "crft"}, "did you mean 'craft'?"),
    "no attacks": (lambda net, place: {"attack": []}, "expected at least one attack, got none"),
    "a class of attacks": (
        lambda net, place: {"attack": [brittle.Craft]},
        "expected a registered attack .*, got .*Craft",
    ),
    "more than sure": (lambda net, place: {"confidence": 2}, "expected a confidence between 0 and 1, got 2"),
    "a word for a confidence": (lambda net, place: {"confidence": "high"}, "between 0 and 1, got 'high'"),
    "images that do not fit": (
        lambda net, place: {"classifier": brittle.Network(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))},
        "the network does not run on images of 3 x 24 x 28",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_wrong_arguments_are_named_and_leave_nothing(
    name: str, folder: Path, loaded: brittle.Classifier, tmp_path: Path
) -> None:
    change, said = BAD[name]
    given: dict[str, Any] = {"classifier": loaded, "photographs": folder / "photo.png", "target": 3}
    with pytest.raises(brittle.BrittleError, match=said):
        brittle.craft(**given | change(loaded, folder / "photo.png"), out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_only_a_craft_run_has_crafted_photographs(loaded: brittle.Classifier, tmp_path: Path) -> None:
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    run = brittle.audit(loaded, images, [brittle.FGSM()], out=tmp_path / "run")
    with pytest.raises(brittle.BrittleError, match=r"expected a craft run, got .* an? audit run"):
        brittle.read_crafted(run.directory)
