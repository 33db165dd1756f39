"""Training against attacks: what is trained on is the strongest within the budget, and a collapse is noticed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from kit import seeded
from torch import Tensor, nn
from torch.nn import functional

from brittle.attacks import FGSM, PGD
from brittle.errors import BrittleError
from brittle.train import RECIPES, Adversarial, Quantised, Standard, Trades, attacked, loop
from brittle.train.attacked import Onward, ramped
from brittle.train.batches import Augmentation, Batch, Batches, Normalised, Pixels
from brittle.train.classifier import Setting, train
from brittle.train.lightning import fabric_of
from brittle.train.loop import Loop, Progress
from brittle.train.recipe import Move, Recipe, Task

EPS = 0.05
PLAIN = Standard(epochs=3, batch=8, peak_rate=0.1, smoothing=0.0, flip=False, shift=0)


pytestmark = pytest.mark.usefixtures("one_thread")


def batches() -> Batches:
    values = torch.randint(64, 192, (22, 8, 8, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pixels = Pixels(values, torch.arange(22) % 2)
    return Batches(pixels, Normalised.of(pixels), Augmentation(), 8, 3, 0)


def linear() -> nn.Module:
    """Two classes, and a batch norm that must not see attacked images but those it is trained on."""
    return seeded(nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(64, 2)), 1)


def farthest(net: nn.Module, batch: Batch, eps: float) -> Tensor:
    """Of a linear network: each pixel to its wall, against the label's weights (Goodfellow et al. 2015, section 5)."""
    weights: Tensor = net[2].weight.detach()  # type: ignore[index]
    against = (weights[1 - batch.labels] - weights[batch.labels]).sign().view_as(batch.images)
    return batch.images + eps / torch.tensor(batch.normalised.std) * against


@pytest.mark.parametrize("attack", [FGSM(eps=EPS), PGD(eps=EPS, steps=7), PGD(eps=EPS, random_start=True)])
def test_no_image_leaves_before_the_last_step(attack: Any) -> None:
    batch, net = batches().at(0), linear().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    images = attacked.attacked(net, batch, attack)
    assert torch.allclose(images, farthest(net, batch, EPS), atol=1e-5)
    assert net.training and all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def only(task: Task, batch: Batch, **networks: nn.Module) -> Move:
    (move,) = task.moves({**task.networks, **networks}, batch)
    return move


@pytest.mark.parametrize("share", [1.0, 0.5, 0.25])
def test_the_loss_is_goodfellows_mixture(share: float) -> None:
    batch, net = batches().at(0), linear().train()
    recipe = Adversarial(attack=FGSM(eps=EPS), share=share, watch=False, recipe=PLAIN)
    move = only(recipe.task(net), batch)
    clean, hard = (functional.cross_entropy(net(x), batch.labels) for x in (batch.images, farthest(net, batch, EPS)))
    assert move.loss.item() == pytest.approx(((1 - share) * clean + share * hard).item(), rel=1e-4)
    assert hard.item() > clean.item() + 0.05


def test_trades_adds_the_divergence_of_images_that_were_attacked_by_it() -> None:
    batch, net = batches().at(0), linear().eval()
    recipe = Trades(attack=PGD(eps=EPS, steps=20, random_start=True), beta=3.0, watch=False, recipe=PLAIN)
    move = only(recipe.task(net), batch)
    with torch.no_grad():
        clean = net(batch.images).softmax(1)
        both = [net(farthest(net, batch._replace(labels=labels), EPS)) for labels in (batch.labels, 1 - batch.labels)]
        farther = torch.stack([(clean * (clean.log() - one.log_softmax(1))).sum(1) for one in both])
        wanted = functional.cross_entropy(net(batch.images), batch.labels) + 3.0 * farther.amax(0).mean()
        nearer = functional.cross_entropy(net(batch.images), batch.labels) + 3.0 * farther.amin(0).mean()
    assert float(nearer) * 0.999 <= move.loss.item() <= float(wanted) * 1.001
    assert move.loss.item() == pytest.approx(float(wanted), rel=0.05)  # an image may climb to the other corner


def test_around_a_recipe_of_several_moves_each_has_a_divergence_of_its_own() -> None:
    """As an autoencoder's, whose second move would go back through what the first has used up."""
    net = linear()
    twice = Trades(attack=FGSM(eps=EPS), watch=False, recipe=PLAIN).task(net)
    inner = twice.inner.moves
    twice.inner.moves = lambda networks, batch: (move for _ in range(2) for move in inner(networks, batch))  # type: ignore[method-assign]
    for move in twice.moves(twice.networks, batches().at(0)):
        assert torch.autograd.grad(move.loss, list(net.parameters()))


def test_the_budget_and_the_step_grow_with_the_ramp() -> None:
    assert ramped(PGD(eps=0.3, step_size=0.1), 0.5) == PGD(eps=0.15, step_size=0.05)
    assert ramped(FGSM(eps=0.3), 1.0) == FGSM(eps=0.3)
    seen = []
    recipe = Adversarial(attack=PGD(eps=EPS, step_size=EPS), ramp=0.5, watch=False, recipe=PLAIN)
    net, steps = linear().eval(), batches()
    for step in (0, 2, 5, 8):
        batch = steps.at(step)
        move = only(recipe.task(net), batch)
        sizes = torch.linspace(0, EPS, 46)
        losses = [functional.cross_entropy(net(farthest(net, batch, float(size))), batch.labels) for size in sizes]
        seen.append(float(sizes[(torch.stack(losses) - move.loss).abs().argmin()]) / EPS)
    assert seen == pytest.approx([1 / 9 / 0.5, 3 / 9 / 0.5, 1, 1], abs=0.03)


def trained(recipe: Recipe, net: nn.Module, scratch: Path | None = None, stop: int | None = None) -> dict[str, Tensor]:
    def tell(progress: Progress) -> None:
        if progress.done == stop:
            raise KeyboardInterrupt

    Loop(recipe.task(net), batches(), fabric_of("fp32", "cpu"), scratch=scratch, on_step=tell).run()
    return net.state_dict()


def check_going_on(
    recipe: Recipe, build: Callable[[], nn.Module], scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Tensor]:
    """A training that is stopped now and then ends with the weights of one that is not: these."""
    monkeypatch.setattr(loop, "SECONDS", 0.0)
    monkeypatch.setattr(loop, "_OFTEN", 0.0)
    whole = trained(recipe, build())
    for stop in (2, 4, 7):
        with pytest.raises(KeyboardInterrupt):
            trained(recipe, build(), scratch, stop)
    again = trained(recipe, build(), scratch)
    assert all(torch.equal(again[key], whole[key]) for key in whole)
    return whole


@pytest.mark.parametrize("name", ["adversarial", "trades"])
def test_stopped_and_gone_on_it_ends_with_the_same_weights(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = RECIPES.named(name).type(attack=PGD(eps=EPS, steps=3, random_start=True), recipe=PLAIN)
    check_going_on(recipe, linear, tmp_path, monkeypatch)


def watched(
    monkeypatch: pytest.MonkeyPatch, looks: list[tuple[float, float]], ramp: float = 0.0
) -> tuple[nn.Module, Any]:
    """A training whose looks see these accuracies, by PGD and by what is trained against: the network, and what the
    loop returned."""
    told, net = iter([one for look in looks for one in look]), linear()

    def accuracy(net: nn.Module, batch: Batch, attack: Any) -> Tensor:
        return torch.tensor(next(told))

    monkeypatch.setattr(attacked, "_accuracy", accuracy)
    recipe = Adversarial(attack=FGSM(eps=EPS), ramp=ramp, recipe=PLAIN)
    return net, Loop(recipe.task(net), batches(), fabric_of("fp32", "cpu")).run()


def test_a_collapse_ends_the_training_with_the_weights_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    net, (rows, _, reason) = watched(monkeypatch, [(0.4, 0.5), (0.5, 0.5), (0.45, 0.6), (0.3, 0.7), (0.1, 0.9)])
    assert reason is not None and reason.startswith("catastrophic overfitting in epoch 2: accuracy under PGD fell")
    assert "from 50.0 % to 10.0 %, while that under fgsm(eps=0.05) is 90.0 %" in reason
    assert [row["epoch"] for row in rows] == [1, 2]
    monkeypatch.setattr(loop, "_OFTEN", 0.0)
    own = linear()  # the same training up to the third look, before its step
    recipe = Adversarial(attack=FGSM(eps=EPS), watch=False, recipe=PLAIN)
    with pytest.raises(KeyboardInterrupt):
        Loop(recipe.task(own), batches(), fabric_of("fp32", "cpu"), on_step=_until(2)).run()
    assert torch.equal(net[2].bias, own[2].bias)  # type: ignore[index]


def _until(step: int) -> Any:
    def tell(progress: Progress) -> None:
        if progress.done == step:
            raise KeyboardInterrupt

    return tell


def test_where_both_fall_nothing_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    _, (rows, _, reason) = watched(monkeypatch, [(0.4, 0.5), (0.5, 0.5), (0.1, 0.1), *[(0.5, 0.5)] * 6])
    assert reason is None and len(rows) == 3
    assert rows[0]["robust"] == pytest.approx((7 * 0.4 + 7 * 0.5 + 8 * 0.1) / 22)


def test_while_the_budget_grows_nothing_is_stopped_and_then_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    shaken = [(0.2, 0.5), (0.05, 0.5), (0.01, 0.5)]
    _, (rows, _, reason) = watched(monkeypatch, [*shaken, *[(0.4, 0.5)] * 6], ramp=0.5)
    assert reason is None and len(rows) == 3
    _, (rows, _, reason) = watched(monkeypatch, [*shaken, *[(0.01, 0.5)] * 6], ramp=0.5)
    assert reason is not None and "in epoch 2: accuracy under PGD fell from 20.0 % to 1.0 %" in reason
    assert len(rows) == 2


def test_what_never_begins_is_noticed_half_way(monkeypatch: pytest.MonkeyPatch) -> None:
    _, (rows, _, reason) = watched(monkeypatch, [(0.01, 0.9)] * 9)
    assert reason is not None and "in epoch 2: accuracy under PGD fell" not in reason
    assert "in epoch 2: accuracy under PGD is 1.0 %, while that under fgsm(eps=0.05) is 90.0 %" in reason
    assert "the weights are those of before, hardly trained. Train" in reason
    assert len(rows) == 2


def test_a_try_of_a_training_on_a_few_images_does_not_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look after each of its two steps took five times as long as the steps, and the estimate with it."""
    monkeypatch.setattr(attacked, "_accuracy", lambda *asked: pytest.fail("looked"))
    within = Adversarial(attack=FGSM(eps=EPS), recipe=PLAIN)
    pixels = Pixels(torch.zeros(22, 8, 8, 1, dtype=torch.uint8), torch.arange(22) % 2)
    for recipe in (within, Trades(attack=FGSM(eps=EPS), recipe=PLAIN), Quantised(recipe=within)):
        train(linear, Setting(recipe, pixels, pixels.first(4), seed=0).some(16))


@pytest.mark.parametrize("attack", ["minimal", "square(eps=0.1)", "boundary-walk"])
def test_only_gradients_under_a_budget_are_trained_against(attack: str) -> None:
    for name in ("adversarial", "trades"):
        with pytest.raises(BrittleError, match="under a budget that goes by gradients to train against, got"):
            RECIPES.one(f"{name},attack={attack}")


def test_the_goal_is_never_met() -> None:
    goal, logits = Onward(torch.tensor([0, 1])), torch.tensor([[-9.0, 9.0], [-9.0, 9.0]])
    assert not goal.is_met(logits).any() and not goal.is_surely_met(logits).any()
    assert len(goal[torch.tensor([1])]) == 1
