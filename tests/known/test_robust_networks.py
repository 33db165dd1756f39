"""Budget attacks on a network trained against PGD, where climbs from near the image get stuck."""

from functools import cache
from typing import Any

import pytest
from torch import Tensor

from brittle.attacks import APGD, FMN, PGD, PixelGreedy, Standard
from brittle.geometry.norms import L0, L1, L2, LINF, Norm
from brittle.goals import Untargeted
from brittle.models.network import Network
from brittle.rng import Rng
from known.robust import COUNT, trained

BUDGETS: dict[Norm, float] = {LINF: 0.2, L2: 1.0, L1: 2.0, L0: 2}


pytestmark = pytest.mark.usefixtures("one_thread")


@cache
def made_by(attack: Any) -> Tensor:
    """What an attack makes of all images."""
    net, images, labels = trained()
    rng = Rng(0, tuple(f"image {row}" for row in range(len(images))))
    made: Tensor = attack(Network(net), images, Untargeted(labels), rng=rng).images
    return made


def left(attack: Any, norm: Norm) -> int:
    """How many images stay right within the budget, by a pass of the network itself."""
    (net, images, labels), found = trained(), made_by(attack)
    inside = norm.measure(found - images) <= BUDGETS[norm] * (1 + 1e-5)
    return len(images) - int((inside & (net(found).argmax(1) != labels)).sum())


def test_apgd_in_l1_is_stronger_than_pgd_and_than_a_minimal_attack() -> None:
    eps = BUDGETS[L1]
    apgd = left(APGD(norm=L1, eps=eps), L1)
    assert 0 < apgd < len(trained()[1])
    assert apgd <= left(PGD(norm=L1, eps=eps, steps=100), L1)
    assert apgd <= left(FMN(norm=L1), L1)


def test_pgd_in_l1_is_no_longer_stuck_in_a_pixel() -> None:
    """With one channel in a step it leaves nearly all that a minimal attack fools."""
    assert left(PGD(norm=L1, eps=BUDGETS[L1], steps=100), L1) <= left(FMN(norm=L1), L1) + COUNT // 10


@pytest.mark.parametrize("norm", [L1, L2, LINF], ids=str)
def test_standard_leaves_no_more_than_any_part_or_minimal_attack(norm: Norm) -> None:
    eps = BUDGETS[norm]
    standard = left(Standard(norm=norm, eps=eps, queries=200), norm)
    assert 0 < standard < len(trained()[1])
    for other in (PGD(norm=norm, eps=eps, steps=50), APGD(norm=norm, eps=eps, loss="margin"), FMN(norm=norm)):
        assert standard <= left(other, norm)


def test_standard_in_l0_leaves_no_more_than_greedy_search() -> None:
    standard = left(Standard(norm=L0, eps=BUDGETS[L0], queries=200), L0)
    assert 0 < standard < len(trained()[1])
    assert standard <= left(PixelGreedy(), L0)
