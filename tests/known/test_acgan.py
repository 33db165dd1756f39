"""Generators and critics in closed form, frames at equal distances, and how generated images are judged."""

from pathlib import Path

import numpy as np
import pytest
import torch
from kit import seeded
from torch import nn
from torch.nn import functional

from brittle.data import load_data
from brittle.errors import BrittleError
from brittle.measure.kid import discrepancy, kid
from brittle.models.architectures.acgan import NOISE, Discriminator
from brittle.models.digits_cnn import DigitsCNN
from brittle.models.features import features_of
from brittle.models.network import Network
from brittle.models.trainable import trainable
from brittle.studies.pictured import parquet_of, pictures_of
from brittle.train import RECIPES
from brittle.train.acgan import Acgan, Critic, Playing, clipped, gradient_penalty
from brittle.train.batches import Batch, Normalised
from brittle.train.classifier import Setting, Trained, train
from brittle.train.frames import Frames
from known.test_training import pixels

pytestmark = pytest.mark.usefixtures("one_thread")


def discriminator() -> Discriminator:
    net = seeded(trainable("digits-acgan").build(10))
    assert isinstance(net, Discriminator)
    return net


def batch(count: int = 6) -> Batch:
    generator = torch.Generator().manual_seed(1)
    return Batch(
        2 * torch.rand(count, 1, 8, 8, generator=generator) - 1,
        torch.arange(count) % 10,
        Normalised((0.0,), (1.0,)),
        0,
        1,
        1,
    )


def trained(recipe: str, scratch: Path | None = None) -> Trained:
    some = pixels(48)
    setting = Setting(RECIPES.one(recipe), some, some.first(20), 0)
    return train(lambda: trainable("digits-acgan").build(10), setting, scratch=scratch)


class Linear(nn.Module):
    """A score whose gradient is known: ``factor`` times the sum of all pixels."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.factor * images.flatten(1).sum(1), images.flatten(1)


@pytest.mark.parametrize("factor", [0.0, 0.05, 0.125, 1.0])
def test_the_gradient_penalty_of_a_linear_score(factor: float) -> None:
    critic = Linear(factor)
    penalty = gradient_penalty(critic, batch().images, -batch().images)
    assert penalty.item() == pytest.approx((8 * factor - 1) ** 2, abs=1e-6)  # the root of 64 pixels is 8
    penalty.backward()  # type: ignore[no-untyped-call]
    if factor:
        assert critic.factor.grad is not None
        assert critic.factor.grad.item() == pytest.approx(16 * (8 * factor - 1), rel=1e-5, abs=1e-5)


def test_clipping_keeps_weights_within_the_bound() -> None:
    critic = Critic(discriminator())
    clipped(critic, 0.02)
    values = torch.cat([one.detach().flatten() for one in critic.parameters()])
    assert values.abs().max().item() == pytest.approx(0.02)
    moves = Acgan(clip=0.01, penalty=0.0).task(critic.net)
    assert isinstance(moves, Playing)
    next(moves.moves(moves.networks, batch()))
    assert max(float(one.detach().abs().max()) for one in critic.net.parameters()) <= 0.01


def test_the_moves_are_the_losses_of_the_papers() -> None:
    task = Acgan(penalty=0.0, smoothing=0.2).task(discriminator())
    assert isinstance(task, Playing)
    given = batch()
    moves = task.moves(task.networks, given)
    torch.manual_seed(3)
    first = next(moves)
    torch.manual_seed(3)
    wanted = torch.randint(10, (6,))
    with torch.no_grad():
        made = task.networks["generator"](torch.randn(6, NOISE), wanted)
    real, real_logits = task.networks["critic"](given.images)
    fake, fake_logits = task.networks["critic"](made)
    classes = functional.cross_entropy(real_logits, given.labels, label_smoothing=0.2)
    by_hand = classes + functional.cross_entropy(fake_logits, wanted) + fake.mean() - real.mean()
    assert first.loss.item() == pytest.approx(by_hand.item(), rel=1e-5)
    torch.manual_seed(4)
    second = next(moves)
    torch.manual_seed(4)
    wanted = torch.randint(10, (6,))
    fake, fake_logits = task.networks["critic"](task.networks["generator"](torch.randn(6, NOISE), wanted))
    by_hand = functional.cross_entropy(fake_logits, wanted) - fake.mean()
    assert second.loss.item() == pytest.approx(by_hand.item(), rel=1e-4)
    assert [first.optimiser, second.optimiser] == ["critic", "generator"]
    assert next(moves, None) is None
    several = Acgan(critic_moves=3).task(discriminator())
    assert [move.optimiser for move in several.moves(several.networks, given)] == ["critic"] * 3 + ["generator"]


def test_the_optimisers_share_no_parameter_and_are_everything() -> None:
    task = Acgan().task(discriminator())
    mine = [{id(one) for group in each.param_groups for one in group["params"]} for each in task.optimisers.values()]
    every = {id(one) for net in task.networks.values() for one in net.parameters()}
    assert mine[0] & mine[1] == set()
    assert mine[0] | mine[1] == every


@pytest.mark.parametrize("name", ["acgan-mnist-slim", "acgan-cifar10-slim", "acgan-cifar10", "digits-acgan"])
def test_a_generator_makes_images_of_the_size_that_its_discriminator_takes(name: str) -> None:
    architecture = trainable(name)
    with torch.device("meta"):
        net = architecture.build(10)
        assert isinstance(net, Discriminator)
        images = net.generator()(torch.zeros(2, NOISE), torch.zeros(2, dtype=torch.int64))
        assert tuple(images.shape[1:]) == (architecture.fit.channels, architecture.fit.height, architecture.fit.width)
        assert tuple(net(images).shape) == (2, 10)


def test_the_assignments_networks_have_its_layers() -> None:
    with torch.device("meta"):
        net = trainable("acgan-cifar10").build(10)
        assert isinstance(net, Discriminator)
        generator = net.generator()
    layers = [one for one in net.modules() if isinstance(one, nn.Conv2d)]
    assert [one.stride[0] for one in layers] == [1, 2, 1, 2, 1, 1, 1, 2]
    assert {one.out_channels for one in layers} == {196}
    assert sum(isinstance(one, nn.Conv2d | nn.ConvTranspose2d) for one in generator.modules()) == 8
    assert generator.first == 4


def test_a_generator_is_told_the_class_in_the_place_of_noise() -> None:
    generator = seeded(discriminator().generator()).eval()
    noise = torch.randn(1, NOISE, generator=torch.Generator().manual_seed(0))
    other = noise.clone()
    other[:, :10] = 7.0
    labels = torch.tensor([3])
    assert torch.equal(generator(noise, labels), generator(other, labels))
    assert not torch.equal(generator(noise, labels), generator(noise, labels + 1))


def test_frames_come_at_equal_distances(tmp_path: Path) -> None:
    class Counting:
        frames = 4

        def frame(self) -> torch.Tensor:
            return torch.full((1, 1, 2, 2, 1), step, dtype=torch.uint8)

    frames = [Frames(Counting(), 10, scratch) for scratch in (None, tmp_path)]  # type: ignore[arg-type]
    for step in (1, 2, 3, 4, 5, 4, 5, 6, 7, 8, 9, 10):  # a stop, and some of it again
        for one in frames:
            one.after(step)
    for one in frames:
        assert [int(frame.flatten()[0]) for frame in one.all()] == [3, 5, 8, 10]


def test_the_game_goes_on_and_its_pictures_move(tmp_path: Path) -> None:
    made = trained("acgan,epochs=4,batch=16,frames=6,rate=0.002", tmp_path)
    assert set(made.rows[0]) >= {"loss", "accuracy", "distance", "held_out"}
    assert {name.partition(".")[0] for name in made.state} == {"features", "head"}
    assert len(made.frames) == 6
    assert len({frame.numpy().tobytes() for frame in made.frames}) == 6
    assert made.frames[0].shape == (10, 10, 8, 8, 1)
    assert made.generated is not None
    assert made.generated.labels[:12].tolist() == [*range(10), 0, 1]
    files = pictures_of("key", made, list("0123456789"))
    assert {name.rpartition("/")[2] for name in files} == {
        "filmstrip.png",
        "grid.png",
        "every.gif",
        "every-20th.gif",
        "key.parquet",
    }
    assert trained("acgan,generator=no,epochs=1").generated is None


def test_without_a_generator_it_is_the_same_network_by_itself() -> None:
    made = trained("acgan,generator=no,epochs=30,batch=16,rate=0.01")
    assert made.rows[-1]["accuracy"] > made.rows[0]["accuracy"]
    assert (made.frames, {name.partition(".")[0] for name in made.state}) == ((), {"features", "head"})


def test_what_is_no_discriminator_is_refused() -> None:
    with pytest.raises(BrittleError, match=r"expected a discriminator for the recipe acgan, such as .*, got DigitsCNN"):
        Acgan().task(DigitsCNN())


def test_generated_images_are_data_to_the_bit(tmp_path: Path) -> None:
    some = pixels(30, channels=3)
    file = tmp_path / "made.parquet"
    file.write_bytes(parquet_of(some, tuple("abcdefghij")))
    read = load_data(str(file))
    assert torch.equal((255 * read.images(0, 30)).round().byte().permute(0, 2, 3, 1), some.values)
    assert read.labels is not None
    assert torch.equal(read.labels, some.labels)
    assert read.class_names == tuple("abcdefghij")


def test_the_kernel_distance_by_hand() -> None:
    one, other = np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[1.0, 1.0], [3.0, 0.0]])
    # Kernels (x . y / 2 + 1)^3 of the pairs: within the first 1, within the second 2.5^3; across 1.5, 2.5, 2, 1 cubed.
    assert discrepancy(one, other) == pytest.approx(1 + 2.5**3 - 2 * (1.5**3 + 2.5**3 + 2**3 + 1) / 4)


def test_images_of_one_kind_are_at_distance_zero_and_others_are_not() -> None:
    draws = np.random.default_rng(0).normal(size=(3, 800, 16))
    same, moved = kid(draws[0], draws[1]), kid(draws[0], draws[2] + 0.5)
    assert same.low is not None and same.high is not None and moved.low is not None
    assert same.low < 0 < same.high
    assert moved.low > same.high
    assert same.of == 8


@pytest.mark.parametrize("count", [1, 3, 70])
def test_features_are_what_the_last_layer_sees_and_the_network_stays_as_it_was(count: int) -> None:
    net = seeded(DigitsCNN())
    images = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    layers = [one for one in net.modules() if isinstance(one, nn.Linear)]
    seen = features_of(Network(net), images)
    assert not layers[-1]._forward_pre_hooks
    with torch.no_grad():
        assert torch.allclose(layers[-1](seen), net.eval()(images), atol=1e-5)
