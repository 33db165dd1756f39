"""Named networks: what each spec loads, with what input, and the one line that each mistake gets."""

import os
import sys
import urllib.error
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from brittle.data import examples_of, load_data
from brittle.data.digits import digits_split
from brittle.data.fit import Fit
from brittle.data.signs import SIGNS, signs_train
from brittle.errors import BrittleError
from brittle.models.architectures import ARCHITECTURES
from brittle.models.architectures.registry import CIFAR10_CLASSES, IMAGENET_MEAN, IMAGENET_STD
from brittle.models.digits_cnn import DigitsCNN
from brittle.models.network import Network
from brittle.models.signs_cnn import SignsCNN
from brittle.models.training import trained
from brittle.models.zoo import MODELS, load_model
from laws.worlds import network_of

SHARED = Path(os.environ.get("BRITTLE_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
RESNET20 = SHARED / "weights" / "cifar10_resnet20.safetensors"
SQUEEZENET = SHARED / "weights" / "imagenet_squeezenet1_0.safetensors"
needs_data = pytest.mark.skipif(not RESNET20.exists(), reason=f"no real weights in {SHARED}; set BRITTLE_DATA")


def checkpoint(build: Callable[..., nn.Module], **options: object) -> dict[str, Tensor]:
    """A state dict whose n-th tensor is full of n's: nothing is initialised, which is most of the time of building."""
    with torch.device("meta"):
        state = build(**options).state_dict()
    return {name: torch.full(one.shape, number, dtype=one.dtype) for number, (name, one) in enumerate(state.items())}


@pytest.fixture(scope="module")
def digits_net() -> DigitsCNN:
    train, _ = digits_split()
    return trained(DigitsCNN, train, peak_rate=0.01, epochs=8)


def test_digits_cnn_learns_the_digits(digits_net: DigitsCNN) -> None:
    _, test = digits_split()
    with torch.no_grad():
        right = int((digits_net(test.images(0, len(test))).argmax(1) == test.labels).sum())
    assert right >= 0.97 * len(test)


def test_training_is_a_function_of_data_and_seed() -> None:
    digits, _ = digits_split()
    assert digits.labels is not None
    some = examples_of(digits.images(0, 200), digits.labels[:200])
    train = partial(trained, DigitsCNN, some, peak_rate=0.01, epochs=2)
    before = torch.get_rng_state()
    seen: list[tuple[int, int]] = []
    first = train(seed=3, progress=lambda done, of: seen.append((done, of)))
    torch.rand(7)
    torch.set_rng_state(before)
    second, other = (train(seed=seed) for seed in (3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert seen == [(1, 2), (2, 2)]
    weights = [torch.cat([tensor.flatten() for tensor in net.parameters()]) for net in (first, second, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert not first.training


def test_digits_cnn_by_name_is_trained_or_read(digits_net: DigitsCNN, tmp_path: Path) -> None:
    torch.save(digits_net.state_dict(), tmp_path / "digits.pt")
    trained = load_model("digits-cnn")
    read = load_model("digits-cnn", weights=tmp_path / "digits.pt", batch_size=7)
    assert trained.fit == read.fit == Fit(channels=1, height=8, width=8)
    assert trained.fingerprint == read.fingerprint
    assert (read.name, read.batch_size, read.class_names) == ("digits-cnn", 7, tuple("0123456789"))


def test_a_tenth_of_the_training_learns_from_the_signs() -> None:
    net, test = trained(SignsCNN, signs_train(30), peak_rate=0.01, epochs=4), load_data("signs", limit=64)
    with torch.no_grad():
        right = int((net(test.images(0, 64)).argmax(1) == test.labels).sum())
    assert right >= 12  # of 64; guessing gets 4


def test_signs_cnn_is_read(tmp_path: Path) -> None:
    net = SignsCNN()
    torch.save(net.state_dict(), tmp_path / "signs.pt")
    read = load_model("signs-cnn", weights=tmp_path / "signs.pt")
    assert (read.fit, read.class_names) == (Fit(channels=3, height=64, width=64), SIGNS)
    assert read.fingerprint == Network(net).fingerprint


@needs_data
def test_resnet20_gets_805_of_1000_test_images_right() -> None:
    from brittle.data import load_data

    examples = load_data(str(SHARED / "cifar10-jpeg" / "test.parquet"), limit=1000, fit=None)
    classifier = network_of(load_model("resnet20", weights=RESNET20))
    assert (classifier.mean, classifier.std, classifier.fit) == (
        IMAGENET_MEAN,
        IMAGENET_STD,
        Fit(channels=3, height=32, width=32),
    )
    assert examples.labels is not None
    assert classifier.class_names == CIFAR10_CLASSES == examples.class_names
    right = classifier.logits(examples.images(0, 1000)).argmax(1) == examples.labels
    assert int(right.sum()) == 805
    assert classifier.is_fast


@needs_data
def test_given_mean_and_std_replace_the_published_ones() -> None:
    classifier = load_model("resnet20", weights=RESNET20, mean=(0, 0, 0), std=(1, 1, 1), class_names=list("abcdefghij"))
    assert isinstance(classifier, Network)
    assert (classifier.mean, classifier.std) == ((0, 0, 0), (1, 1, 1))
    assert classifier.class_names == tuple("abcdefghij")
    with pytest.raises(BrittleError, match="expected mean and std together"):
        load_model("resnet20", weights=RESNET20, mean=(0, 0, 0))


@needs_data
def test_torchvision_squeezenet_with_weights_from_a_file() -> None:
    classifier = network_of(load_model("torchvision:squeezenet1_0", weights=SQUEEZENET))
    assert classifier.fit == Fit(channels=3, height=224, width=224, resize=256, interpolation="bilinear")
    assert (classifier.mean, classifier.std) == (IMAGENET_MEAN, IMAGENET_STD)
    assert classifier.class_names is not None
    assert (len(classifier.class_names), classifier.class_names[9]) == (1000, "ostrich")
    assert classifier.name == "torchvision:squeezenet1_0"


def test_torchvision_takes_the_number_of_classes_from_the_checkpoint(tmp_path: Path) -> None:
    from torchvision.models import squeezenet1_1

    torch.save(checkpoint(squeezenet1_1, num_classes=7), tmp_path / "mine.pt")
    classifier = load_model("torchvision:squeezenet1_1", weights=tmp_path / "mine.pt")
    assert classifier.logits(torch.zeros(1, 3, 64, 64)).shape == (1, 7)
    assert classifier.class_names is None


def test_torchvision_preprocessing_is_that_of_the_weights_with_the_file_s_name(tmp_path: Path) -> None:
    from torchvision.models import mobilenet_v2

    state = checkpoint(mobilenet_v2)
    for name, resize in (("mobilenet_v2-b0353104.pth", 256), ("mine.pth", 232)):
        torch.save(state, tmp_path / name)
        fit = load_model("torchvision:mobilenet_v2", weights=tmp_path / name).fit
        assert fit is not None
        assert fit.resize == resize


def test_torchvision_googlenet_converts_its_input_as_the_published_weights_want(tmp_path: Path) -> None:
    from torchvision.models import googlenet

    for auxiliary in (True, False):
        torch.save(checkpoint(googlenet, init_weights=False, aux_logits=auxiliary), tmp_path / "googlenet.pt")
        classifier = network_of(load_model("torchvision:googlenet", weights=tmp_path / "googlenet.pt"))
        assert getattr(classifier.net, "transform_input", None) is True
        assert classifier.logits(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)
        assert classifier.fit == Fit(channels=3, height=224, width=224, resize=256)


def test_torchvision_densenet_reads_the_published_names(tmp_path: Path) -> None:
    from torchvision.models import densenet121

    state = checkpoint(densenet121)
    old = {name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): tensor for name, tensor in state.items()}
    assert old.keys() != state.keys()
    torch.save(old, tmp_path / "densenet121.pt")
    classifier = network_of(load_model("torchvision:densenet121", weights=tmp_path / "densenet121.pt"))
    assert all(torch.equal(tensor, state[name]) for name, tensor in classifier.net.state_dict().items())


def test_torchvision_without_a_file_or_a_network_names_the_file_to_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    message = (
        r"squeezenet1_0 \(.*no route to host.*\); pass a file with --weights FILE such as squeezenet1_0-b66bff10\.pth"
    )
    with pytest.raises(BrittleError, match=message):
        load_model("torchvision:squeezenet1_0")


def test_timm_with_weights_from_a_file(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm", reason="timm is not installed")
    for name, classes in (("thousand.pt", 1000), ("five.pt", 5)):
        torch.save(checkpoint(timm.create_model, model_name="resnet10t", num_classes=classes), tmp_path / name)
    classifier = load_model("timm:resnet10t", weights=tmp_path / "thousand.pt")
    assert classifier.fit == Fit(channels=3, height=176, width=176, resize=201, interpolation="bicubic")
    assert classifier.class_names is not None
    assert classifier.class_names[9] == "ostrich"
    five = load_model("timm:resnet10t", weights=tmp_path / "five.pt")
    assert five.logits(torch.zeros(1, 3, 64, 64)).shape == (1, 5)
    assert five.class_names is None
    with pytest.raises(BrittleError, match=r"timm has no model 'resnet10tt'; did you mean 'resnet10t'\?"):
        load_model("timm:resnet10tt")


def test_timm_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(BrittleError, match=r"need the timm library: pip install brittle\[timm\]$"):
        load_model("timm:resnet10t")


FACTORIES = """
import torch
from brittle.data.fit import Fit
from brittle.data.signs import SIGNS, signs_train
from brittle.models.network import Network
threshold = 3
flat = torch.nn.Flatten()
ready = torch.nn.Linear(2, 2)
def network():
    import beside
    return beside.made
def classifier():
    return Network(flat, mean=[0.5], std=[0.5], name="own", fit=Fit(channels=1, height=4, width=4))
def number():
    return 7
def broken():
    raise ValueError("first line\\nsecond line")
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with modules of the user's, forgotten afterwards."""
    (tmp_path / "mymodels.py").write_text(FACTORIES)
    (tmp_path / "beside.py").write_text("import torch\nmade = torch.nn.Flatten()\n")
    (tmp_path / "unfinished.py").write_text("import torch_that_is_not_there\n")
    (tmp_path / "badsyntax.py").write_text("def net(:\n")
    monkeypatch.chdir(tmp_path)
    for name in ("mymodels", "beside", "unfinished", "badsyntax"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def test_python_factory_in_the_working_directory(here: Path) -> None:
    path = list(sys.path)
    classifier = network_of(load_model("python:mymodels:network", mean=[0.5], std=[0.25]))
    assert isinstance(classifier.net, nn.Flatten)
    assert (classifier.mean, classifier.fit, classifier.name) == ((0.5,), None, "python:mymodels:network")
    assert sys.path == path
    assert isinstance(network_of(load_model("python:mymodels:ready")).net, nn.Linear)


def test_python_factory_that_returns_a_classifier(here: Path, tmp_path: Path) -> None:
    classifier = network_of(load_model("python:mymodels:classifier", batch_size=3))
    assert (classifier.name, classifier.batch_size, classifier.mean) == ("own", 3, (0.5,))
    assert classifier.fit == Fit(channels=1, height=4, width=4)
    given = network_of(
        load_model("python:mymodels:classifier", mean=[0.1], std=[1], class_names=["a", "b"], reject="b")
    )
    assert (given.mean, given.std, given.class_names, given.reject) == ((0.1,), (1.0,), ("a", "b"), 1)
    assert (given.name, given.fit, given.net) == ("own", classifier.fit, classifier.net)


def test_python_factory_with_weights(here: Path) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), here / "w.pt")
    net = network_of(load_model("python:mymodels:ready", weights=here / "w.pt")).net
    assert all(torch.equal(net.state_dict()[key], value) for key, value in torch.load(here / "w.pt").items())


BAD_PYTHON = {
    "mymodels": "expected python:package.module:factory, got 'python:mymodels'",
    ":network": "expected python:package.module:factory, got 'python::network'",
    "nowhere.models:network": "no module 'nowhere' in .* or among the installed packages",
    "mymodels:netwrk": r"module 'mymodels' has no 'netwrk'; did you mean 'network'\?",
    "mymodels:threshold": "to be a function without arguments that returns the network, got int",
    "mymodels:number": "to return a torch.nn.Module, a fitted estimator or a classifier of brittle, got int",
    "mymodels:broken": "python:mymodels:broken raised ValueError: first line second line$",
    "unfinished:network": "importing unfinished failed: the module 'torch_that_is_not_there' it needs is not installed",
    "badsyntax:network": "importing badsyntax failed: SyntaxError",
}


@pytest.mark.parametrize("target", BAD_PYTHON)
def test_python_mistakes_get_one_line(target: str, here: Path) -> None:
    path = list(sys.path)
    with pytest.raises(BrittleError, match=BAD_PYTHON[target]) as caught:
        load_model(f"python:{target}")
    assert "\n" not in str(caught.value)
    assert sys.path == path


BAD_SPECS = {
    "resnet-20": r"unknown model 'resnet-20'; did you mean 'resnet20'\?",
    "mobilenetv2": r"unknown model 'mobilenetv2'; did you mean 'mobilenet-v2'\?",
    "resnet20:x": r"unknown model 'resnet20:x'; did you mean 'resnet20'\?",
    "torchvision": "unknown model 'torchvision'",
    "zzz": "unknown model 'zzz'; known: acgan-cifar10, acgan-cifar10-slim, acgan-mnist,",
    "torchvision:squeezenet10": r"torchvision has no image classifier 'squeezenet10'; did you mean 'squeezenet1_0'\?",
    "torchvision:fcn_resnet50": "torchvision has no image classifier 'fcn_resnet50'",
    "torchvision:": "torchvision has no image classifier ''; 'brittle models' says how to list the names",
    "resnet20": "resnet20 comes without weights, and random ones would say nothing: pass --weights FILE",
}


@pytest.mark.parametrize("spec", BAD_SPECS)
def test_misspelt_specs_get_one_line(spec: str) -> None:
    with pytest.raises(BrittleError, match=BAD_SPECS[spec]) as caught:
        load_model(spec)
    assert "\n" not in str(caught.value)


def test_devices_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BrittleError, match="the device 'cuda:1' is not available here; use cpu"):
        load_model("digits-cnn", device="cuda:1")
    with pytest.raises(BrittleError, match="expected a device such as cpu or cuda, got 'gpu'"):
        load_model("digits-cnn", device="gpu")


def test_every_form_of_spec_is_listed_with_a_summary() -> None:
    forms = [source.form for source in MODELS.values()]
    assert forms == [
        "digits-cnn",
        "signs-cnn",
        *ARCHITECTURES,
        "run:DIR",
        "torchvision:NAME",
        "timm:NAME",
        "onnx:FILE",
        "hf:REPO",
        "robustbench:NAME",
        "sklearn:KIND:DATA",
        "python:package.module:factory",
    ]
    assert all(source.summary and "\n" not in source.summary for source in MODELS.values())
