"""What training is made of: schedule, augmentation, halves, batches, and a loop that stops anywhere."""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from kit import seeded
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Optimizer

from brittle.errors import BrittleError
from brittle.models.digits_cnn import DigitsCNN
from brittle.train import loop
from brittle.train.batches import Augmentation, Batch, Batches, Normalised, Pixels, moved
from brittle.train.classifier import Setting, initialised, train
from brittle.train.halves import positions_on
from brittle.train.lightning import fabric_of
from brittle.train.loop import Loop, Progress
from brittle.train.recipe import Move, Networks
from brittle.train.schedule import one_cycle
from brittle.train.standard import Classifying, Standard

COUNT, SIDE = 22, 8


def pixels(count: int = COUNT, channels: int = 1) -> Pixels:
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(0, 256, (count, SIDE, SIDE, channels), dtype=torch.uint8, generator=generator)
    return Pixels(values, torch.arange(count) % 10)


def batches(epochs: int = 3, seed: int = 0, **augmented: Any) -> Batches:
    some = pixels()
    return Batches(some, Normalised.of(some), Augmentation(**augmented), 8, epochs, seed)


def test_one_cycle_is_its_closed_form() -> None:
    rates = [one_cycle(progress, 0.4, 0.25) for progress in (0.0, 0.125, 0.25, 0.625, 1.0)]
    assert rates == pytest.approx([0.016, 0.208, 0.4, 0.2, 0.0], abs=1e-12)
    down = one_cycle(0.5, 1.0, 0.25)  # a third of the way down
    assert down == pytest.approx(0.5 * (1 + math.cos(math.pi / 3)))


def test_a_flip_twice_and_a_move_by_nothing_change_nothing() -> None:
    values, rows = pixels().values, torch.tensor([5, 0, 5, 21])
    flips, still = torch.tensor([True, False, True, True]), torch.zeros(4, dtype=torch.int64)
    once = moved(values, rows, flips, still, still)
    assert torch.equal(once[[0, 2, 3]], values[rows[[0, 2, 3]]].flip(2))
    assert torch.equal(once[1], values[0])
    assert torch.equal(moved(once, torch.arange(4), flips, still, still), values[rows])


def test_a_shift_keeps_pixels_and_mirrors_what_moves_in() -> None:
    values = pixels(channels=3).values
    down, right = torch.tensor([2, -1]), torch.tensor([0, 3])
    shifted = moved(values, torch.tensor([0, 1]), torch.zeros(2, dtype=torch.bool), down, right)
    assert torch.equal(shifted[0, 2:], values[0, :-2])
    assert torch.equal(shifted[0, :2], values[0, 1:3].flip(0))
    assert torch.equal(shifted[1, :-1, 3:], values[1, 1:, :-3])
    assert torch.equal(shifted[1, -1, 3:], values[1, -2, :-3])
    for before, after in zip(values, shifted, strict=False):
        known = {tuple(pixel) for pixel in before.flatten(0, 1).tolist()}
        assert {tuple(pixel) for pixel in after.flatten(0, 1).tolist()} <= known


def test_chance_moves_within_what_is_allowed_and_flips_half() -> None:
    ramp = torch.arange(SIDE, dtype=torch.uint8).repeat(1, SIDE, 1).unsqueeze(3)
    many = Augmentation(flip=True, shift=1).picked(ramp, torch.zeros(4_000, dtype=torch.int64), torch.Generator())
    ups = many[:, 0, 5, 0].int() - many[:, 0, 2, 0].int()
    assert (ups == 3).float().mean().item() == pytest.approx(0.5, abs=0.03)
    starts = many[ups == 3, 0, 3, 0]
    assert sorted(set(starts.tolist())) == [2, 3, 4]


def test_halves_have_nothing_in_common_and_are_everything() -> None:
    labels = (torch.arange(1_003) % 7 % 5).tolist()  # classes of different sizes
    one, two = (positions_on(on, labels) for on in ("half-1", "half-2"))
    assert sorted(one + two) == positions_on("all", labels) == list(range(1_003))
    for label in range(5):
        counts = [sum(labels[position] == label for position in half) for half in (one, two)]
        assert abs(counts[0] - counts[1]) <= 1
    assert abs(len(one) - len(two)) == 1
    first = [position in one for position in range(1_003) if labels[position] == 0]
    assert first != [
        first[0] ^ (turn % 2 == 1) for turn in range(len(first))
    ]  # not by turns, which data in pairs would feel
    with pytest.raises(BrittleError, match=r"half-1 or half-2, got 'half-3'; did you mean 'half-\d'\?"):
        positions_on("half-3", labels)


def test_an_epoch_is_each_image_once_in_an_order_of_its_own() -> None:
    steps = batches()
    epochs = [torch.cat([steps.rows(3 * epoch + part) for part in range(3)]).tolist() for epoch in range(3)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(COUNT))] * 3
    assert epochs[0] != epochs[1] != epochs[2]
    assert [len(steps.rows(step)) for step in range(3)] == [7, 7, 8]  # and not 8, 8, 6
    shares = [steps.at(4, rank, 2).labels for rank in range(2)]
    assert sorted(torch.cat(shares).tolist()) == sorted(steps.at(4).labels.tolist())


def test_a_batch_is_normalised_and_channels_last() -> None:
    some = pixels(400, channels=3)
    steps = Batches(some, Normalised.of(some), Augmentation(), 400, 1, 0)
    images = steps.at(0).images
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert images.mean((0, 2, 3)).tolist() == pytest.approx([0.0] * 3, abs=1e-3)
    assert images.std((0, 2, 3)).tolist() == pytest.approx([1.0] * 3, abs=1e-3)


class Duel:
    """Two numbers that answer to each other: each move is known in closed form."""

    def __init__(self) -> None:
        self.networks: Networks = {"one": nn.Linear(1, 1, bias=False), "two": nn.Linear(1, 1, bias=False)}
        for net in self.networks.values():
            nn.init.ones_(net.weight)  # type: ignore[arg-type]
        self.optimisers: Mapping[str, Optimizer] = {
            name: SGD(net.parameters(), lr=9.0) for name, net in self.networks.items()
        }

    def rate(self, progress: float) -> float:
        return 0.5

    def moves(self, networks: Networks, batch: Batch) -> Iterator[Move]:
        one, two = (networks[name](torch.ones(1, 1)).squeeze() for name in ("one", "two"))
        yield Move("one", one * two.detach(), {"one": one.detach()})  # one falls by half of two
        one = networks["one"](torch.ones(1, 1)).squeeze()
        yield Move("two", two * one.detach(), {})  # two by half of what one has become


def test_several_networks_take_their_moves_in_turn() -> None:
    duel = Duel()
    rows, *_ = Loop(duel, batches(epochs=1), fabric_of("fp32", "cpu")).run()
    one = two = 1.0
    seen = []
    for _ in range(3):
        seen.append(one)
        one -= 0.5 * two
        two -= 0.5 * one
    weights = [float(next(net.parameters()).detach()) for net in duel.networks.values()]
    assert weights == pytest.approx([one, two])
    assert rows[0]["one"] == pytest.approx(sum(seen) / COUNT)


def drawing() -> nn.Module:
    """A network with dropout, which draws by itself, and with a batch norm, which remembers."""
    net = DigitsCNN()
    return nn.Sequential(net.features, nn.Dropout2d(0.3), net.head)


class Stop(Exception):
    pass


def trained(scratch: Path | None = None, stop: int | None = None, seed: int = 0) -> tuple[dict[str, Tensor], Any]:
    """The weights and rows of a short training, which may end before a step is kept."""

    def tell(progress: Progress) -> None:
        if progress.done == stop:
            raise Stop

    torch.manual_seed(torch.seed())  # whatever the global generator does
    net = initialised(drawing, seed)
    task = Classifying(Standard(epochs=3, batch=8, peak_rate=0.1), net)
    rows, *_ = Loop(
        task, batches(seed=seed, flip=True, shift=1), fabric_of("fp32", "cpu"), scratch=scratch, on_step=tell
    ).run()
    return net.state_dict(), [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "SECONDS", 0.0)
    monkeypatch.setattr(loop, "_OFTEN", 0.0)


def test_stopped_anywhere_and_resumed_it_ends_with_the_same_weights(
    every_step: None, one_thread: None, tmp_path: Path
) -> None:
    state, rows = trained()
    assert len(rows) == 3
    for stop in (1, 2, 3, 5, 9):
        scratch = tmp_path / f"{stop}"
        scratch.mkdir()
        with pytest.raises(Stop):
            trained(scratch, stop)
        assert (scratch / "checkpoint.pt").exists() == (stop > 1)
        again, others = trained(scratch)
        assert all(torch.equal(again[name], state[name]) for name in state)
        assert others == rows
    other, _ = trained(seed=1)
    assert not all(torch.equal(other[name], state[name]) for name in state)


def test_a_step_on_a_cpu_prepares_no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[int]()
    monkeypatch.setattr(torch.cuda, "manual_seed_all", asked.append)
    trained()
    assert len(asked) == 3, "twice by the test, once for the weights to begin with, never for a step"


def test_two_processes_share_each_batch() -> None:
    """As several GPUs do, here on the CPU: all images are counted, and without batch norms the weights are the same."""
    some = pixels(32)
    recipe = Standard(epochs=2, batch=16, peak_rate=0.1, flip=False, shift=0)
    alone, together = (train(Plain, Setting(recipe, some, some.first(8), 0, devices=devices)) for devices in (1, 2))
    for row, other in zip(alone.rows, together.rows, strict=True):
        assert row["loss"] == pytest.approx(other["loss"], rel=1e-5)
        assert (row["accuracy"], row["held_out"]) == (other["accuracy"], other["held_out"])
    for name, tensor in alone.state.items():
        assert torch.allclose(tensor, together.state[name], atol=1e-6)


class Plain(nn.Sequential):
    """No batch norm, whose statistics would be those of a process's own share."""

    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(SIDE * SIDE, 10))


def test_a_checkpoint_that_would_have_to_run_code_is_not_read(every_step: None, tmp_path: Path) -> None:
    with pytest.raises(Stop):
        trained(tmp_path, 4)
    trace = tmp_path / "trace"

    class Spy:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
            return os.mkdir, (str(trace),)

    torch.save({"standing": Spy()}, tmp_path / "checkpoint.pt")
    with pytest.raises(BrittleError, match=r"^cannot go on from '.*checkpoint.pt' .* delete it"):
        trained(tmp_path)
    assert not trace.exists()


def test_the_loss_is_the_smoothed_cross_entropy_and_nesterov_makes_the_step(one_thread: None) -> None:
    """One step by hand, beside that of the recipe."""
    recipe = Standard(epochs=1, batch=64, peak_rate=0.5, warm_up=0.5, momentum=0.8, decay=0.01, smoothing=0.2)
    net, own = (seeded(DigitsCNN(), 3).train() for _ in range(2))
    steps = Batches(pixels(), Normalised.of(pixels()), Augmentation(), 64, 1, 0)
    Loop(Classifying(recipe, net), steps, fabric_of("fp32", "cpu")).run()
    batch = steps.at(0)
    log = functional.log_softmax(own(batch.images), 1)
    true = log.gather(1, batch.labels[:, None]).squeeze(1)
    torch.autograd.backward(-(0.8 * true + 0.2 * log.mean(1)).mean())
    rate = 0.5 * 0.04
    for mine, theirs in zip(own.parameters(), net.parameters(), strict=True):
        assert mine.grad is not None
        gradient = mine.grad + (0.01 * mine.detach() if mine.ndim > 1 else 0.0)
        assert torch.allclose(theirs, mine - rate * 1.8 * gradient, atol=1e-6)
