"""What differs between devices, and that nothing of it shows in what comes out."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from brittle import devices
from brittle.geometry import l1_budget
from brittle.geometry.box import room
from brittle.geometry.levels import best_levels, to_8bit
from brittle.geometry.norms import L1, L2, Lp
from brittle.geometry.scaling import scaled_to


def test_when_a_loop_asks() -> None:
    cpu, elsewhere = torch.device("cpu"), torch.device("cuda")
    assert all(devices.is_due(step, 10, cpu) for step in range(10))
    assert [step for step in range(10) if devices.is_due(step, 10, elsewhere)] == [3, 7, 9]


class NeverTogether(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A device without float64, as far as a CPU shows it: what is in float64 is elsewhere, and meets nothing."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        met = {one.dtype for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor) and one.is_floating_point()}
        assert {torch.float32, torch.float64} - met, f"{func} of both float32 and float64"
        return func(*args, **(kwargs or {}))


IMAGES = to_8bit(torch.rand(4, 3, 5, 5, generator=torch.Generator().manual_seed(0)))
DELTA = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(1)) / 4
RADII = torch.tensor([0.1, 0.5, 1.0, 2.0])
WIDE = {
    "project l1": lambda: L1.project(DELTA, RADII),
    "project l1.5": lambda: Lp(1.5).project(DELTA, RADII),
    "project l3": lambda: Lp(3.0).project(DELTA, RADII),
    "to plane l1.5": lambda: Lp(1.5).to_plane(RADII, DELTA, room(IMAGES)),
    "spend": lambda: l1_budget.spend(DELTA, 1.0, room(IMAGES)),
    "project l1 and box": lambda: l1_budget.project(DELTA, RADII, room(IMAGES)),
    "scaled": lambda: scaled_to(IMAGES, DELTA, RADII, L2)[0],
    "levels": lambda: best_levels(L2, IMAGES, IMAGES, DELTA, RADII / 100, RADII),
}


@pytest.mark.parametrize("name", WIDE)
def test_float64_comes_and_goes_whole(name: str) -> None:
    with NeverTogether():  # type: ignore[no-untyped-call]
        found = WIDE[name]()
    assert found.dtype == torch.float32
    assert found.shape == IMAGES.shape


def test_where_float64_is() -> None:
    assert devices.doubled(torch.ones(2)).dtype == torch.float64
    moved = []

    class Apple:  # PyTorch makes no tensor for a device that it was not built for
        device = torch.device("mps")

        def to(self, *where: object) -> None:
            moved.append(where)

    devices.doubled(Apple())  # type: ignore[arg-type]
    assert moved == [("cpu", torch.float64)]
