"""Minimal attacks on networks that resist: nowhere may they give up, and nowhere stop far from what others find."""

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from brittle.attacks import FMN, BoundaryWalk, DeepFool, Minimal, ShrinkingBall
from brittle.data import load_data
from brittle.geometry.norms import L1, L2, LINF, Lp, Norm
from brittle.goals import Goal, Targeted, Untargeted
from known.affine import affine_problem
from known.quadric import run, sizes
from known.robust import trained

NORMS = [L1, L2, LINF]
by_norm = pytest.mark.parametrize("norm", NORMS, ids=str)
ROBUST = {
    "trades": ("TradesCNN", "mnist_trades_smallcnn"),
    "lenet5-adv": ("LeNet5", "mnist_advertorch_lenet5_adv"),
    "wong-0.1": ("wong_mnist", "mnist_wong_0_1"),
}


pytestmark = pytest.mark.usefixtures("one_thread")


class Threshold(nn.Module):
    """Sees only what is brighter than a half: the gradient at darker images is zero. Class 1 where that sums to 2."""

    def forward(self, images: Tensor) -> Tensor:
        score = (images.flatten(1) - 0.5).clamp_min(0).sum(1) - 2
        return torch.stack([-score, score], 1)


class Switch(nn.Module):
    """Class 1 where one pixel is bright and the rest is not; no gradient anywhere."""

    def forward(self, images: Tensor) -> Tensor:
        on = (images[:, 0, 1, 2] > 0.9) & (images.flatten(1).mean(1) < 0.4)
        score = torch.where(on, 1.0, -1.0) + 0 * images.flatten(1).sum(1)
        return torch.stack([-score, score], 1)


@pytest.mark.parametrize("norm", [L1, L2], ids=str)
@pytest.mark.parametrize("attack", [Minimal, ShrinkingBall])
def test_a_single_pixel_is_found_where_no_climb_leads(attack: Any, norm: Norm) -> None:
    images = torch.full((3, 1, 4, 4), 0.2)
    goal = Untargeted(torch.zeros(3, dtype=torch.int64))
    outcome = run(Switch(), images, goal, attack(norm=norm))
    assert outcome.claimed.all()
    halvings = 0.8 / 2**5  # what five of them leave of the way back
    assert float(sizes(norm, outcome, images).max()) <= 0.7 + halvings + 1e-6


@by_norm
@pytest.mark.parametrize("attack", [Minimal, ShrinkingBall])
def test_no_gradient_at_the_image_is_no_reason_to_give_up(attack: Any, norm: Norm) -> None:
    """The best is known: in L1 any 4 pixels in full, in Linf all of them alike; the walk alone finds nothing.

    A pixel that has once become dark has no gradient any more, so a descent ends where the last ones are bright.
    """
    images = torch.full((3, 1, 4, 4), 0.2)
    goal = Untargeted(torch.zeros(3, dtype=torch.int64))
    assert not run(Threshold(), images, goal, BoundaryWalk(norm=norm)).claimed.any()
    outcome = run(Threshold(), images, goal, attack(norm=norm))
    assert outcome.claimed.all()
    optimum = {L1: 4 * 0.8, L2: 4**0.5 * 0.8, LINF: 0.3 + 2 / 16}[norm]
    assert float((sizes(norm, outcome, images) / optimum).max()) < 1.5


@pytest.mark.parametrize("norm", [*NORMS, Lp(3.0)], ids=str)
def test_affine_distance_is_the_closed_form(norm: Norm) -> None:
    problem = affine_problem(10, 48, norm.p, move=0.3 if norm == L1 else 0.05)  # type: ignore[attr-defined]
    for goal in (problem.goal, Targeted(_nearest(problem.net, problem.images))):
        outcome = run(problem.net, problem.images, goal, ShrinkingBall(norm=norm))
        assert outcome.claimed.all()
        ratio = sizes(norm, outcome, problem.images) / problem.distances
        assert float(ratio.min()) > 1
        assert float(ratio.median()) < (1.1 if norm == L1 else 1.03)  # in L1 the best is a single pixel


def _nearest(net: nn.Module, images: Tensor) -> Tensor:
    """Of affine classes whose normals are alike in size: the second largest logit."""
    classes: Tensor = net(images).topk(2, 1).indices[:, 1]
    return classes


@by_norm
def test_on_a_network_that_resists_nothing_is_left_and_nothing_is_far(norm: Norm) -> None:
    net, images, labels = trained()
    _check(norm, net, images, Untargeted(labels))


@by_norm
@pytest.mark.parametrize("name", ROBUST)
def test_on_real_networks_that_resist(name: str, norm: Norm, real_data: Path) -> None:
    net, images, labels = _real(name, real_data)
    _check(norm, net, images, Untargeted(labels))


def _check(norm: Norm, net: nn.Module, images: Tensor, goal: Goal) -> None:
    """Success wherever another has it, and not 10 % more than DeepFool or FMN but on one image in twenty."""
    minimal = run(net, images, goal, Minimal(norm=norm))
    assert minimal.claimed.all()
    for other in (DeepFool(norm=norm), FMN(norm=norm)):
        found = run(net, images, goal, other)
        best = torch.where(found.claimed, sizes(norm, found, images), torch.inf)
        worse = sizes(norm, minimal, images) > 1.1 * best
        assert int(worse.sum()) <= len(images) // 20, f"worse than {other} on {int(worse.sum())} images"


@cache
def _real(name: str, folder: Path) -> tuple[nn.Module, Tensor, Tensor]:
    spec = importlib.util.spec_from_file_location("definitions", folder / "weights" / "definitions.py")
    assert spec is not None
    assert spec.loader is not None
    definitions = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(definitions)
    factory, file = ROBUST[name]
    net: nn.Module = getattr(definitions, factory)().eval().requires_grad_(False)
    net.load_state_dict(load_file(folder / "weights" / f"{file}.safetensors"))
    examples = load_data(str(folder / "mnist" / "test.parquet"), limit=None, fit=None)
    assert examples.labels is not None
    images, labels = examples.images(0, 12), examples.labels[:12]
    right = (net(images).argmax(1) == labels).nonzero().squeeze(1)[:10]
    return net, images[right], labels[right]
