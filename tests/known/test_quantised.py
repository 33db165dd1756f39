"""Few bits: roundings, ranges and gradients by hand; training for them; the error that layers make larger."""

import copy

import pytest
import torch
from kit import seeded
from torch import nn

import brittle
from brittle.data import digits_split
from brittle.defend import Quantised, defended
from brittle.explain.amplification import amplified, relative
from brittle.goals import Untargeted
from brittle.models.quantised import QuantisedLinear, Range, orthogonality, quantise, rounded
from brittle.train import RECIPES, Standard
from brittle.train import Quantised as Recipe
from brittle.train.batches import Augmentation, Batches, Normalised, Pixels
from brittle.train.lightning import fabric_of
from brittle.train.loop import Loop
from laws.worlds import network_of, trained_world


def linear() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2, bias=False))


def test_values_become_the_nearest_level_and_gradients_stop_beyond_the_range() -> None:
    values = torch.tensor([-1.0, 0.0, 0.16, 0.17, 0.5, 0.99, 1.0, 2.0], requires_grad=True)
    low, high = torch.tensor(0.0), torch.tensor(1.0)
    found = rounded(values, low, high, 2)
    torch.testing.assert_close(found, torch.tensor([0, 0, 0, 1, 2, 3, 3, 3]) / 3)  # half way goes to the even one
    (gradient,) = torch.autograd.grad(found.sum(), values)
    assert gradient.tolist() == [0, 1, 1, 1, 1, 1, 1, 0]
    assert set(rounded(values.detach(), low, high, 1).tolist()) == {0, 1}


def test_a_layer_rounds_its_weights_by_output_and_all_inputs_but_the_image() -> None:
    net = linear()
    with torch.no_grad():
        first, bias, second = net.parameters()
        first.copy_(torch.tensor([[1.0, 0.3], [-1.0, 0.2], [0.0, 5.0]]))
        bias.zero_()
        second.copy_(torch.tensor([[0.0, 0.6, 1.0], [1.0, 0.0, 0.0]]))
    state = copy.deepcopy(net.state_dict())
    quantise(net, 1, 2, {"1": Range(0, 0), "3": Range(0.0, 1.0)})
    image = torch.tensor([[[[0.4, 0.1]]]])
    # Weights to four levels of each row: 0.3 of 1 stays an extreme; 0.6 becomes 2/3. Activations: 0 or 1.
    hidden = torch.tensor([0.43, 0.0, 0.5]).round()
    assert hidden.tolist() == [0, 0, 0]
    assert net(image).tolist() == [[0, 0]]
    brighter = net(2 * image)
    torch.testing.assert_close(brighter, torch.tensor([[1.0, 1.0]]))
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert "bits=1, weights=2" in repr(net)


def test_ranges_are_those_of_clean_images_and_eight_bits_change_next_to_nothing() -> None:
    world, (train, _) = trained_world(), digits_split()
    bare = network_of(world.classifier())
    made = [
        network_of(defended(bare, Quantised(bits=bits, within=within), clean=train))
        for bits, within in ((8, 1.0), (1, 1.0), (1, 0.9))
    ]
    plain = bare.logits(world.images, plain=True)
    errors = [float((one.logits(world.images, plain=True) - plain).norm() / plain.norm()) for one in made]
    assert errors[0] < 0.02 < 0.3 < errors[1]
    ranges = [next(layer.range for layer in one.net.modules() if isinstance(layer, QuantisedLinear)) for one in made]
    assert ranges[0] == ranges[1]
    assert ranges[1] is not None and ranges[2] is not None
    assert ranges[2].high < ranges[1].high


def test_gradients_go_straight_through() -> None:
    """With many bits they are the network's own; with one they still lead somewhere."""
    world, (train, _) = trained_world(), digits_split()
    goal = Untargeted(world.labels)
    _, own = world.classifier().gradient(world.images, goal.loss)
    for bits, alike in ((8, 0.98), (1, 0.1)):
        made = defended(world.classifier(), Quantised(bits=bits, weight_bits=8), clean=train)
        _, through = made.gradient(world.images, goal.loss)
        cosine = torch.cosine_similarity(own.flatten(1), through.flatten(1))
        assert float(cosine.median()) > alike


def test_the_smaller_product_has_the_gradient_of_the_one_that_is_published() -> None:
    for out, into in ((3, 7), (7, 3)):
        layer = seeded(nn.Sequential(nn.Linear(into, out)))
        weight = next(layer.parameters())
        (found,) = torch.autograd.grad(orthogonality(layer), weight)
        columns = weight.T  # one for each output
        published = (columns.T @ columns - torch.eye(out)).square().sum()
        (wanted,) = torch.autograd.grad(published, weight)
        torch.testing.assert_close(found, wanted)
        assert float((published - orthogonality(layer)).detach()) == pytest.approx(max(0, out - into), abs=1e-4)


def trained(recipe: Recipe) -> tuple[nn.Module, dict[str, float]]:
    values = torch.randint(0, 256, (64, 8, 8, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pixels = Pixels(values, torch.arange(64) % 2)
    batches = Batches(pixels, Normalised.of(pixels), Augmentation(), 16, 6, 0)
    net = seeded(nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 2)), 1)
    rows, _, _ = Loop(recipe.task(net), batches, fabric_of("fp32", "cpu")).run()
    return net, dict(rows[-1])


def test_a_network_learns_with_its_roundings_and_keeps_weights_that_are_not_rounded() -> None:
    plain = Standard(epochs=6, batch=16, peak_rate=0.1, smoothing=0.0, flip=False, shift=0)
    net, row = trained(Recipe(bits=2, weight_bits=2, beta=0.0, recipe=plain))
    near, closer = trained(Recipe(bits=2, weight_bits=2, beta=0.3, recipe=plain))
    assert list(net.state_dict()) == ["1.weight", "1.bias", "3.weight", "3.bias"]
    weights = next(net.parameters()).detach()
    assert len(set(weights[0].tolist())) > 4
    assert row["loss"] < 0.6
    assert closer["orthogonality"] < 0.5 * row["orthogonality"]
    assert float(orthogonality(near).detach()) < 0.5 * float(orthogonality(net).detach())


def test_recipes_compose_either_way() -> None:
    inside = RECIPES.one("adversarial(attack=pgd(eps=0.1), recipe=quantised(bits=3, recipe=standard(epochs=4)))")
    outside = RECIPES.one("quantised(bits=3, recipe=adversarial(attack=pgd(eps=0.1), recipe=standard(epochs=4)))")
    assert inside.epochs == outside.epochs == 4


def test_a_change_is_measured_by_what_it_changes() -> None:
    """Of a linear network without bias both sizes follow by hand."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, bias=False), nn.Linear(3, 2, bias=False))
    network = brittle.Network(seeded(net))
    image, change = torch.full((1, 1, 2, 2), 0.5), torch.tensor([0.1, -0.1, 0.2, 0.0]).view(1, 1, 2, 2)
    found = relative(network, image, image + change, ["1", "2"])
    first, second = (one.detach() for one in net.parameters())
    x, d = image.flatten(), change.flatten()
    wanted = [(first @ d).norm() / (first @ x).norm(), *2 * [(second @ first @ d).norm() / (second @ first @ x).norm()]]
    torch.testing.assert_close(found[0], torch.stack(wanted).double(), rtol=1e-5, atol=1e-6)
    grown = amplified(network, image, image + change, ["1"])
    torch.testing.assert_close(grown[0, 0], ((first @ d).norm() / d.norm()).double(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("net", [nn.Sequential(nn.Flatten()), nn.Linear(4, 2)])
def test_what_has_no_layers_to_round_is_refused(net: nn.Module) -> None:
    with pytest.raises(brittle.BrittleError, match=r"expected a network with layers that are torch\.nn"):
        quantise(net, 4, 4)
