"""``brittle craft``: from a photograph and a wish to files whose numbers hold after they are read again."""

import hashlib
import io
import json
import shlex
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from kit import make_kit
from PIL import Image
from safetensors.torch import save_file

from brittle.attacks import Craft
from brittle.errors import BrittleError
from brittle.models import load_model
from brittle.run.engine import run
from brittle.studies.craft import Crafting
from brittle.studies.crafter import Crafter
from brittle.studies.photographs import Photograph, read_photograph
from brittle.studies.ways import Way
from brittle.visibility.measures import visibility
from conftest import Cli
from laws.worlds import network_of

MODEL = "--model digits-cnn --weights trained.safetensors"
NAMED = "--model resnet20 --weights resnet20.safetensors"  # untrained: enough to be refused


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("craft")
    make_kit(folder)
    save_file(network_of(load_model("digits-cnn")).net.state_dict(), folder / "trained.safetensors")
    save(folder / "photo.png", "L", (52, 44))
    save(folder / "other.png", "L", (40, 40), seed=1)
    return folder


def soft(mode: str, size: tuple[int, int], seed: int = 0) -> Image.Image:
    """Something like a photograph: smooth, and no two alike."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6, len(Image.new(mode, (1, 1)).getbands())), np.uint8)
    small = Image.fromarray(noise[:, :, 0] if noise.shape[2] == 1 else noise, mode)
    return small.resize(size, Image.Resampling.BICUBIC)


def save(path: Path, mode: str, size: tuple[int, int], seed: int = 0) -> None:
    soft(mode, size, seed).save(path)


def files_in(place: Path) -> list[str]:
    return sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())


def pictures_in(out: Path) -> list[str]:
    """Files for people, without those by which the run is resumed."""
    own = ("records/", "photographs/", "manifest.json", "spec.toml", ".lock")
    return [name for name in files_in(out) if not name.startswith(own)]


def test_one_photograph_one_wish(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    monkeypatch.chdir(folder)
    out = tmp_path / "out"
    said = cli("craft", "photo.png", *shlex.split(MODEL), "--target", "3", "--out", out)
    assert said.code == 0, said.err
    assert pictures_in(out) == ["comparison.png", "craft.json", "noise.png", "perturbed.png"]
    numbers = json.loads((out / "craft.json").read_text())

    with Image.open(folder / "photo.png") as before, Image.open(out / "perturbed.png") as after:
        assert (after.size, after.mode, after.format) == (before.size, "L", "PNG")
        old, new = (torch.from_numpy(np.array(one)).unsqueeze(0) for one in (before, after))
    loaded = load_model("digits-cnn", weights=folder / "trained.safetensors")
    assert loaded.fit is not None
    with Image.open(out / "perturbed.png") as image:
        fitted = loaded.fit.apply(image, "perturbed.png")
    pixels = torch.from_numpy(np.array(fitted)).view(1, 1, 8, 8) / 255
    likely = loaded.logits(pixels, plain=True)[0].softmax(0)
    assert int(likely.argmax()) == 3
    assert numbers["target"] == 3
    assert numbers["target_name"] == "3"
    assert numbers["reached"] is True
    assert numbers["confidence"] == pytest.approx(float(likely[3]), abs=1e-6)
    assert numbers["confidence"] >= 0.99
    assert numbers["visibility"] == pytest.approx(
        visibility(old.unsqueeze(0) / 255, new.unsqueeze(0) / 255)[0]._asdict()
    )
    assert 0 < numbers["visibility"]["colour_mean"] < 4
    assert numbers["photograph_sha256"] == hashlib.sha256((folder / "photo.png").read_bytes()).hexdigest()
    assert numbers["command"].startswith("brittle craft photo.png")
    assert numbers["after"][0]["class"] == "3"
    assert len(numbers["before"]) == len(numbers["after"]) == 5

    line, where = said.out.strip().splitlines()
    assert line.startswith(f"photo.png: {numbers['before'][0]['class']} (")
    assert "-> 3 (99" in line
    assert where == f"pictures: {out}"


def test_several_make_a_matrix_with_a_page(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    monkeypatch.chdir(folder)
    out = tmp_path / "out"
    wishes = ("--target", "random", "--target", "random", "--target", "untargeted")
    said = cli("craft", "photo.png", "other.png", *shlex.split(MODEL), *wishes, "--out", out)
    assert said.code == 0, said.err
    places = [f"{name}/{wish}" for name in ("other", "photo") for wish in ("random", "random-2", "untargeted")]
    each = ["comparison.png", "craft.json", "noise.png", "perturbed.png"]
    assert pictures_in(out) == sorted(
        [f"{place}/{file}" for place in places for file in each] + ["craft.json", "index.html"]
    )
    numbers = json.loads((out / "craft.json").read_text())
    assert len(numbers["crafted"]) == 6
    assert all(one["reached"] for one in numbers["crafted"])
    assert len(said.out.strip().splitlines()) == 7
    assert said.out.strip().endswith(f"page: {out / 'index.html'}")


def test_several_attacks_are_compared_on_a_page(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    monkeypatch.chdir(folder)
    ways = ("--attack", "penalised,optimiser=sgd:adam,steps=60", "--attack", "notes-v1")
    said = cli("craft", "photo.png", *shlex.split(MODEL), "--target", "3", *ways, "--out", tmp_path / "out")
    assert said.code == 0, said.err
    names = ["penalised(optimiser=sgd, steps=60)", "penalised(steps=60)", "notes-v1"]
    assert [line.partition("; by ")[2] for line in said.out.splitlines()[:3]] == names
    numbers = json.loads((tmp_path / "out" / "craft.json").read_text())
    assert list(numbers["attacks"]) == names
    assert [one["by"] for one in numbers["crafted"]] == names
    page = (tmp_path / "out" / "index.html").read_text()
    assert "sgd (notes-v1)" in page
    folders = sorted(path.parent.relative_to(tmp_path / "out").parts for path in tmp_path.rglob("perturbed.png"))
    assert [parts[0] for parts in folders] == ["notes-v1", "penalised-optimiser-sgd-steps-60", "penalised-steps-60"]
    assert {parts[1:] for parts in folders} == {("photo", "3")}


def test_the_same_command_makes_the_same_picture(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    monkeypatch.chdir(folder)
    pictures = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        out = tmp_path / name
        said = cli("craft", "photo.png", *shlex.split(MODEL), "--target", "random", "--seed", seed, "--out", out)
        assert said.code == 0, said.err
        pictures.append((out / "perturbed.png").read_bytes())
    assert pictures[0] == pictures[1] != pictures[2]


def test_confidence_and_attack_are_what_was_asked_for(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    monkeypatch.chdir(folder)
    found = {}
    for name, options in {
        "0.5": "--confidence 0.5",
        "0.999": "--confidence 0.999",
        "dark": "--attack craft,space=dark(0.5)",
        "pgd": "--attack pgd,eps=0.3",
    }.items():
        out = tmp_path / name
        said = cli("craft", "photo.png", *shlex.split(MODEL), "--target", "3", *options.split(), "--out", out)
        assert said.code == 0, said.err
        found[name] = json.loads((out / "craft.json").read_text())
    assert 0.5 <= found["0.5"]["confidence"] < 0.9
    assert found["0.999"]["confidence"] >= 0.999
    assert found["0.5"]["visibility"]["l2"] < found["0.999"]["visibility"]["l2"]
    assert found["dark"]["visibility"]["changed"] < 0.9
    assert found["pgd"]["attack"]["name"] == "pgd"


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("grey.png", lambda: soft("L", (44, 40))),
        ("alpha.png", lambda: soft("RGBA", (44, 40))),
        ("cmyk.jpg", lambda: soft("CMYK", (44, 40))),
        ("sixteen.png", lambda: Image.fromarray((np.arange(44 * 40, dtype=np.uint16) * 37).reshape(40, 44))),
        ("turned.jpg", lambda: soft("RGB", (44, 40))),
    ],
)
def test_photographs_of_every_kind_are_read_as_people_see_them(
    name: str, made: object, folder: Path, tmp_path: Path
) -> None:
    assert callable(made)
    exif = Image.Exif()
    if name.startswith("turned"):
        exif[0x0112] = 6
    made().save(tmp_path / name, exif=exif)
    loaded = load_model("resnet20", weights=folder / "resnet20.safetensors")
    photograph = Photograph.of(read_photograph(tmp_path / name), loaded)
    height, width = (44, 40) if name.startswith("turned") else (40, 44)
    assert photograph.pixels.shape == (3, height, width)
    assert photograph.pixels.dtype == torch.uint8


def huge_png() -> bytes:
    """A PNG that says 30,000 x 30,000 pixels in its header."""
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0),
        b"IDAT": zlib.compress(b""),
        b"IEND": b"",
    }
    written = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks.items()
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


BAD = {
    "craft text.jpg MODEL --out OUT": "text.jpg is not an image",
    "craft cut.jpg MODEL --out OUT": "cut.jpg is not an image or is truncated",
    "craft dot.png MODEL --out OUT": "dot.png is too small: 1 x 1 pixels",
    "craft huge.png MODEL --out OUT": "huge.png is too large",
    "craft none.png MODEL --out OUT": "cannot read 'none.png': No such file",
    "craft none.png --model torchvision:squeezenet1_0 --out OUT": "cannot read 'none.png': No such file",
    "craft photo.png MODEL --mean 0.5 --out OUT": "expected mean and std together",
    "craft photo.png other.png dot.png MODEL --out OUT": "dot.png is too small",
    "craft photo.png NAMED --target froog --out OUT": "no class is called 'froog'; did you mean 'frog'?",
    "craft photo.png MODEL --target 10 --out OUT": "expected a class index below 10, got 10",
    "craft photo.png MODEL --target 1 --target 10 --out OUT": "expected a class index below 10, got 10",
    "craft photo.png MODEL --target PRESENT --out OUT": "already; choose another target",
    "craft photo.png MODEL --confidence 1 --out OUT": "expected a confidence between 0 and 1, got 1",
    "craft photo.png MODEL --attack craft,space=drak --out OUT": "did you mean 'dark'?",
    "craft photo.png MODEL --attack craft --attack pgd --attack craft --out OUT": "expected different attacks",
    "craft photo.png MODEL --attack universal-sgd --out OUT": "universal-sgd",
    "craft photo.png MODEL --out full": "'full' is not empty",
    "craft photo.png MODEL --out photo.png": "got the file 'photo.png'",
    "craft photo.png MODEL --out photo.png/out": "is a file; choose another --out directory",
    "craft photo.png --model torchvision:squeezenet1_0 --weights none.safetensors --out OUT": "none.safetensors",
    "craft photo.png --model nothing --out OUT": "unknown model 'nothing'",
    "craft MODEL --out OUT": "PHOTO",
    "craft photo.png MODEL": "expected --out DIR",
}


@pytest.mark.parametrize("line", BAD)
def test_mistakes_are_one_line_and_leave_nothing(
    line: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    monkeypatch.chdir(folder)
    whole = io.BytesIO()
    soft("RGB", (44, 40)).save(whole, "JPEG")
    for name, data in {
        "text.jpg": b"no image",
        "cut.jpg": whole.getvalue()[: len(whole.getvalue()) // 2],
        "huge.png": huge_png(),
        "full/thing": b"",
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    save(folder / "dot.png", "RGB", (1, 1))
    loaded = load_model("digits-cnn", weights=folder / "trained.safetensors")
    crafter = Crafter(classifier=loaded, fit=loaded.fit, way=None)  # type: ignore[arg-type]
    present = int(crafter.look(Photograph.of(read_photograph(folder / "photo.png"), loaded).pixels).argmax())
    text = (
        line.replace("MODEL", MODEL)
        .replace("NAMED", NAMED)
        .replace("PRESENT", str(present))
        .replace("OUT", str(tmp_path / "out"))
    )
    before = files_in(folder)
    said = cli(*shlex.split(text))
    assert said.code == 2, said.err
    assert BAD[line] in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert said.out == ""
    assert files_in(folder) == before
    assert list(tmp_path.iterdir()) == []


def test_a_wish_that_fails_for_the_second_photograph_is_refused_before_the_first(folder: Path, tmp_path: Path) -> None:
    loaded = load_model("digits-cnn", weights=folder / "trained.safetensors")
    crafter = Crafter(classifier=loaded, fit=loaded.fit, way=Way("craft", Craft()))
    photographs = [Photograph.of(read_photograph(folder / name), loaded) for name in ("photo.png", "other.png")]
    seen = [int(crafter.look(one.pixels).argmax()) for one in photographs]
    first, second = photographs if seen[0] != seen[1] else (photographs[0], photographs[0])
    wishes = [str(seen[1])] if seen[0] != seen[1] else ["next-best", str(seen[0])]
    with pytest.raises(BrittleError, match="already"):
        run(Crafting(loaded, loaded.fit, [first, second], wishes, [crafter.way]), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
