"""The notebooks run from top to bottom, on little data that is made here, and hold no output of anybody's images."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torchvision
from kit import seeded
from notebooks import cells_of
from PIL import Image

from brittle.models.architectures.registry import CIFAR10_CLASSES

HERE = Path(__file__).parent
NOTEBOOKS = HERE.parents[1] / "examples" / "notebooks"
NAMES = ("cifar10", "first_adversarial_example", "imagenet", "research")


def folder_of_classes(place: Path) -> Path:
    """A few images of noise for each class of CIFAR-10."""
    generator = torch.Generator().manual_seed(0)
    for number, name in enumerate(CIFAR10_CLASSES):
        (place / name).mkdir(parents=True)
        for one in range(4):
            pixels = torch.randint(20 * number, 60 + 20 * number, (32, 32, 3), generator=generator, dtype=torch.uint8)
            Image.fromarray(pixels.numpy()).save(place / name / f"{one}.png")
    return place


def test_the_notebooks_run_from_top_to_bottom(tmp_path: Path) -> None:
    data = str(folder_of_classes(tmp_path / "noise"))
    net = seeded(torchvision.models.mobilenet_v3_small(weights=None))
    torch.save(net.state_dict(), tmp_path / "net.pt")
    little = {
        "cifar10": {
            "data": data,
            "train_data": data,
            "recipe": "standard,epochs=1",
            "count": 6,
            "methods": ["fgsm,eps=8/255:16/255", "deepfool"],
        },
        "first_adversarial_example": {"count": 40},
        "imagenet": {
            "model": "torchvision:mobilenet_v3_small",
            "weights": str(tmp_path / "net.pt"),
            "way": "pgd,eps=8/255,steps=2",
            "methods": ["fgsm,eps=4/255", "deepfool,max_steps=3"],
        },
        "research": {"count": 12},
    }
    asked = [[str(NOTEBOOKS / f"{name}.ipynb"), little[name]] for name in NAMES]
    beside = os.environ | {"BRITTLE_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, HERE / "notebooks.py"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=beside,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    shown = dict(re.findall(r"(\w+)\.ipynb (\d+)$", done.stderr, re.MULTILINE))
    assert set(shown) == set(NAMES)
    assert all(int(count) >= 3 for count in shown.values()), shown


def test_every_notebook_is_tried() -> None:
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_holds_no_output_and_can_be_installed_for(name: str) -> None:
    cells = cells_of(NOTEBOOKS / f"{name}.ipynb")
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in cells)
    installs = [cell for cell in cells if "skip-execution" in cell["metadata"].get("tags", [])]
    assert ["".join(cell["source"]).split('"')[1].split("[")[0] for cell in installs] == ["brittle"]
    assert cells[0]["cell_type"] == "markdown"
    assert len({cell["id"] for cell in cells}) == len(cells)
