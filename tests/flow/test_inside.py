"""Looking inside a network by the names of its layers."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from brittle.errors import BrittleError
from brittle.explain.inside import activations, check_layers, layers_of, network_of, seen
from brittle.models import BlackBox, Network
from conftest import Cli


class Odd(nn.Module):
    """One ReLU for two places, in place; a module that gives a pair; a batch norm and a dropout in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.relu, self.norm = nn.Conv2d(1, 3, 3), nn.ReLU(inplace=True), nn.BatchNorm2d(3)
        self.pair, self.drop, self.last = nn.LSTM(3 * 36, 5, batch_first=True), nn.Dropout(0.5), nn.Linear(5, 4)

    def forward(self, images: Tensor) -> Tensor:
        within = self.relu(self.norm(self.relu(self.first(images)) - 0.5))
        out, _ = self.pair(within.flatten(1).unsqueeze(1))
        logits: Tensor = self.last(self.drop(out[:, 0]))
        return logits


@pytest.fixture
def odd() -> Network:
    torch.manual_seed(0)
    return Network(Odd(), mean=[0.5], std=[0.25])


IMAGES = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_layers_stand_in_the_order_of_their_calls(odd: Network) -> None:
    found = layers_of(odd, IMAGES)
    assert [(one.name, one.kind, one.output) for one in found] == [
        ("first", "Conv2d", (3, 6, 6)),
        ("relu", "ReLU", (3, 6, 6)),
        ("norm", "BatchNorm2d", (3, 6, 6)),
        ("relu:2", "ReLU", (3, 6, 6)),
        ("pair", "LSTM", None),
        ("drop", "Dropout", (5,)),
        ("last", "Linear", (4,)),
    ]
    assert [one.parameters for one in found if one.kind in ("Conv2d", "Linear")] == [30, 24]


def test_what_is_seen_is_what_the_layers_give_and_not_what_the_next_writes_over_it(odd: Network) -> None:
    inputs = (IMAGES - 0.5) / 0.25
    logits, found = seen(odd, IMAGES, ["first", "relu", "relu:2"])
    net = odd.net.eval()
    first = net.get_submodule("first")(inputs)
    torch.testing.assert_close(found["first"], first)
    assert (first < 0).any()
    torch.testing.assert_close(found["relu"], first.relu())
    torch.testing.assert_close(found["relu:2"], net.get_submodule("norm")(first.relu() - 0.5).relu())
    torch.testing.assert_close(logits, net(inputs))
    found = activations(Network(odd.net, mean=[0.5], std=[0.25], batch_size=2), IMAGES, ["last"])
    torch.testing.assert_close(found["last"], logits)


def test_what_is_seen_has_a_gradient_in_the_images(odd: Network) -> None:
    leaf = IMAGES.clone().requires_grad_()
    _, found = seen(odd, leaf, ["first"])
    (gradient,) = torch.autograd.grad(found["first"].sum(), leaf)
    weight = odd.net.get_parameter("first.weight")
    torch.testing.assert_close(gradient[:, :, 4, 4], (weight.sum((0, 2, 3)) / 0.25).expand(3, 1))


def test_the_network_is_left_as_it_was_also_where_a_pass_fails(odd: Network) -> None:
    net = odd.net.train()
    net.norm.eval()  # type: ignore[union-attr]
    before = {name: value.clone() for name, value in net.state_dict().items()}
    modes = [module.training for module in net.modules()]
    seen(odd, IMAGES, ["relu:2", "last"])
    layers_of(odd, IMAGES)
    for bad in (torch.rand(1, 3, 8, 8), torch.rand(1, 1, 9, 9)):
        with pytest.raises((BrittleError, RuntimeError)):
            seen(odd, bad, ["first"])
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    assert all(one.requires_grad and one.grad is None for one in net.parameters())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("frist", "the network has no layer 'frist'; did you mean 'first'?"),
        ("relu:3", "the network has no layer 'relu:3'; did you mean 'relu:2'?"),
        ("zzzz", "the network has no layer 'zzzz'; see: brittle explain layers"),
        ("pair", "expected a layer that gives a tensor with a row for each image, got 'pair', a LSTM"),
    ],
)
def test_a_layer_that_is_not_there_is_answered_with_the_nearest(odd: Network, name: str, said: str) -> None:
    for ask in (lambda: seen(odd, IMAGES, [name]), lambda: check_layers([name], layers_of(odd, IMAGES))):
        with pytest.raises(BrittleError) as error:
            ask()
        assert str(error.value) == said


class Estimator:
    classes_ = (0, 1)

    def predict(self, rows: Tensor) -> Tensor:
        return rows[:, 0] > 0


def test_only_a_network_has_layers() -> None:
    with pytest.raises(BrittleError, match=r"expected a network with layers to look inside, got .*a BlackBox"):
        network_of(BlackBox(Estimator()))


def test_layers_on_the_command_line(cli: Cli, tmp_path: Path) -> None:
    ran = cli("explain", "layers", "--model", "digits-cnn")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[2].split() == ["features.0", "Conv2d", "16", "x", "8", "x", "8", "144"]
    assert ran.out.splitlines()[-1] == "digits-cnn: 13 layers, 38,330 parameters, images of 1 x 8 x 8"
    for size, said in (
        ("8x8", "expected --size as channels, height and width"),
        ("3x8x8", "expected images with 1 ch"),
    ):
        ran = cli("explain", "layers", "--model", "digits-cnn", "--size", size)
        assert (ran.code, ran.out) == (2, "")
        assert said in ran.err
        assert ran.err.count("\n") == 1


def test_what_nothing_changes_and_nobody_has_labelled_is_said_to_be_so(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network with one answer has no distance to another, and no image of these says whether it is right."""
    (tmp_path / "constant_net.py").write_text(
        "from torch import nn\n\n\ndef made():\n    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))\n"
        "    nn.init.zeros_(net[1].weight)\n    nn.init.eye_(net[1].bias.data.unsqueeze(0))\n    return net\n"
    )
    (tmp_path / "photos").mkdir()
    for number in range(2):
        Image.new("L", (4, 4), 90 * number).save(tmp_path / "photos" / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    ran = cli("explain", "certify", "--model", "python:constant_net:made", "--data", "photos", "--out", "run")
    assert ran.code == 0, ran.err
    told = json.loads(cli("summary", "run", "--json").out, parse_constant=pytest.fail)
    assert told["sentences"][0].startswith("These images have no labels: what a network answers")
    assert told["rows"][-1]["what"] == "not changed by the attack"
    assert told["rows"][-1]["median radius"]["value"] is None
