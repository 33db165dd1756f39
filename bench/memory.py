"""Peak memory of an audit of few and of many ImageNet-size images: it must not grow with their number."""

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torchvision.models import squeezenet1_0

from bench.report import Check, Section, Table
from brittle.api import audit
from brittle.attacks import DeepFool
from brittle.data import Examples
from brittle.models.network import Network
from brittle.types import Images

FEW, MANY, SIDE = 100, 1000, 224
MOST = 1.1


def section() -> Section:
    peaks = {count: _measured(count) for count in (FEW, MANY)}
    grown = peaks[MANY] / peaks[FEW]
    held = MANY * 3 * SIDE * SIDE * 4 / 2**20
    return Section(
        title="Memory",
        checks=(Check(f"peak memory, {MANY} images beside {FEW}", f"≤ {MOST:g}×", f"{grown:.2f}×", grown <= MOST),),
        tables=(
            Table(
                ("images", "peak memory of the process, MiB"),
                tuple((str(count), f"{peak:.0f}") for count, peak in peaks.items()),
            ),
        ),
        notes=(
            f"DeepFool with one step on SqueezeNet 1.0, images of {SIDE} x {SIDE} pixels; each audit, with its report,"
            f" in a process of its own. The {MANY} images alone would take {held:.0f} MiB.",
        ),
        facts={"MiB": {str(count): peak for count, peak in peaks.items()}},
    )


def _measured(count: int) -> float:
    ran = subprocess.run([sys.executable, "-m", "bench.memory", str(count)], capture_output=True, text=True, check=True)
    return float(json.loads(ran.stdout.splitlines()[-1]))


def _audit(count: int) -> None:
    """One audit of images that are drawn when they are asked for; prints the peak memory in MiB."""
    torch.manual_seed(0)

    def read(positions: Sequence[int]) -> Images:
        return torch.stack(
            [torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(position)) for position in positions]
        )

    examples = Examples(
        ids=tuple(f"{row:05d}" for row in range(count)),
        labels=None,
        class_names=None,
        source="random",
        fingerprint=f"random {count}",
        read=read,
    )
    with tempfile.TemporaryDirectory() as folder:
        audit(Network(squeezenet1_0()), examples, [DeepFool(max_steps=1, candidates=1)], out=Path(folder) / "run")
    print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10))


if __name__ == "__main__":
    _audit(int(sys.argv[1]))
