"""A folder of small inputs for the command line: good ones, and one for each kind of damage."""

import io
import json
import random
from collections import OrderedDict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from fake_run import make_run
from PIL import Image
from safetensors.torch import save, save_file
from torch import Tensor, nn

from brittle.models.architectures.cifar_resnet import CifarResNet
from brittle.models.architectures.registry import CIFAR10_CLASSES
from brittle.models.digits_cnn import DigitsCNN

PYTHON = """
import torch
from torch import nn

net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
number = 7

def grey():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

def needs_argument(depth):
    return grey()

def fails():
    raise RuntimeError("no such dataset\\nin the cupboard")

def returns_number():
    return 7

def four_dimensional():
    return nn.Conv2d(1, 4, 3)

def not_finite():
    made = grey()
    with torch.no_grad():
        made[1].bias.fill_(float("nan"))
    return made

def three_classes():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
"""


def seeded(net: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights of a plausible size, the same in every process; an untrained network is one like any other."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            fan = max(1, parameter[0].numel()) if parameter.ndim > 1 else 100
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * (2 / fan) ** 0.5)
    return net.eval()


def jpeg(seed: int, *, side: int = 32, mode: str = "RGB") -> bytes:
    """Noise, so that a good part of the file is its body."""
    size = side * side * (3 if mode == "RGB" else 1)
    buffer = io.BytesIO()
    Image.frombytes(mode, (side, side), random.Random(seed).randbytes(size)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def photos(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("touch evil-was-here",)


def make_kit(kit: Path) -> None:
    """Everything that the bad commands refer to."""
    _weights(kit)
    _images(kit)
    _tables(kit)
    _runs(kit)
    (kit / "mynets.py").write_text(PYTHON)
    (kit / "broken_net.py").write_text("import torch\nimport no_such_library_at_all\n")
    (kit / "notes.txt").write_text("just some notes\n")
    (kit / "foreign").mkdir()
    (kit / "foreign" / "thesis.tex").write_text("years of work")


def _weights(kit: Path) -> None:
    state: dict[str, Tensor] = seeded(DigitsCNN()).state_dict()
    good = save(state)
    (kit / "good.safetensors").write_bytes(good)
    (kit / "truncated.safetensors").write_bytes(good[: len(good) // 2])
    (kit / "empty.safetensors").write_bytes(b"")
    (kit / "text.safetensors").write_text("these are not weights\n" * 40)
    (kit / "page.pth").write_text("<!DOCTYPE html><html><body>404</body></html>")
    (kit / "weights").mkdir()
    torch.save({"net": state, "evil": _Evil()}, kit / "evil.pth")
    torch.save(OrderedDict((f"backbone.{name}", tensor) for name, tensor in state.items()), kit / "keys.pth")
    save_file({**state, "head.1.weight": torch.full_like(state["head.1.weight"], torch.nan)}, kit / "nan.safetensors")
    seven = {
        **state,
        "head.3.weight": state["head.3.weight"][:7].clone(),
        "head.3.bias": state["head.3.bias"][:7].clone(),
    }
    save_file(seven, kit / "seven.safetensors")
    save_file(seeded(CifarResNet()).state_dict(), kit / "resnet20.safetensors")


def _images(kit: Path) -> None:
    photos(kit / "photos", {f"{k:02d}.jpg": jpeg(k) for k in range(4)})
    photos(kit / "grey", {f"{k:02d}.jpg": jpeg(k, mode="L") for k in range(4)})
    photos(kit / "tiny", {"0.jpg": jpeg(0, side=8)})
    photos(kit / "liar", {"0.jpg": jpeg(0), "1.png": b"I only say that I am an image"})
    photos(kit / "cut", {"0.jpg": jpeg(0), "1.jpg": jpeg(1)[:900]})
    photos(kit / "unknown", {"zebra/0.jpg": jpeg(0), "car/1.jpg": jpeg(1), "trcuk/2.jpg": jpeg(2)})
    photos(kit / "swapped", {f"{name}/0.jpg": jpeg(0) for name in ("aardvark", *CIFAR10_CLASSES[:9])})
    (kit / "nothing").mkdir()


def _tables(kit: Path) -> None:
    def table(name: str, labels: list[int | None], column: str = "image") -> None:
        data = [{"bytes": jpeg(k), "path": None} for k in range(len(labels))]
        pq.write_table(pa.table({column: data, "label": pa.array(labels, pa.int64())}), kit / name)

    table("ten.parquet", list(range(10)))
    table("eleven.parquet", [0, 3, 10])
    table("negative.parquet", [0, -7, 1])
    table("gaps.parquet", [0, None, 1])
    table("columns.parquet", [0, 1], column="picture_of_it")
    table("rows.parquet", [])
    whole = (kit / "ten.parquet").read_bytes()
    (kit / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    (kit / "empty.parquet").write_bytes(b"")
    (kit / "text.parquet").write_text("not a table")


def _runs(kit: Path) -> None:
    made = make_run(kit / "run", n=20)
    newer = json.loads(made.model_dump_json()) | {"schema_version": 99}
    for name, text in {
        "newer": json.dumps(newer),
        "corrupt": made.model_dump_json()[:300],
        "list": "[1, 2, 3]",
        "missing": json.dumps(
            {key: value for key, value in json.loads(made.model_dump_json()).items() if key != "seed"}
        ),
    }.items():
        (kit / name).mkdir()
        (kit / name / "manifest.json").write_text(text)
    make_run(kit / "cutshard", n=20)
    shard = kit / "cutshard" / "records" / "resnet20" / "untargeted" / "deepfool" / "00000.parquet"
    shard.write_bytes(shard.read_bytes()[:500])
