"""Whether an image's result depends on the batch it came in."""

from typing import Any

import torch
from torch import Tensor

from bench.report import Check, Section, Table
from bench.setting import first_images, resnet20
from brittle.attacks import FGSM, PGD, DeepFool
from brittle.catalog import label_of
from brittle.geometry.norms import LINF
from brittle.run.attack import attack

COUNT, BATCHES, SHUFFLED, TOLERANCE = 200, (1, 32, 100), 64, 1e-4


def section() -> Section:
    methods: list[Any] = [FGSM(eps=0.01), PGD(eps=0.01), DeepFool(), DeepFool(norm=LINF)]
    rows, worst, differing = [], 0.0, 0
    for method in methods:
        spread, differ, fooled = _compared(method)
        worst, differing = max(worst, spread), differing + differ
        rows.append((label_of(method), str(fooled), str(differ), f"{spread:.1e}"))
    settings = f"batch sizes {', '.join(map(str, BATCHES))}, and {SHUFFLED} in shuffled order"
    headings = ("attack", "fooled", "fooled in some settings only", "largest relative difference of a distance")
    return Section(
        title="Batch size and order",
        checks=(
            Check("fooled set, all settings", "the same", f"{differing} differ", differing == 0),
            Check("distances, all settings", f"within {TOLERANCE:.0e} relative", f"{worst:.1e}", worst <= TOLERANCE),
        ),
        tables=(Table(headings, tuple(rows)),),
        notes=(
            f"The first {COUNT} test images, right or wrong; {settings}."
            " Differences are (largest - smallest) / largest.",
        ),
    )


def _compared(method: Any) -> tuple[float, int, int]:
    """(largest relative difference of a fooled image's distance, images not fooled in all settings alike, fooled)."""
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(0))
    runs = [_run(method, batch_size, torch.arange(COUNT)) for batch_size in BATCHES]
    runs.append(_run(method, SHUFFLED, order))
    fooled = torch.stack([fooled for fooled, _ in runs])
    distances = torch.stack([distance for _, distance in runs])
    everywhere, somewhere = fooled.all(0), fooled.any(0)
    largest, smallest = distances.amax(0), distances.amin(0)
    spread = ((largest - smallest) / largest.clamp_min(1e-12))[everywhere]
    return float(spread.max()) if len(spread) else 0.0, int((somewhere & ~everywhere).sum()), int(everywhere.sum())


def _run(method: Any, batch_size: int, order: Tensor) -> tuple[Tensor, Tensor]:
    """Fooled and distance of every image, in the test set's order."""
    images, labels = first_images(COUNT)
    found = attack(resnet20(batch_size), images[order], labels[order], method)
    back = order.argsort()
    return found.fooled[back], found.distance(method.norm)[back]
