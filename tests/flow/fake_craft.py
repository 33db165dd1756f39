"""Results of crafting as they might be, without a network."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from brittle.crafting.crafted import Crafted
from brittle.visibility.measures import Visibility

HOSTILE = "\"'>&</title></style><script>alert(1)</script><img src=x onerror=alert(1)>\udcff"
WISHES = ("ostrich", "random")


def noise(seed: int, side: int) -> Tensor:
    return torch.randint(0, 256, (3, side, side), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def crafted(photo: int, wish: int, *, side: int = 24, **changed: Any) -> Crafted:
    """One of a photograph and a wish; every number of it is its own."""
    number = 2 * photo + wish
    original = noise(photo, side)
    perturbed = (original.int() + noise(100 + number, side).int() % 7 - 3).clamp(0, 255).to(torch.uint8)
    target = "ostrich" if wish == 0 else f"fish {photo}"
    sure = 0.992 + number / 1000
    one = Crafted(
        photo=f"photo-{photo}.jpg",
        original=original,
        perturbed=perturbed,
        wish=WISHES[wish],
        target=9 + wish,
        target_name=target,
        before=((f"cat {photo}", 0.8), ("lynx", 0.1)),
        after=((target, sure), ("lynx", 0.001)),
        label_before=281,
        confidence=sure,
        claimed=True,
        fooled=True,
        reached=True,
        wanted=0.99,
        visibility=Visibility(0.2 + number / 100, 1.2 + number / 50, 0.995 + number / 5000, 1.0, 3.0, 0.5),
        attack="craft",
        steps=40 + number,
        passes=50 + number,
        backwards=40 + number,
        seconds=2.0 + number,
    )
    return replace(one, **changed)
