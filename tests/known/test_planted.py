"""Each fault planted around a sound network raises a flag that fits, before an audit or after; sound ones do not."""

import importlib
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import torch
from flow_studies import audit_of
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

import brittle
from brittle.data import digits_split, load_data
from brittle.flags import FLAGS
from brittle.measure import summaries
from brittle.models.network import Network
from brittle.models.preflight import preflight
from brittle.models.zoo import load_model
from brittle.run.engine import run
from known import planted
from laws.worlds import SmallCNN, one_thread, trained_world

COUNT, EPS = 32, 0.15
ATTACKS = (
    brittle.PGD(eps=EPS, steps=20),
    brittle.Square(eps=EPS, queries=120),
    brittle.FMN(norm="linf", steps=30),
)

BLIND = ("zero-gradient", "unbroken-at-eps-1")
# What the preflight says of each: the first code always, the others perhaps, and nothing that one would read wrongly.
FITS: dict[type[nn.Module], tuple[str, ...]] = {
    planted.Rounding: BLIND,
    planted.StraightThrough: ("rough-gradient",),
    planted.Leak: ("rough-gradient",),
    planted.WrongJpeg: ("gradient-is-wrong", "unbroken-at-eps-1"),
    planted.Saturated: ("unbroken-at-eps-1", "zero-gradient", "rough-gradient"),
    planted.Thermometer: BLIND,
    planted.MedianFilter: BLIND,
    planted.SeededNoise: ("discontinuous", "rough-gradient", "gradient-is-wrong"),
    planted.RareNoise: ("random", "unbroken-at-eps-1"),
    planted.SmallNoise: ("nearly-repeats",),
    planted.Dropout: ("random", "suspect-input-range"),
    planted.RandomResize: ("random", "suspect-input-range"),
    planted.BatchStatistics: ("batch-dependent",),
    planted.Memory: ("random",),
    planted.Softmax: ("probabilities", "zero-gradient", "rough-gradient", "unbroken-at-eps-1"),
    planted.LogSoftmax: ("log-probabilities",),
    planted.Hot: ("small-logits",),
    planted.Staircase: BLIND,
    planted.Clipped: ("unbroken-at-eps-1", "zero-gradient", "rough-gradient"),
    planted.Detached: BLIND,
    planted.InfiniteGradient: ("non-finite-gradient", "unbroken-at-eps-1"),
    planted.Ripple: ("rough-gradient",),
    planted.CutOff: ("rough-gradient",),
    planted.SecondOpinion: ("rough-gradient", "unbroken-at-eps-1"),
    planted.Purifying: ("optimises-inside", "rough-gradient"),
    planted.WinnersOnly: ("rough-gradient",),
}
# Nothing is wrong with these: a temperature that the loss does not mind; a class to be named as one that rejects.
HARMLESS = (planted.Cold, planted.Reject)


@cache
def images() -> tuple[Tensor, Tensor]:
    _, test = digits_split()
    assert test.labels is not None
    return test.images(0, COUNT), test.labels[:COUNT]


def with_fault(fault: type[nn.Module]) -> nn.Module:
    if issubclass(fault, planted.Planted):
        return fault(planted.sound_cnn()).eval()
    net = trained_world().net
    assert isinstance(net, SmallCNN)
    features = [fault() if isinstance(part, nn.ReLU) else part for part in net.features]
    return planted.InPixels(nn.Sequential(*features, net.head)).eval()


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def codes(net: nn.Module, directory: Path) -> dict[str, str]:
    """The flags of a small audit, from before it and after."""
    done = run(audit_of(Network(net), brittle.examples_of(*images()), ATTACKS), out=directory)
    return {flag.code: flag.message for flag in summaries(done.manifest, done.records)[0].flags}


def doubts_among(flags: dict[str, str]) -> dict[str, str]:
    return {code: message for code, message in flags.items() if FLAGS[code].weight == "doubt"}


@pytest.mark.parametrize("fault", FITS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_raises_a_flag_that_fits(fault: type[nn.Module]) -> None:
    found = [flag.code for flag in preflight(Network(with_fault(fault)), *images())]
    assert FITS[fault][0] in found
    assert set(found) <= set(FITS[fault])


@pytest.mark.parametrize("fault", [planted.SmallNoise, planted.LogSoftmax, *HARMLESS], ids=lambda fault: fault.__name__)
def test_what_does_no_harm_raises_no_doubt(fault: type[nn.Module], tmp_path: Path) -> None:
    assert doubts_among(codes(with_fault(fault), tmp_path)) == {}


@pytest.mark.parametrize(
    ("fault", "wanted"),
    [
        (planted.Rounding, {"no-headway", "stronger-elsewhere", "unbounded-below-100"}),
        (planted.WrongJpeg, {"stronger-elsewhere"}),
    ],
    ids=lambda fault: getattr(fault, "__name__", ""),
)
def test_the_records_alone_tell_of_gradients_that_mislead(
    fault: type[nn.Module], wanted: set[str], tmp_path: Path
) -> None:
    done = run(audit_of(Network(with_fault(fault)), brittle.examples_of(*images()), ATTACKS), out=tmp_path)
    (model,) = done.manifest.models
    quiet = done.manifest.model_copy(update={"models": [model.model_copy(update={"flags": []})]})
    (of_records,) = summaries(quiet, done.records)
    found = {flag.code: flag.message for flag in of_records.flags}
    assert wanted <= found.keys()
    assert "square(eps=0.15, queries=120) fools" in found["stronger-elsewhere"]
    assert "pgd(eps=0.15, steps=20), the best by gradients" in found["stronger-elsewhere"]


def trained(net: nn.Module, *, eps: float = 0.0, steps: int = 60) -> nn.Module:
    """Trained on digits for some steps, on images that were moved by one signed gradient step of size eps."""
    train, _ = digits_split()
    data, labels = train.images(0, len(train)), train.labels
    assert labels is not None
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    for step in range(steps):
        rows = torch.arange(step * 64, (step + 1) * 64) % len(data)
        batch = data[rows].clone().requires_grad_()
        if eps:
            (slope,) = torch.autograd.grad(functional.cross_entropy(net(batch), labels[rows]), batch)
            batch = (batch + eps * slope.sign()).clamp(0, 1).detach()
        optimiser.zero_grad()
        torch.autograd.backward(functional.cross_entropy(net(batch.detach()), labels[rows]))
        optimiser.step()
    return net.eval()


def cnn_with_biases() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(256, 32), nn.ReLU(),
        nn.Linear(32, 10),
    )  # fmt: skip


def linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))


def test_a_network_that_changes_its_mind_meanwhile_is_told(tmp_path: Path) -> None:
    assert "changed-answers" in doubts_among(codes(with_fault(planted.Limiter), tmp_path))
    network, (x, y) = Network(planted.Limiter(planted.sound_cnn())), images()
    found = [brittle.attack(network, x, y, brittle.PGD(eps=EPS, steps=20)) for _ in range(8)]
    told = ["changed-answers" in {flag.code for flag in one.flags} for one in found]
    assert told[0] is False and True in told


class Inside(nn.Module):
    """float32 outside, bfloat16 inside, as mixed precision has it."""

    def __init__(self) -> None:
        super().__init__()
        self.net = trained(cnn_with_biases())

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            logits: Tensor = self.net(images)
        return logits.float()


def test_arithmetic_in_bfloat16_is_no_rough_gradient() -> None:
    assert preflight(Network(Inside()), *images()) == []


def test_the_ensemble_fools_whatever_its_first_member_does() -> None:
    """Claims are careful where logits are coarse; what is not claimed fools all the same."""
    network, (x, y) = Network(planted.Offset(planted.sound_cnn())), images()
    first, whole = (
        brittle.attack(network, x, y, one)
        for one in (brittle.APGD(eps=EPS, steps=20), brittle.Standard(eps=EPS, steps=20, queries=50))
    )
    assert int(first.fooled.sum()) > int(first.claimed.sum())
    assert not (first.fooled & ~whole.fooled).any()


SOUND: dict[str, Callable[[], nn.Module]] = {
    "the planted ones' own": planted.sound_cnn,
    "linear": lambda: trained(linear()),
    "smooth": lambda: trained(perceptron()),
    "adversarially trained": lambda: trained(cnn_with_biases(), eps=0.15, steps=100),
}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_network_raises_no_doubt(name: str, tmp_path: Path) -> None:
    found = codes(SOUND[name](), tmp_path)
    assert doubts_among(found) == {}
    assert found.keys() <= {"few-examples", "lost-8bit"}


@pytest.mark.parametrize(
    ("factory", "file", "count"),
    [
        ("TradesCNN", "mnist_trades_smallcnn", 40),
        ("LeNet5", "mnist_advertorch_lenet5_clean", 40),
        ("LeNet5", "mnist_advertorch_lenet5_adv", 40),
        ("wong_mnist", "mnist_wong_0_1", 40),
        ("resnet4b_adversarial", "cifar10_resnet4b_adv", 20),
        ("ResNet8", "cifar10_mlperf_tiny_resnet8", 8),
        ("ResNet20", "cifar10_resnet20", 8),
        ("densenet_bc_100", "cifar10_densenet_bc_100_12", 2),
    ],
)
def test_a_real_network_raises_no_flag(factory: str, file: str, count: int, real_data: Path) -> None:
    path = real_data / "weights" / f"{file}.safetensors"
    if factory == "ResNet20":
        classifier = load_model("resnet20", weights=path)
    else:
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(real_data / "weights"))
            patch.delitem(sys.modules, "definitions", raising=False)
            definitions = importlib.import_module("definitions")
        net = getattr(definitions, factory)()
        (net.net if isinstance(net, definitions.Normalised) else net).load_state_dict(load_file(path))
        classifier = Network(net.eval())
    folder = "mnist" if file.startswith("mnist") else "cifar10-jpeg"
    examples = load_data(str(real_data / folder / "test.parquet"), limit=count, fit=None)
    assert preflight(classifier, examples.images(0, count), examples.labels) == []
