"""Activation maximisation against closed forms: the prior, moved images, objectives, and both ways up."""

import math

import pytest
import torch
from torch import Tensor, nn

from brittle.errors import BrittleError
from brittle.explain.activation import Fourier, Plain
from brittle.explain.inside import layers_of
from brittle.explain.movement import Movement
from brittle.explain.objective import Asked, Objective, objectives_of
from brittle.explain.prior import prior_of
from brittle.models import Network
from brittle.rng import Rng


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def smooth(count: int, channels: int = 3, side: int = 9) -> Tensor:
    """Images whose neighbours, and whose channels, are alike."""
    noise = drawn(count, 1, side + 6, side + 6)
    grey = nn.functional.avg_pool2d(noise, 7, 1)
    return (0.5 + 2 * (grey - 0.5) + 0.05 * (drawn(count, channels, side, side, seed=1) - 0.5)).clamp(0.1, 0.9)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_prior_whitens_what_it_was_taken_of(channels: int) -> None:
    """The codes of the images themselves, by undoing each step, give them again, and have variance 1 on each circle."""
    images = smooth(40, channels)
    prior = prior_of(images)
    waves = torch.einsum("ck,bchw->bkhw", prior.colours, images.logit() - prior.mean)
    codes = torch.view_as_real(torch.fft.rfft2(waves, norm="ortho") / prior.spectrum)
    assert torch.allclose(prior.images(codes), images, atol=1e-5)
    assert torch.allclose(prior.images(torch.zeros(1, *prior.code_shape)), images.logit().mean(0).sigmoid()[None])
    power = codes.square().sum(-1).mean(0)
    across = torch.tensor([[math.hypot(min(y, 9 - y), x) for x in range(5)] for y in range(9)]).round()
    for circle in torch.unique(across):
        assert torch.allclose(power[:, across == circle].mean(1), torch.ones(channels), atol=1e-4), circle
    flat = (codes.flatten(2) @ codes.flatten(2).transpose(1, 2)).mean(0)
    assert (flat - flat.diag().diag()).abs().max() < flat.diag().min() / 2  # colours go their own ways


def test_moved_images() -> None:
    images = drawn(2, 3, 8, 8)
    middle = torch.full((2, 4), 0.5)
    assert torch.allclose(Movement(0.5, 0.5, 90)(images, middle), images, atol=1e-5)
    turned = Movement(0, 0, 90)(images, torch.tensor([[1.0, 0.5, 0.5, 0.5]]).expand(2, 4))
    assert torch.allclose(turned, images.rot90(1, (2, 3)), atol=1e-5)
    pushed = Movement(0.25, 0, 0)(images, torch.tensor([[0.5, 0.5, 1.0, 0.0]]).expand(2, 4))
    assert torch.allclose(pushed[:, :, :6, 2:], images[:, :, 2:, :6], atol=1e-5)
    larger = Movement(0, 1, 0)(images, torch.tensor([[0.5, 1.0, 0.5, 0.5]]).expand(2, 4))
    assert larger.var() < images.var()  # the middle quarter, twice as large


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(4 * 36, 5))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.conv(images).tanh())
        return logits


def small() -> Network:
    torch.manual_seed(0)
    return Network(Small(), class_names=["ant", "bee", "cat", "dog", "eel"])


def test_objectives_are_what_they_are_called() -> None:
    network, images = small(), drawn(6, 3, 6, 6)
    net = network.net
    assert isinstance(net, Small)
    with torch.no_grad():
        conv, logits = net.conv(images), net(images)
    asked = [Objective("channel", 1, "conv"), Objective("unit", 2, "conv"), Objective("direction", 3, "conv")]
    along = asked[2].vector(4)
    assert math.isclose(float(along.norm()), 1, rel_tol=1e-6)
    wanted = torch.stack([conv[:, 1].mean((1, 2)), conv[:, 2, 3, 3], conv.mean((2, 3)) @ along], 1)
    assert torch.allclose(Asked(network, tuple(asked)).values(images), wanted, atol=1e-6)
    classes = Asked(network, (Objective("class", 4), Objective("class", 0)))
    assert torch.allclose(classes.values(images), logits[:, [4, 0]], atol=1e-5)
    odds, _ = Asked(network, classes.objectives, odds=True).gradient(images[:2])
    chance = logits[:2].softmax(1)[[0, 1], [4, 0]]
    assert torch.allclose(odds, chance.logit(), atol=1e-4)


@pytest.mark.parametrize("one", [Objective("unit", 2, "conv"), Objective("class", 3)])
def test_slopes_are_those_of_the_values(one: Objective) -> None:
    network, images = small(), drawn(2, 3, 6, 6)
    before = {name: tensor.clone() for name, tensor in network.net.state_dict().items()}
    asked = Asked(network, (one, one))
    _, gradient = asked.gradient(images)
    step = 1e-2 * torch.sign(drawn(2, 3, 6, 6, seed=5) - 0.5)
    rise = (asked.values(images + step) - asked.values(images - step)).diagonal()
    assert torch.allclose(rise, 2 * (gradient * step).sum((1, 2, 3)), rtol=1e-2, atol=1e-4)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.net.state_dict().items())
    assert all(one.grad is None and one.requires_grad for one in network.net.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.net.modules())


def linear() -> tuple[Network, Tensor]:
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3, bias=False))
    torch.manual_seed(1)
    weight = torch.randn(3, 16)
    net[1].weight.data.copy_(weight)  # type: ignore[operator]
    return Network(net), weight.view(3, 1, 4, 4)


def test_plain_ascent_on_a_linear_network_is_a_geometric_series() -> None:
    """u <- (1 - rate * decay) u + rate * w / 2, with pixels u in [-1, 1], summed in closed form."""
    network, weight = linear()
    data = smooth(8, 1, 4)
    asked = Asked(network, tuple(Objective("class", k) for k in range(3)))
    prior, spread = prior_of(data), torch.ones(3)
    rate, decay, steps = 0.01, 0.5, 7
    found = Plain(learning_rate=rate, decay=decay, iterations=steps)(asked, prior, spread, Rng(0, ("a", "b", "c")))
    shrink = (1 - rate * decay) ** steps
    wanted = shrink * (2 * data.mean(0) - 1) + (1 - shrink) / decay * weight / 2
    assert wanted.abs().max() < 1
    assert torch.allclose(found.images, (wanted + 1) / 2, atol=1e-6)
    far = Plain(learning_rate=100.0, decay=0.0, iterations=2)(asked, prior, spread, Rng(0, ("a", "b", "c")))
    assert torch.equal(far.images, (weight > 0).float())


def test_fourier_climbs_stops_and_keeps_rows_apart() -> None:
    """On a linear network without movement every image ends nearer the one that the prior and the weight agree on."""
    network, _ = linear()
    data = smooth(30, 1, 4)
    prior, spread = prior_of(data), torch.ones(3)
    asked = Asked(network, tuple(Objective("class", k) for k in range(3)))
    still = {"shift": 0.0, "scale": 0.0, "turn": 0.0, "odds": False}
    climb = Fourier(steps=400, decay=1.0, patience=20, **still)  # type: ignore[arg-type]
    found = climb(asked, prior, spread, Rng(0, ("a", "b", "c")))
    assert (found.steps < 400).all()
    values = asked.values(found.images).diagonal()
    assert (values > asked.values(prior.average[None])[0]).all()
    _, slope = climb._slope(asked, prior, Movement(0, 0, 0), *_codes(prior, found.images), torch.full((3, 4), 0.5))
    codes = _codes(prior, found.images)[0]
    free = prior.spectrum.expand_as(codes[..., 0])[..., None].expand_as(codes)
    assert ((slope - codes).abs() * (free > 1e-3)).max() < 0.15 * slope.abs().max()  # where decay balances the slope
    for row, name in enumerate("abc"):
        alone = climb(asked.of(torch.tensor([row])), prior, spread[:1], Rng(0, (name,)))
        assert torch.allclose(alone.images[0], found.images[row], atol=1e-5)
        assert alone.steps[0] == found.steps[row]


def _codes(prior: object, images: Tensor) -> tuple[Tensor]:
    waves = torch.einsum("ck,bchw->bkhw", prior.colours, images.logit() - prior.mean)  # type: ignore[attr-defined]
    return (torch.view_as_real(torch.fft.rfft2(waves, norm="ortho") / prior.spectrum),)  # type: ignore[attr-defined]


BAD = {
    "clas": "got 'clas'; did you mean 'class'?",
    "class:cot": "no class is called 'cot'; did you mean 'cat'?",
    "class:5": "expected classes below 5, got 'class:5'",
    "class:3-7": "expected classes below 5, got 'class:3-7'",
    "channel:conf:0": "the network has no layer 'conf'; did you mean 'conv'?",
    "channel:conv": "direction with layer and number, such as channel:conv1:0-7; got 'channel:conv'",
    "unit:conv:4": "expected a number below 4, as conv has so many channels, got 'unit:conv:4'",
    "unit:conv:3-1": "expected the smaller number first, got '3-1'",
}


@pytest.mark.parametrize("text", BAD)
def test_what_a_network_has_not(text: str) -> None:
    network = small()
    with pytest.raises(BrittleError) as refused:
        objectives_of([text], network.class_names, 5, lambda: layers_of(network, drawn(1, 3, 6, 6)))
    assert BAD[text] in str(refused.value)


def test_what_is_asked_for() -> None:
    network = small()
    read = objectives_of(
        ["class:dog", "class:0-1", "direction:conv:90", "class:dog"],
        network.class_names,
        5,
        lambda: layers_of(network, drawn(1, 3, 6, 6)),
    )
    assert [one.name for one in read] == ["class:3", "class:0", "class:1", "direction:conv:90"]
    assert len(objectives_of(["class"], None, 1000, list)) == 10
