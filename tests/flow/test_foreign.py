"""Attacks of other libraries: by name, as an attack like any other, and told apart where they are not there."""

import pickle
import random
import sys
from importlib.util import find_spec
from inspect import Parameter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from brittle.attacks.foreign.guest import EPS, NORM, Asking, Guest, Library, settings, welcome
from brittle.catalog import attacks_from, label_of, traits_of
from brittle.data import load_data
from brittle.errors import BrittleError, Unsupported
from brittle.geometry.norms import L2, LINF
from brittle.goals import Targeted
from brittle.models import load_model
from brittle.records import read_manifest, read_records
from brittle.run.attack import attack
from brittle.types import Images
from conftest import Cli

WIDE = ["foolbox:LinfPGD,eps=0.1,steps=5", "foolbox:L2DeepFoolAttack", "foolbox:L2CarliniWagnerAttack,steps=5"]
WIDE += ["art:FastGradientMethod,eps=0.1", "art:DeepFool,max_iter=20", "art:CarliniL2Method,max_iter=2"]
WIDE += ["torchattacks:PGD,eps=0.1", "torchattacks:DeepFool", "torchattacks:FGSM,eps=0.1"]
WIDE += ["advlib:ddn,steps=10", "advlib:fmn,norm=l2,steps=10", "advlib:apgd,eps=0.1,norm=linf,n_iter=5"]


def signs(model: Any, images: Images, size: float = 1.0, times: int = 1, noisy: bool = False, tag: str = "x") -> Images:
    """An attack as other libraries have them: of a module, with draws from whatever generator is at hand."""
    start = images + 1e-4 * (torch.randn_like(images) + random.random() + np.random.rand()) if noisy else images
    leaf = start.clone().requires_grad_()
    model(leaf).amax(1).neg().sum().backward()
    assert leaf.grad is not None
    return (images + size * leaf.grad.sign()).clamp(0, 1).detach()


def call(asked: Asking) -> Images:
    if asked.values["times"] == 13:
        raise RuntimeError("an error\nof its own")
    assert isinstance(asked.values["times"], int)
    sys.stdout.write("said by a library")
    return signs(asked.module, asked.image, asked.values[EPS], noisy=True)


def guest(name: str) -> Guest:
    own = Parameter(EPS, Parameter.KEYWORD_ONLY, annotation=float)
    return Guest(
        summary="Signs.",
        kind="budget",
        norms=("linf", "l2"),
        norm="linf",
        goals=("untargeted",),
        access="gradient",
        parameters=(own, *settings(signs, without=("model", "images", "size"))),
        call=call,
    )


@pytest.fixture(scope="module", autouse=True)
def toy() -> None:
    welcome(Library("toy", "onnx", "torch", lambda: ("Signs", "Other"), guest))


def test_a_guest_is_an_attack_with_options_a_label_and_traits() -> None:
    one, two = attacks_from("toy:Signs,eps=8/255:0.2,times=3")
    assert (label_of(one), label_of(two)) == ("toy:Signs(eps=8/255, times=3)", "toy:Signs(eps=0.2, times=3)")
    assert attacks_from(label_of(one)) == [one]
    assert (traits_of(one).kind, traits_of(one).norm, traits_of(one).eps) == ("budget", LINF, 8 / 255)
    assert traits_of(attacks_from("toy:Signs(eps=1, norm=2)")[0]).norm == L2
    assert pickle.loads(pickle.dumps(one)) == one


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("toy:Sgns,eps=1", "toy has no attack 'Sgns'; did you mean 'Signs'?"),
        ("ty:Signs,eps=1", "unknown attack 'ty:Signs'; did you mean 'toy'?"),
        ("toy:Signs", "expected toy:Signs,eps=..., got no eps"),
        ("toy:Signs,eps=1,tims=3", "did you mean 'times'?"),
        ("toy:Signs,eps=2", "expected eps <= 1 in linf"),
        ("toy:Signs,eps=0.1,noisy=perhaps", "expected noisy as true or false"),
    ],
)
def test_a_wrong_name_or_option_is_one_line(text: str, message: str) -> None:
    with pytest.raises(BrittleError) as raised:
        attacks_from(text)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("module", "text", "command"),
    [
        ("foolbox", "foolbox:LinfPGD,eps=0.1", "pip install 'brittle[foolbox]'"),
        ("art", "art:DeepFool", "pip install 'brittle[art]'"),
        ("torchattacks", "torchattacks:PGD", "pip install --no-deps torchattacks"),
        ("adv_lib", "advlib:ddn", "pip install 'brittle[advlib]'"),
    ],
)
def test_a_library_that_is_missing_is_named_with_its_command(
    module: str, text: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brittle.extras.find_spec", lambda name: None if name == module else find_spec(name))
    with pytest.raises(BrittleError) as raised:
        attacks_from(text.replace("LinfPGD", "LinfPgd"))
    assert str(raised.value).endswith(f"{module} is not installed: {command}")


def test_what_it_finds_is_graded_counted_and_no_matter_of_its_batch(capsys: pytest.CaptureFixture[str]) -> None:
    classifier, digits = load_model("digits-cnn"), load_data("digits", limit=9)
    assert digits.labels is not None
    images, (method,) = digits.images(0, 9), attacks_from("toy:Signs,eps=0.3")
    states = torch.get_rng_state(), random.getstate(), str(np.random.get_state())
    whole = attack(classifier, images, digits.labels, method, seed=1, ids=digits.ids[:9])
    part = attack(classifier, images[4:6], digits.labels[4:6], method, seed=1, ids=digits.ids[4:6])
    assert torch.equal(whole.images[4:6], part.images) and torch.equal(whole.forwards[4:6], part.forwards)
    assert (torch.get_rng_state() == states[0]).all() and random.getstate() == states[1]
    assert str(np.random.get_state()) == states[2]
    assert not whole.miscounted and whole.within_budget.all() and whole.fooled.any()
    assert whole.forwards.tolist() == [3] * 9 and whole.backwards.tolist() == [1] * 9
    assert (whole.claimed == whole.fooled).all()
    other = attack(classifier, images, digits.labels, method, seed=2, ids=digits.ids[:9])
    assert not torch.equal(other.images, whole.images)
    assert "said by a library" not in capsys.readouterr().out


def test_an_image_that_is_wrong_already_stays_and_errors_are_one_line() -> None:
    classifier, digits = load_model("digits-cnn"), load_data("digits", limit=3)
    assert digits.labels is not None
    wrong = (digits.labels + 1) % 10
    images, (method,) = digits.images(0, 3), attacks_from("toy:Signs,eps=0.3")
    found = attack(classifier, images, wrong, method)
    assert torch.equal(found.images, images) and found.fooled.all()
    with pytest.raises(Unsupported, match="supports untargeted goals"):
        attack(classifier, images, Targeted(wrong), method)
    (breaks,) = attacks_from("toy:Signs,eps=0.3,times=13")
    with pytest.raises(BrittleError, match=r"^toy:Signs stopped with an error of its own: an error of its own$"):
        attack(classifier, images, digits.labels, breaks)


@pytest.mark.usefixtures("without_report")
@pytest.mark.skipif(
    any(find_spec(one) is None for one in ("foolbox", "art", "torchattacks", "adv_lib")),
    reason="foolbox, art, torchattacks and adv_lib are not installed; make bench installs them",
)
def test_three_of_each_library_in_one_audit(cli: Cli, tmp_path: Path) -> None:
    asked = [part for one in WIDE for part in ("--attack", one)]
    ran = cli("audit", "--model", "digits-cnn", "--data", "digits", "--limit", "4", *asked, "--out", tmp_path / "run")
    assert ran.code == 0, ran.err
    manifest = read_manifest(tmp_path / "run")
    records = read_records(tmp_path / "run", manifest)
    assert [spec.label.partition("(")[0] for spec in manifest.attacks] == [one.partition(",")[0] for one in WIDE]
    fooled = records.groupby("attack", sort=False)["fooled"].mean()
    assert (fooled[[one for one in fooled.index if "DeepFool" in one and "torch" not in one]] == 1).all()
    assert not any("over-budget" in flags or "outside-box" in flags for flags in records["flags"])


def test_robustbench_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BrittleError, match="expected no --weights"):
        load_model("robustbench:Standard", weights="x.pt")
    monkeypatch.setattr("brittle.extras.find_spec", lambda name: None)
    with pytest.raises(BrittleError, match=r"robustbench is not installed: pip install 'brittle\[robustbench\]'"):
        load_model("robustbench:Standard")
    assert NORM == "norm"
