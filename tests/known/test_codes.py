"""Training recipes beyond the usual one: weight decay by layer, and codes that are learnt without labels."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal, kl_divergence
from torch.nn import functional

from brittle.errors import BrittleError
from brittle.models.architectures import ARCHITECTURES
from brittle.models.architectures.mlp import MLP, CodeClassifier
from brittle.models.trainable import trainable
from brittle.train import RECIPES
from brittle.train.batches import Batch, Normalised, Pixels
from brittle.train.classifier import Setting, Trained, initialised, train
from brittle.train.coding import Autoencoder, Variational, contraction, divergence, quiet
from brittle.train.decayed import Szegedy
from known.test_training import pixels

pytestmark = pytest.mark.usefixtures("one_thread")


def batch(count: int = 12) -> Batch:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, 1, 8, 8, generator=generator)
    return Batch(images, torch.arange(count) % 10, Normalised((0.0,), (1.0,)), 0, 1, 1)


def trained(name: str, recipe: str, data: Pixels | None = None) -> Trained:
    some = pixels(60) if data is None else data
    build = trainable(name).build
    return train(lambda: build(10), Setting(RECIPES.one(recipe), some, some.first(20), 0))


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("fc10", 785 * 10),
        ("fc100-100-10", 785 * 100 + 101 * 100 + 101 * 10),
        ("fc200-200-10", 785 * 200 + 201 * 200 + 201 * 10),
        ("fc123-456-10", 785 * 123 + 124 * 456 + 457 * 10),
        ("ae400-10", 785 * 400 + 401 * 10),
    ],
)
def test_the_networks_of_the_paper_have_as_many_parameters_as_their_names_say(name: str, count: int) -> None:
    assert ARCHITECTURES[name].parameters == count


def test_a_hidden_unit_is_a_sigmoid() -> None:
    net = initialised(lambda: MLP(64, [3], 2), 0)
    first, _, last = net.layers  # type: ignore[misc]
    hidden = 1 / (1 + (-(batch().images.flatten(1) @ first.weight.T + first.bias)).exp())
    assert torch.allclose(net(batch().images), hidden @ last.weight.T + last.bias, atol=1e-6)


def test_weights_decay_by_layer_and_units_and_biases_do_not() -> None:
    net = initialised(lambda: MLP(64, [16, 12], 10), 0)
    task = Szegedy(decay=0.3, last_decay=0.7).task(net)
    (move,) = task.moves({"classifier": net}, batch())
    one, two, last = (module.weight for module in net.modules() if isinstance(module, nn.Linear))
    by_hand = 0.3 * ((one**2).sum() / 16 + (two**2).sum() / 12) + 0.7 * (last**2).sum() / 10
    entropy = functional.cross_entropy(net(batch().images), batch().labels)
    assert move.loss.item() == pytest.approx((entropy + by_hand).item(), rel=1e-6)
    assert move.told["loss"].item() == pytest.approx(12 * entropy.item())


def test_a_strong_decay_leaves_small_weights_and_pixels_stay_as_they_are() -> None:
    sizes = [
        trained("digits-fc10", f"szegedy,epochs=40,batch=20,peak_rate=0.05,last_decay={decay}").state
        for decay in (0, 0.1, 1)
    ]
    norms = [float(state["layers.0.weight"].norm()) for state in sizes]
    assert norms[0] > 1.3 * norms[1] > 2 * norms[2]
    some = pixels(60)
    setting = Setting(Szegedy(), some, some, 0)
    assert (setting.normalised.mean, setting.normalised.std) == ((0.0,), (1.0,))


def test_the_contraction_is_the_jacobians_squared_norm() -> None:
    encoder = nn.Sequential(nn.Linear(5, 3), nn.Sigmoid()).double()
    points = torch.rand(4, 5, dtype=torch.float64)
    jacobians = [torch.func.jacrev(encoder)(point) for point in points]
    by_hand = torch.stack([(one**2).sum() for one in jacobians]).mean()
    assert contraction(encoder(points), encoder[0].get_parameter("weight")).item() == pytest.approx(
        by_hand.item(), rel=1e-12
    )


def test_divergences_are_those_of_the_distributions() -> None:
    mean, log_variance = torch.randn(2, 6, 4, dtype=torch.float64)
    exact = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(torch.zeros(6, 4), torch.ones(6, 4)))
    assert divergence(mean, log_variance).item() == pytest.approx(exact.sum(1).mean().item(), rel=1e-9)
    code = torch.rand(6, 4, dtype=torch.float64)
    exact = kl_divergence(Bernoulli(torch.tensor(0.1, dtype=torch.float64)), Bernoulli(code.mean(0))).sum()
    assert quiet(code, 0.1).item() == pytest.approx(exact.item(), rel=1e-9)


CODES = [
    ("digits-ae32-10", "autoencoder,epochs=2,batch=16"),
    ("digits-ae32-10", "autoencoder,epochs=2,batch=16,noise=0.3,sparsity=0.5,contraction=0.1"),
    ("digits-vae32-8-16-10", "variational,epochs=2,batch=16"),
]


@pytest.mark.parametrize(("name", "recipe"), CODES)
def test_an_encoder_never_hears_of_labels(name: str, recipe: str) -> None:
    some = pixels(60)
    one, other = (trained(name, recipe, Pixels(some.values, labels)) for labels in (some.labels, some.labels.flip(0)))
    same = {key: torch.equal(one.state[key], other.state[key]) for key in one.state}
    assert {key.partition(".")[0] for key, equal in same.items() if equal} == {"encoder"}
    assert {key.partition(".")[0] for key, equal in same.items() if not equal} == {"head"}


@pytest.mark.parametrize(("name", "recipe"), CODES)
def test_images_are_given_back_better_and_better(name: str, recipe: str) -> None:
    rows = trained(name, recipe.replace("epochs=2", "epochs=12")).rows
    assert rows[-1]["reconstruction"] < rows[0]["reconstruction"]
    assert rows[-1]["loss"] < rows[0]["loss"]


def test_each_kind_of_autoencoder_is_what_it_is_called() -> None:
    """More of a penalty, less of what it is against."""
    images = (pixels(60).values.float() / 255).flatten(1)

    def coder(recipe: str) -> tuple[Tensor, Tensor]:
        state = trained("digits-ae32-10", f"autoencoder,epochs=20,batch=16{recipe}").state
        weight: Tensor = state["encoder.0.weight"]
        return torch.sigmoid(images @ weight.T + state["encoder.0.bias"]), weight

    plain, sparse, tight = (coder(one) for one in ("", ",sparsity=20", ",contraction=5"))
    assert abs(sparse[0].mean() - 0.1) < abs(plain[0].mean() - 0.1) / 2
    assert contraction(*tight) < contraction(*plain) / 2


@pytest.mark.parametrize(
    ("recipe", "net", "message"),
    [
        (Autoencoder(), MLP(64, []), "expected a classifier on a code for the recipe autoencoder, such as ae400-10"),
        (Variational(), MLP(64, []), "on a code for the recipe variational"),
        (Variational(), CodeClassifier(64, [8], sigmoid=True), "expected a code that may have any value"),
        (Autoencoder(contraction=1.0), CodeClassifier(64, [8, 4], sigmoid=True), "an encoder of one sigmoid layer"),
    ],
)
def test_a_network_that_a_recipe_cannot_train_is_refused(recipe: Any, net: nn.Module, message: str) -> None:
    with pytest.raises(BrittleError, match=message):
        recipe.task(net)
