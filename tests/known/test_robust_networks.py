"""Budget attacks on a network trained against PGD, where climbs from near the image get stuck."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from brittle.attacks import APGD, FMN, PGD, PixelGreedy, Standard
from brittle.data import digits_split
from brittle.geometry.norms import L0, L1, L2, LINF, Norm
from brittle.goals import Untargeted
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from laws.worlds import one_thread

COUNT = 60
BUDGETS: dict[Norm, float] = {LINF: 0.2, L2: 1.0, L1: 2.0, L0: 2}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@cache
def trained() -> tuple[nn.Module, Tensor, Tensor]:
    """A small network after 100 steps against PGD at 0.2, and test images that it gets right."""
    train, test = digits_split()
    images, labels, wanted = train.images(0, len(train)), train.labels, test.labels
    assert labels is not None
    assert wanted is not None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(
            *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 10)),
        )
        optimiser = torch.optim.Adam(net.parameters(), lr=0.005)
        for step in range(100):
            rows = torch.randint(len(images), (64,))
            eps = 0.2 * min(1.0, step / 50)
            x, delta = images[rows], eps * (2 * torch.rand(64, 1, 8, 8) - 1)
            for _ in range(4):
                delta.requires_grad_()
                loss = functional.cross_entropy(net((x + delta).clamp(0, 1)), labels[rows])
                (gradient,) = torch.autograd.grad(loss, delta)
                delta = (delta.detach() + eps / 2 * gradient.sign()).clamp(-eps, eps)
            optimiser.zero_grad()
            torch.autograd.backward(functional.cross_entropy(net((x + delta).clamp(0, 1)), labels[rows]))
            optimiser.step()
        held_out = test.images(0, 2 * COUNT)
        right = (net(held_out).argmax(1) == wanted[: 2 * COUNT]).nonzero().squeeze(1)[:COUNT]
    return net.eval().requires_grad_(False), held_out[right], wanted[right]


def left(attack: Any, norm: Norm) -> int:
    """How many images stay right within the budget, by a pass of the network itself."""
    net, images, labels = trained()
    rng = Rng(0, tuple(f"image {row}" for row in range(len(images))))
    found = attack(Classifier(net), images, Untargeted(labels), rng=rng).images
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
