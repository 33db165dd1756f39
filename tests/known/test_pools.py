"""Training on pools of adversarial examples, and the control with noise: closed forms, mixtures, and resuming."""

from pathlib import Path
from typing import Any

import pytest
import torch
from kit import seeded
from torch import nn
from torch.nn import functional

from brittle.errors import BrittleError
from brittle.models.architectures.mlp import MLP
from brittle.train import RECIPES, Noisy, Pools, Standard
from brittle.train.batches import Batch
from brittle.train.noisy import noised
from brittle.train.pools import Pool, replaced, walked
from known.test_adversarial_training import batches, check_going_on, trained

PLAIN = Standard(epochs=3, batch=8, peak_rate=0.1, smoothing=0.0, flip=False, shift=0)


pytestmark = pytest.mark.usefixtures("one_thread")


def mlp() -> nn.Module:
    return seeded(MLP(64, [12, 9], 2), 3)


def layers(net: nn.Module) -> list[nn.Linear]:
    return [one for one in net.modules() if isinstance(one, nn.Linear)]


@pytest.mark.parametrize("hidden", [False, True])
def test_a_walk_goes_along_the_normal_to_just_beyond_the_boundary(hidden: bool) -> None:
    """Above the last layer of two classes the boundary is a plane, whose distance is a closed form."""
    batch = batches().at(0)
    net = mlp() if hidden else seeded(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), 1)
    last = layers(net)[-1]
    with torch.no_grad():
        before = net.layers[:-1](batch.images.flatten(1)) if hidden else batch.images.flatten(1)  # type: ignore[operator, index]
        logits = last(before)
    labels = torch.where(torch.arange(len(logits)) < 2, 1 - logits.argmax(1), logits.argmax(1))  # two are fooled anyway
    batch = batch._replace(labels=labels)
    normal = (last.weight[1 - labels] - last.weight[labels]).detach()
    gap = (logits.gather(1, labels[:, None]) - logits.gather(1, 1 - labels[:, None]))[:, 0]
    distance = gap / normal.norm(dim=1)
    found = walked(net, last if hidden else None, batch, 0.2, 10).flatten(1)
    step = 0.02 * before.norm(dim=1)
    steps = ((distance / step).floor() + 1).clamp(0, 10)
    steps[:2] = 0
    assert len(set(steps.tolist())) > 3
    expected = before + (steps * step / normal.norm(dim=1))[:, None] * normal
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_walked_images_stay_within_the_pixels() -> None:
    batch = batches().at(0)
    net = seeded(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), 1)
    labels = net(batch.images).argmax(1)
    far = walked(net, None, batch._replace(labels=labels), 50.0, 1)
    pixels = far * torch.tensor(batch.normalised.std) + torch.tensor(batch.normalised.mean)
    assert pixels.min() > -1e-6 and pixels.max() < 1 + 1e-6
    assert ((pixels < 1e-6) | (pixels > 1 - 1e-6)).float().mean() > 0.5


def test_the_loss_is_the_mixture_and_a_hidden_pool_trains_nothing_below_its_layer() -> None:
    batch, net = batches().at(0), mlp()
    task = Pools(size=40, fresh=8, share=0.25, recipe=PLAIN).task(net)
    (move,) = task.moves(task.networks, batch)
    clean = functional.cross_entropy(net(batch.images), batch.labels)
    images, low, high = task.pools
    assert [one.layer for one in task.pools] == [None, layers(net)[1], layers(net)[2]]
    losses = []
    torch.manual_seed(0)
    for pool in (images, low, high):
        assert isinstance(pool, Pool)
        with replaced(pool.layer, pool.values):
            given = pool.values if pool.layer is None else batch.images[: len(pool.labels)]
            losses.append(functional.cross_entropy(net(given), pool.labels, reduction="none").detach())
    assert all(one.mean() > clean + 0.005 for one in losses)
    worst, best = (sum(float(end(one)) for one in losses) / 3 for end in (torch.max, torch.min))
    hard = float(move.loss.detach() - 0.75 * clean.detach()) / 0.25
    assert best <= hard <= worst
    only = Pools(where="hidden", size=40, fresh=8, share=0.999, recipe=PLAIN).task(net)
    high = only.pools[1]
    assert isinstance(high, Pool) and high.layer is layers(net)[2]
    high.renew(torch.rand(4, 9), torch.tensor([0, 1, 0, 1]))
    net.zero_grad()
    with replaced(high.layer, high.values):
        functional.cross_entropy(net(batch.images[:4]), high.labels).backward()  # type: ignore[no-untyped-call]
    assert [one.weight.grad is not None and bool(one.weight.grad.abs().sum() > 0) for one in layers(net)] == [
        False,
        False,
        True,
    ]
    assert not any(one._forward_pre_hooks for one in net.modules())


def test_a_pool_fills_and_then_gives_way_by_chance() -> None:
    pool = Pool(None, 10)
    for number in range(4):
        pool.renew(torch.full((4, 1), float(number)), torch.full((4,), number))
        assert len(pool.labels) == min(4 * (number + 1), 10)
        assert torch.equal(pool.values[:, 0].long(), pool.labels)
    counts = pool.labels.bincount(minlength=4).tolist()
    assert counts[3] == 4 and sum(counts) == 10 and counts[0] < 4


@pytest.mark.parametrize("recipe", [Pools(size=11, fresh=4, recipe=PLAIN), Noisy(eps=0.1, recipe=PLAIN)])
def test_stopped_and_gone_on_it_ends_with_the_same_weights(
    recipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = check_going_on(recipe, mlp, tmp_path, monkeypatch)
    assert not all(torch.equal(whole[key], value) for key, value in trained(PLAIN, mlp()).items())


@pytest.mark.parametrize("kind", ["signs", "uniform"])
def test_noise_has_its_size_and_stays_within_the_pixels(kind: Any) -> None:
    batch: Batch = batches().at(0)
    std, mean = torch.tensor(batch.normalised.std), torch.tensor(batch.normalised.mean)
    change = (noised(batch, Noisy(kind=kind, eps=0.2)) - batch.images) * std
    assert change.abs().max() <= 0.2 + 1e-6
    assert ((change.abs() - 0.2).abs() < 1e-6).float().mean() > 0.99 if kind == "signs" else change.abs().mean() < 0.11
    assert abs(float(change.mean())) < 0.03
    pixels = (noised(batch, Noisy(kind=kind, eps=1.0)) * std) + mean
    assert pixels.min() > -1e-6 and pixels.max() < 1 + 1e-6


def test_normal_noise_has_its_standard_deviation_and_leaves_the_pixels() -> None:
    batch: Batch = batches().at(0)
    std, mean = torch.tensor(batch.normalised.std), torch.tensor(batch.normalised.mean)
    seen = noised(batch, Noisy(kind="normal", eps=0.25))
    change = (seen - batch.images) * std
    assert float(change.std()) == pytest.approx(0.25, rel=0.1)
    assert abs(float(change.mean())) < 0.03
    pixels = seen * std + mean
    assert pixels.min() < -0.1 and pixels.max() > 1.1


def test_what_has_no_hidden_layer_is_refused_and_the_options_are_read() -> None:
    with pytest.raises(BrittleError, match="expected a network with hidden layers for where=hidden, got Sequential"):
        Pools(where="hidden").task(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)))
    read = RECIPES.one("pools,where=input,recipe=szegedy(epochs=2)")
    assert (read.where, read.epochs) == ("input", 2)
