"""Architectures: as many parameters as were published, and networks that all else here can work with."""

import copy
import random
from fractions import Fraction
from functools import lru_cache, partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models

from brittle.errors import BrittleError
from brittle.models import Network, load_model
from brittle.models.architectures import ARCHITECTURES, IMAGENET_FORMS, trainable_parameters
from brittle.models.architectures.cifar_resnet import CifarResNet, _Block
from brittle.models.architectures.slim import slimmed
from brittle.models.fold import folded
from conftest import Cli

TRAINABLE_HERE = [name for name in ARCHITECTURES if name.endswith("-slim") or name == "mnist-cnn"]
each_that_is_trainable_here = pytest.mark.parametrize("name", TRAINABLE_HERE)


pytestmark = pytest.mark.usefixtures("one_thread")


@lru_cache
def network(name: str) -> Network:
    """With random weights, and statistics of batch norms from noise, so that no layer's values vanish or explode."""
    architecture = ARCHITECTURES[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = architecture.build(len(architecture.class_names))
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        net.train()(torch.randn(8, *images(name, 1).shape[1:], generator=torch.Generator().manual_seed(2)))
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
    return Network(net.eval(), mean=architecture.mean, std=architecture.std)


def images(name: str, count: int) -> Tensor:
    """Of half the side for networks in colour that take long: none of those asks for a size, as dense layers do."""
    fit = ARCHITECTURES[name].fit
    side = fit.height if name in TRAINABLE_HERE or fit.channels != 3 or "mlp" in name else 16
    return torch.rand(count, fit.channels, side, side, generator=torch.Generator().manual_seed(1))


# The master's thesis's tables 11.1 to 11.3 and section 11.2.4.
CIFAR = {"resnet50": 23_520_842, "densenet169": 12_493_450, "mobilenet-v2": 2_236_682, "inception-v3": 21_638_954}
IMAGENET = {"resnet50": 25_557_032, "densenet169": 14_149_480, "mobilenet_v2": 3_504_872, "inception_v3": 27_161_264}


def test_two_convolutions_have_as_many_parameters_as_their_layers() -> None:
    """Madry et al. 2018, section 5: 32 and 64 channels of 5 x 5, each halved, and 1,024 units. Wong and Kolter 2018: 16
    and 32 of 4 x 4 in steps of two, and 100 units."""
    for name, channels, side, hidden in (("mnist-cnn-1024", 32, 5, 1024), ("mnist-cnn-100", 16, 4, 100)):
        wanted = channels * (side * side + 1) + 2 * channels * (channels * side * side + 1)
        wanted += hidden * (2 * channels * 7 * 7 + 1) + 10 * (hidden + 1)
        assert trainable_parameters(partial(ARCHITECTURES[name].build, 10)) == wanted


def test_the_thesis_families_have_as_many_parameters_as_it_prints() -> None:
    assert {name: ARCHITECTURES[name].parameters for name in CIFAR} == CIFAR
    assert {name: trainable_parameters(build) for name, build in IMAGENET_FORMS.items()} == {
        f"torchvision:{name}": count for name, count in IMAGENET.items()
    }


def test_what_the_stem_takes_from_the_count_and_what_the_auxiliary_head_adds() -> None:
    """From ImageNet's form to CIFAR's, layer by layer, so that a wrong layer is found and not just a wrong sum."""
    last = {"resnet50": 2048, "densenet169": 1664, "mobilenet-v2": 1280, "inception-v3": 2048}
    stem = {
        "resnet50": 64 * 3 * (7 * 7 - 3 * 3),
        "densenet169": 64 * 3 * (7 * 7 - 3 * 3),
        "mobilenet-v2": 0,
        # Five convolutions with batch norm, instead of them one.
        "inception-v3": sum(
            out * (into * side**2 + 2)
            for into, out, side in [(3, 32, 3), (32, 32, 3), (32, 64, 3), (64, 80, 1), (80, 192, 3)]
        )
        - 192 * (3 * 9 + 2),
    }
    auxiliary = 128 * (768 + 2) + 768 * (128 * 25 + 2) + 768 * 1000 + 1000
    for (name, count), of_imagenet in zip(CIFAR.items(), IMAGENET.values(), strict=True):
        classes = 990 * (last[name] + 1)
        assert of_imagenet - count == classes + stem[name] + (auxiliary if name == "inception-v3" else 0), name


def test_cifar_resnets_have_as_many_parameters_as_he_et_al_print() -> None:
    counts = [ARCHITECTURES[f"resnet{depth}"].parameters for depth in (20, 32, 44, 56)]
    assert [round(count / 1e6, 2) for count in counts] == [0.27, 0.46, 0.66, 0.85]  # arXiv:1512.03385, table 6
    with pytest.raises(ValueError, match="6 n \\+ 2, got 21"):
        CifarResNet(21)


def test_resnet_shortcut_pads_channels_on_both_sides() -> None:
    block = next(CifarResNet().layer2.children())
    hidden = torch.arange(1.0, 17.0).view(1, 16, 1, 1).expand(1, 16, 4, 4)
    assert isinstance(block, _Block)
    out = block._shortcut(hidden)
    assert out.shape == (1, 32, 2, 2)
    assert torch.equal(out[0, :, 0, 0], torch.cat([torch.zeros(8), torch.arange(1.0, 17.0), torch.zeros(8)]))


SHAPES = {
    "resnet50": {"conv1": 32, "layer1": 16, "layer4": 2},
    "densenet169": {"features.conv0": 32, "features.denseblock1": 16, "features.norm5": 2},
    "mobilenet-v2": {"features.0": 32, "features.3": 32, "features.18": 4},
    "inception-v3": {"Conv2d_1a_3x3": 32, "Mixed_5d": 32, "Mixed_6e": 15, "Mixed_7c": 7},
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_cifar_forms_have_the_resolutions_of_the_published_ones(name: str) -> None:
    """On no data: strides change no count, and torch's meta device knows shapes."""
    with torch.device("meta"):
        net = ARCHITECTURES[name].build(10).eval()
        seen: dict[str, int] = {}
        for layer in SHAPES[name]:
            net.get_submodule(layer).register_forward_hook(
                lambda _, __, out, layer=layer: seen.update({layer: out.shape[-1]})
            )
        assert net(torch.empty(2, 3, 32, 32)).shape == (2, 10)
    assert seen == SHAPES[name]


SEARCHING = {"synthesis-mnist"}
"""What answers by a search of its own has nothing that could be folded."""


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_fast_path_folds_it_and_agrees(name: str) -> None:
    classifier, some = network(name), images(name, 4)
    fast, plain = classifier.logits(some), classifier.logits(some, plain=True)
    assert classifier.is_fast == (name not in SEARCHING)
    assert float(plain.std(0).max()) > 1e-3  # it looks at its input
    torch.testing.assert_close(fast, plain, rtol=1e-4, atol=1e-4 * float(plain.abs().max()))


@each_that_is_trainable_here
def test_a_row_has_the_same_logits_in_any_batch(name: str) -> None:
    classifier, some = network(name), images(name, 8)
    many = classifier.logits(some)
    order = random.Random(0).sample(range(8), 8)
    assert torch.equal(classifier.logits(some[order]), many[order])
    for count in (1, 2, 3, 5):
        assert torch.equal(classifier.logits(some[:count]), many[:count]), f"{count} rows"
        plain = classifier.logits(some, plain=True)
        torch.testing.assert_close(classifier.logits(some[:count], plain=True), plain[:count])


@each_that_is_trainable_here
def test_the_folded_copy_has_the_same_gradient_which_is_the_slope(name: str) -> None:
    """In float64, as random networks are so rough that rounding moves float32 over kinks; central differences."""
    net, some = copy.deepcopy(network(name).net).double(), images(name, 4).double()
    copied = folded(net)
    assert copied is not None

    def score(of: nn.Module, at: Tensor) -> Tensor:
        logits: Tensor = of(at)
        return logits[:, 0] - logits[:, 1]

    gradient, expected = (
        torch.autograd.grad(score(one, leaf).sum(), leaf)[0]
        for one in (copied, net)
        for leaf in (some.requires_grad_(),)
    )
    torch.testing.assert_close(gradient, expected)
    size = gradient.flatten(1).norm(dim=1)
    step = 1e-6 * gradient / size.view(-1, 1, 1, 1)
    with torch.no_grad():
        slope = (score(net, some + step) - score(net, some - step)) / 2e-6
    torch.testing.assert_close(slope, size, rtol=1e-3, atol=0)


@pytest.mark.parametrize("name", ["resnet44", "mnist-cnn", "densenet169-slim", "inception-v3-slim"])
def test_weights_make_the_round_trip(name: str, tmp_path: Path) -> None:
    made = network(name)
    path = tmp_path / "weights.safetensors"
    save_file(made.net.state_dict(), path)
    read = load_model(name, weights=path)
    assert read.fingerprint == made.fingerprint
    assert (read.name, read.fit, read.class_names) == (name, ARCHITECTURES[name].fit, ARCHITECTURES[name].class_names)


def test_weights_say_how_many_classes_there_are(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(ARCHITECTURES["mobilenet-v2-slim"].build(100).state_dict(), path)
    read = load_model("mobilenet-v2-slim", weights=path)
    assert read.logits(images("mobilenet-v2-slim", 1)).shape == (1, 100)
    assert read.class_names is None


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_none_is_loaded_without_weights(name: str) -> None:
    with pytest.raises(BrittleError, match=f"^{name} comes without weights, .*: pass --weights FILE$"):
        load_model(name)


def test_a_slim_network_is_the_same_with_fewer_channels() -> None:
    with torch.device("meta"):
        full, slim = models.mobilenet_v2(), slimmed(models.mobilenet_v2(), Fraction(1, 4))
    assert type(full) is type(slim)
    for (name, one), (_, other) in zip(full.named_modules(), slim.named_modules(), strict=True):
        if isinstance(one, nn.Conv2d):
            assert isinstance(other, nn.Conv2d), name
            inputs = 3 if one.in_channels == 3 else one.in_channels // 4
            assert (other.in_channels, other.out_channels) == (inputs, one.out_channels // 4)
            assert (other.groups == 1) == (one.groups == 1)
            same = ("kernel_size", "stride", "padding", "dilation")
            assert all(getattr(one, key) == getattr(other, key) for key in same), name
    with torch.device("meta"), pytest.raises(ValueError, match="1/7 leaves 64/7 of 64 channels"):
        slimmed(models.resnet18(), Fraction(1, 7))


def test_they_are_listed_with_their_numbers(cli: Cli) -> None:
    ran = cli("models")
    rows = {row.split()[0]: row for row in ran.out.splitlines() if row}
    assert ran.code == 0
    for name, count in {**CIFAR, **{f"torchvision:{name}": count for name, count in IMAGENET.items()}}.items():
        assert f" {count:,}" in rows[name]
    assert set(ARCHITECTURES) <= set(rows)
