"""Mistakes that newcomers make in Python: a BrittleError in one line, with what was expected and what was got."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.tree import DecisionTreeClassifier
from torch import nn

import brittle
from brittle.catalog import label_of
from brittle.errors import BrittleError

net: Any = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 10))
C: Any = brittle.Network(net)
x: Any = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
y: Any = torch.arange(4)
A: Any = brittle.FGSM(eps=0.1)
F: Any = brittle.UniversalSGD(norm="linf", eps=0.1)
E: Any = brittle.examples_of(x, y)
TREE = DecisionTreeClassifier().fit(np.eye(3), [0, 1, 2])

b: Any = brittle  # so that mypy takes mistakes
MISTAKES: dict[str, tuple[Callable[[], object], str]] = {
    "attack: bare net": (lambda: b.attack(net, x, y, A), "expected a classifier, got Sequential"),
    "attack: args swapped": (lambda: b.attack(x, C, y, A), "expected a classifier, got Tensor"),
    "attack: numpy images": (
        lambda: b.attack(C, x.numpy(), y, A),
        "expected images as a float tensor [N, C, H, W] in [0, 1], got a",
    ),
    "attack: list images": (
        lambda: b.attack(C, [x], y, A),
        "expected images as a float tensor [N, C, H, W] in [0, 1], got a list",
    ),
    "attack: None images": (
        lambda: b.attack(C, None, y, A),
        "expected images as a float tensor [N, C, H, W] in [0, 1], got None",
    ),
    "attack: uint8": (
        lambda: b.attack(C, (x * 255).byte(), y, A),
        "expected float images [N, C, H, W] in [0, 1], got torch.uint8 of",
    ),
    "attack: 255": (lambda: b.attack(C, x * 255, y, A), "expected pixels in [0, 1], got ["),
    "attack: nan": (
        lambda: b.attack(C, x * float("nan"), y, A),
        "expected pixels in [0, 1], got NaN in 4 of 4 images",
    ),
    "attack: inf": (
        lambda: b.attack(C, torch.full_like(x, float("inf")), y, A),
        "expected pixels in [0, 1], got [inf, inf]",
    ),
    "attack: normalised": (
        lambda: b.attack(C, x - 0.5, y, A),
        "expected pixels in [0, 1], got [",
    ),
    "attack: no batch": (
        lambda: b.attack(C, x[0], y[:1], A),
        "expected float images [N, C, H, W] in [0, 1], got torch.float32 of",
    ),
    "attack: other size": (
        lambda: b.attack(C, torch.rand(4, 3, 9, 9), y, A),
        "the network does not run on images of 3 x 9 x 9 (channels x height x",
    ),
    "attack: numpy labels": (
        lambda: b.attack(C, x, y.numpy(), A),
        "expected labels, Untargeted(labels) or Targeted(labels), got ndarray",
    ),
    "attack: list labels": (
        lambda: b.attack(C, x, [0, 1, 2, 3], A),
        "expected labels, Untargeted(labels) or Targeted(labels), got list",
    ),
    "attack: int label": (
        lambda: b.attack(C, x, 3, A),
        "expected labels, Untargeted(labels) or Targeted(labels), got int",
    ),
    "attack: no labels": (
        lambda: b.attack(C, x, None, A),
        "expected labels, Untargeted(labels) or Targeted(labels), got NoneType",
    ),
    "attack: float labels": (
        lambda: b.attack(C, x, y.float(), A),
        "expected 4 integer labels, got torch.float32 of shape (4,)",
    ),
    "attack: bool labels": (
        lambda: b.attack(C, x, y.bool(), A),
        "expected 4 integer labels, got torch.bool of shape (4,)",
    ),
    "attack: one-hot": (
        lambda: b.attack(C, x, torch.eye(10)[y].long(), A),
        "expected 4 integer labels, got torch.int64 of shape (4, 10)",
    ),
    "attack: too few labels": (
        lambda: b.attack(C, x, y[:2], A),
        "expected 4 integer labels, got torch.int64 of shape (2,)",
    ),
    "attack: negative label": (
        lambda: b.attack(C, x, y - 1, A),
        "expected labels from 0 to 9, as the network has 10 classes, got -1",
    ),
    "attack: goal names": (
        lambda: b.attack(C, x, "untargeted", A),
        "expected labels, Untargeted(labels) or Targeted(labels), got str",
    ),
    "attack: Targeted list": (
        lambda: b.attack(C, x, b.Targeted([0, 1, 2, 3]), A),
        "expected 4 integer labels as a tensor [N], got [0, 1, 2, 3]",
    ),
    "attack: Targeted int": (
        lambda: b.attack(C, x, b.Targeted(3), A),
        "expected 4 integer labels as a tensor [N], got 3",
    ),
    "attack: Untargeted class": (
        lambda: b.attack(C, x, b.Untargeted, A),
        "expected labels, Untargeted(labels) or Targeted(labels), got <class",
    ),
    "attack: text": (lambda: b.attack(C, x, y, "fgsm"), "FGSM() makes one"),
    "attack: foreign text": (lambda: b.attack(C, x, y, "autoattack"), "here it is standard"),
    "attack: class": (lambda: b.attack(C, x, y, b.FGSM), "FGSM() makes one"),
    "attack: list of attacks": (
        lambda: b.attack(C, x, y, [A]),
        "expected a registered attack such as DeepFool(), got",
    ),
    "attack: fitter": (lambda: b.attack(C, x, y, F), "expected an attack, got the fitter universal-sgd"),
    "attack: seed text": (
        lambda: b.attack(C, x, y, A, seed="0"),
        "expected seed as a whole number of at least 0, got '0'",
    ),
    "attack: seed float": (
        lambda: b.attack(C, x, y, A, seed=1.5),
        "expected seed as a whole number of at least 0, got 1.5",
    ),
    "attack: seed None": (
        lambda: b.attack(C, x, y, A, seed=None),
        "expected seed as a whole number of at least 0, got None",
    ),
    "attack: seed -1": (
        lambda: b.attack(C, x, y, A, seed=-1),
        "expected seed as a whole number of at least 0, got -1",
    ),
    "attack: ids few": (
        lambda: b.attack(C, x, y, A, ids=("a",)),
        "expected 4 different ids, got 1 of which 1 differ",
    ),
    "attack: ids ints": (
        lambda: b.attack(C, x, y, A, ids=(1, 2, 3, 4)),
        "expected ids as a list of texts, got 1 in it",
    ),
    "attack: ids text": (lambda: b.attack(C, x, y, A, ids="abcd"), "expected ids as a list of texts, got 'abcd'"),
    "found.distance": (lambda: b.attack(C, x, y, A).distance("l3x"), "unknown norm 'l3x'"),
    "found.distance list": (
        lambda: b.attack(C, x, y, A).distance([2]),
        "expected a norm as l0, l1, l2, linf, lP or a number, got [2]",
    ),
    "Network: not a module": (lambda: b.Network("resnet18"), "expected a torch.nn.Module, got str"),
    "Network: class": (lambda: b.Network(nn.Linear), "expected a torch.nn.Module, got type"),
    "Network: function": (lambda: b.Network(lambda x: x), "expected a torch.nn.Module, got function"),
    "Network: estimator": (
        lambda: b.Network(DecisionTreeClassifier()),
        "expected a torch.nn.Module, got DecisionTreeClassifier",
    ),
    "Network: mean alone": (
        lambda: b.Network(net, mean=(0.5, 0.5, 0.5)),
        "expected mean and std together, one number per channel",
    ),
    "Network: mean scalar": (
        lambda: b.Network(net, mean=0.5, std=0.5),
        "expected mean as one number per channel, got 0.5",
    ),
    "Network: mean text": (
        lambda: b.Network(net, mean="imagenet", std="imagenet"),
        "expected mean as one number per channel, got 'imagenet'",
    ),
    "Network: mean of 2": (
        lambda: b.attack(b.Network(net, mean=(0.5, 0.5), std=(0.5, 0.5)), x, y, A),
        "expected images with 2 channels (mean and std have as many), got 3",
    ),
    "Network: std zero": (
        lambda: b.Network(net, mean=(0.5,) * 3, std=(0,) * 3),
        "expected a positive std, got (0.0, 0.0, 0.0)",
    ),
    "Network: names text": (
        lambda: b.Network(net, class_names="cat"),
        "expected class_names as a list of texts, got 'cat'",
    ),
    "Network: names dict": (
        lambda: b.Network(net, class_names={0: "a"}),
        "expected class_names as a list of texts, got {0: 'a'}",
    ),
    "Network: names int": (
        lambda: b.Network(net, class_names=10),
        "expected class_names as a list of texts, got 10",
    ),
    "Network: device": (lambda: b.Network(net, device="gpu"), "expected a device such as cpu or cuda, got 'gpu'"),
    "Network: device int": (lambda: b.Network(net, device=1.5), "expected a device such as cpu or cuda, got 1.5"),
    "Network: batch 0": (
        lambda: b.Network(net, batch_size=0),
        "expected batch_size as a whole number of at least 1, got 0",
    ),
    "Network: batch text": (
        lambda: b.Network(net, batch_size="auto"),
        "expected batch_size as a whole number of at least 1, got 'auto'",
    ),
    "Network: batch float": (
        lambda: b.Network(net, batch_size=1.5),
        "expected batch_size as a whole number of at least 1, got 1.5",
    ),
    "Network: reject": (
        lambda: b.Network(net, reject="none"),
        "expected the reject class as an index from 0, got 'none'",
    ),
    "Network: reject float": (
        lambda: b.Network(net, reject=1.5),
        "expected the reject class as an index from 0, got 1.5",
    ),
    "BlackBox: net": (lambda: b.BlackBox(net), "Sequential is a torch.nn.Module: brittle.Network takes it"),
    "BlackBox: text": (lambda: b.BlackBox("svm"), "expected a fitted estimator with predict(), got str"),
    "BlackBox: function": (
        lambda: b.BlackBox(lambda x: x),
        "expected a fitted estimator with predict(), got function",
    ),
    "BlackBox: unfitted": (
        lambda: b.attack(b.BlackBox(DecisionTreeClassifier()), x, y, b.Square()),
        "expected an estimator that says which classes it knows, got",
    ),
    "BlackBox: batch": (
        lambda: b.BlackBox(TREE, batch_size="all"),
        "expected batch_size as a whole number of at least 1, got 'all'",
    ),
    "BlackBox: device": (
        lambda: b.BlackBox(TREE, device="gpu"),
        "expected a device such as cpu or cuda, got 'gpu'",
    ),
    "examples_of: numpy": (
        lambda: b.examples_of(x.numpy()),
        "expected images as a float tensor [N, C, H, W] in [0, 1], got a",
    ),
    "examples_of: none": (
        lambda: b.examples_of(None),
        "expected images as a float tensor [N, C, H, W] in [0, 1], got None",
    ),
    "examples_of: labels list": (
        lambda: b.examples_of(x, [1, 2, 3, 4]),
        "expected 4 integer labels as a tensor [N], got [1, 2, 3, 4]",
    ),
    "examples_of: labels int": (lambda: b.examples_of(x, 1), "expected 4 integer labels as a tensor [N], got 1"),
    "examples_of: class_names text": (
        lambda: b.examples_of(x, y, class_names="abc"),
        "expected class_names as a list of texts, got 'abc'",
    ),
    "examples_of: class_names int": (
        lambda: b.examples_of(x, y, class_names=10),
        "expected class_names as a list of texts, got 10",
    ),
    "examples_of: ids int": (lambda: b.examples_of(x, y, ids=5), "expected ids as a list of texts, got 5"),
    "audit: net": (lambda: b.audit(net, E, [A], out="o"), "expected a classifier, got Sequential"),
    "audit: none": (lambda: b.audit(None, E, [A], out="o"), "expected a classifier, got NoneType"),
    "audit: list of classifiers": (lambda: b.audit([C], E, [A], out="o"), "expected a classifier, got list"),
    "audit: dict of nets": (
        lambda: b.audit({"a": net}, E, [A], out="o"),
        "expected a classifier, got Sequential",
    ),
    "audit: empty dict": (lambda: b.audit({}, E, [A], out="o"), "expected at least one classifier, got none"),
    "audit: dict int keys": (
        lambda: b.audit({1: C}, E, [A], out="o"),
        "expected a model's name as text such as 'mine', got 1",
    ),
    "audit: path examples": (
        lambda: b.audit(C, "digits", [A], out="o"),
        "expected Examples, (images, labels), images, or a Dataset or",
    ),
    "audit: numpy examples": (
        lambda: b.audit(C, (x.numpy(), y.numpy()), [A], out="o"),
        "expected Examples, (images, labels), images, or a Dataset or",
    ),
    "audit: three": (
        lambda: b.audit(C, (x, y, y), [A], out="o"),
        "expected Examples, (images, labels), images, or a Dataset or",
    ),
    "audit: one attack": (
        lambda: b.audit(C, E, A, out="o"),
        "expected a list of attacks such as [DeepFool()], got",
    ),
    "audit: text attack": (
        lambda: b.audit(C, E, "fgsm", out="o"),
        "expected a list of attacks such as [DeepFool()], got 'fgsm'",
    ),
    "audit: texts": (
        lambda: b.audit(C, E, ["fgsm"], out="o"),
        "expected a registered attack such as DeepFool(), got 'fgsm'",
    ),
    "audit: classes": (
        lambda: b.audit(C, E, [b.FGSM], out="o"),
        "expected a registered attack such as DeepFool(), got <class",
    ),
    "audit: empty attacks": (lambda: b.audit(C, E, [], out="o"), "expected at least one attack, got none"),
    "audit: set of attacks": (
        lambda: b.audit(C, E, {A}, out="o"),
        "expected a list of attacks such as [DeepFool()], got",
    ),
    "audit: same twice": (
        lambda: b.audit(C, E, [A, A], out="o"),
        "expected different attacks, got 'fgsm(eps=0.1)' 2 times",
    ),
    "audit: out none": (lambda: b.audit(C, E, [A], out=None), "expected out as a path, got None"),
    "audit: out int": (lambda: b.audit(C, E, [A], out=3), "expected out as a path, got 3"),
    "audit: goals text": (
        lambda: b.audit(C, E, [A], out="o", goals="random"),
        "expected goals as a list of a class, or untargeted, least-likely,",
    ),
    "audit: goals int": (
        lambda: b.audit(C, E, [A], out="o", goals=[3]),
        "expected goals as a list of texts, got 3 in it",
    ),
    "audit: goals objects": (
        lambda: b.audit(C, E, [A], out="o", goals=[b.Targeted(y)]),
        "expected goals as a list of texts, got a Targeted in it",
    ),
    "audit: goals unknown": (
        lambda: b.audit(C, E, [A], out="o", goals=["ostrich"]),
        "no class is called 'ostrich'",
    ),
    "audit: seed": (
        lambda: b.audit(C, E, [A], out="o", seed=-1),
        "expected seed as a whole number of at least 0, got -1",
    ),
    "audit: seed text": (
        lambda: b.audit(C, E, [A], out="o", seed="x"),
        "expected seed as a whole number of at least 0, got 'x'",
    ),
    "audit: seed float": (
        lambda: b.audit(C, E, [A], out="o", seed=1.5),
        "expected seed as a whole number of at least 0, got 1.5",
    ),
    "audit: images": (
        lambda: b.audit(C, E, [A], out="o", images="some"),
        "expected images as all, fooled, 8bit or none, got 'some'",
    ),
    "audit: images bool": (
        lambda: b.audit(C, E, [A], out="o", images=False),
        "expected images as all, fooled, 8bit or none, got False",
    ),
    "audit: shard 0": (
        lambda: b.audit(C, E, [A], out="o", shard_size=0),
        "expected shard_size as a whole number of at least 1, got 0",
    ),
    "audit: shard text": (
        lambda: b.audit(C, E, [A], out="o", shard_size="a"),
        "expected shard_size as a whole number of at least 1, got 'a'",
    ),
    "audit: workers 0": (
        lambda: b.audit(C, E, [A], out="o", workers=0),
        "expected workers as a whole number of at least 1, got 0",
    ),
    "audit: workers text": (
        lambda: b.audit(C, E, [A], out="o", workers="two"),
        "expected a number of workers, ray or ray:ADDRESS, got 'two'",
    ),
    "audit: workers float": (
        lambda: b.audit(C, E, [A], out="o", workers=2.5),
        "expected workers as a whole number of at least 1, got 2.5",
    ),
    "audit: watch": (
        lambda: b.audit(C, E, [A], out="o", watch=print),
        "expected a watch with planned, done and lost, got <built-in function",
    ),
    "fit: text": (
        lambda: b.fit(C, "universal", E, out="o"),
        "got 'universal'; Universal() makes one",
    ),
    "fit: swapped": (
        lambda: b.fit(C, E, F, out="o"),
        "expected Examples, (images, labels), images, or a Dataset or",
    ),
    "fit: net": (lambda: b.fit(net, F, E, out="o"), "expected a classifier, got Sequential"),
    "fit: seed": (
        lambda: b.fit(C, F, E, out="o", seed="x"),
        "expected seed as a whole number of at least 0, got 'x'",
    ),
    "fit: unseen": (
        lambda: b.fit(C, F, E, out="o", unseen="test"),
        "expected Examples, (images, labels), images, or a Dataset or",
    ),
    "run_spec: text": (
        lambda: b.run_spec("spec.toml", out="o"),
        "expected a spec, or what a TOML file says of one as a dict, got",
    ),
    "run_spec: path": (
        lambda: b.run_spec(Path("spec.toml"), out="o"),
        "expected a spec, or what a TOML file says of one as a dict, got",
    ),
    "run_spec: empty": (lambda: b.run_spec({}, out="o"), "spec: expected study as the name of one, got None"),
    "run_spec: none": (
        lambda: b.run_spec(None, out="o"),
        "expected a spec, or what a TOML file says of one as a dict, got None",
    ),
    "run_spec: key": (
        lambda: b.run_spec({"study": "audit", "modles": []}, out="o"),
        "spec: expected a value for 'models', got none",
    ),
    "run_spec: list": (
        lambda: b.run_spec([], out="o"),
        "expected a spec, or what a TOML file says of one as a dict, got []",
    ),
    "compare: one": (lambda: b.compare("a"), "expected two or more different runs, got 'a'"),
    "compare: list": (lambda: b.compare(["a", "b"]), "expected a run directory as a path, got ['a', 'b']"),
    "compare: run none": (lambda: b.compare(None, "b"), "expected a run directory as a path, got None"),
    "compare: missing": (lambda: b.compare("a", "b"), "expected a run directory with manifest.json, got 'a'"),
    "write_page: missing": (lambda: b.write_page("a"), "expected a run directory with manifest.json, got 'a'"),
    "write_page: none": (lambda: b.write_page(None), "expected a run directory as a path, got None"),
    "Run.open missing": (lambda: b.Run.open("a"), "expected a run directory with manifest.json, got 'a'"),
    "Run.open none": (lambda: b.Run.open(None), "expected a run directory as a path, got None"),
    "load_model none": (
        lambda: b.load_model(None),
        "expected a model as text such as 'torchvision:resnet18', got None",
    ),
    "load_model net": (
        lambda: b.load_model(net),
        "expected a model as text such as 'torchvision:resnet18', got a",
    ),
    "load_model unknown": (lambda: b.load_model("resnet200"), "unknown model 'resnet200'"),
    "load_model weights int": (lambda: b.load_model("resnet20", weights=3), "expected weights as a path, got 3"),
    "load_data none": (lambda: b.load_data(None), "expected data as text such as 'digits', got None"),
    "load_data path": (lambda: b.load_data(Path("nowhere")), "unknown data 'nowhere'"),
    "load_data limit": (
        lambda: b.load_data("digits", limit=0),
        "expected a limit as a whole number of at least 1, got 0",
    ),
    "load_data limit text": (
        lambda: b.load_data("digits", limit="all"),
        "expected a limit as a whole number of at least 1, got 'all'",
    ),
    "load_data limit float": (
        lambda: b.load_data("digits", limit=1.5),
        "expected a limit as a whole number of at least 1, got 1.5",
    ),
    "level unknown": (
        lambda: b.level("fast", eps=0.1),
        "expected a level of quick, standard, thorough, got 'fast'",
    ),
    "level none": (lambda: b.level(None, eps=0.1), "expected a level of quick, standard, thorough, got None"),
    "level norm": (
        lambda: b.level("quick", norm="l9", eps=1),
        "expected a level's norm as linf, l2, l1 or l0, got l9",
    ),
    "level eps list": (
        lambda: b.level("quick", eps=[1]),
        "expected eps as a number or text such as '8/255', got [1]",
    ),
    "FGSM epsilon": (lambda: b.FGSM(epsilon=0.1), "attack 'fgsm' has no option 'epsilon'"),
    "FGSM positional": (lambda: b.FGSM(0.1), "expected options of FGSM by name, as in FGSM(norm=...), got 0.1"),
    "FGSM model": (lambda: b.FGSM(net, eps=0.1), "expected options of FGSM by name, as in FGSM(norm=...), got a"),
    "FGSM eps text": (lambda: b.FGSM(eps="8/255"), "expected eps as a number >= 0, got '8/255'"),
    "FGSM eps 8": (
        lambda: b.FGSM(eps=8),
        "expected eps <= 1 in linf, as pixels are in [0, 1] (8 grey levels are",
    ),
    "FGSM eps none": (lambda: b.FGSM(eps=None), "expected eps as a number >= 0, got None"),
    "FGSM eps tensor": (
        lambda: b.FGSM(eps=torch.tensor(0.1)),
        "expected eps as a number >= 0, got tensor(0.1000)",
    ),
    "FGSM eps array": (
        lambda: b.FGSM(eps=np.array([0.1, 0.2])),
        "expected eps as a number >= 0, got array([0.1, 0.2])",
    ),
    "FGSM eps negative": (lambda: b.FGSM(eps=-0.1), "expected a finite eps >= 0, got -0.1"),
    "FGSM norm none": (lambda: b.FGSM(norm=None), "expected norm as l1, l2, linf or lP, got None"),
    "FGSM norm class": (lambda: b.FGSM(norm=b.Lp), "expected norm as l1, l2, linf or lP, got <class"),
    "Lp text": (lambda: b.Lp("2"), "expected a norm lP with P as a number, got P = '2'"),
    "Lp half": (lambda: b.Lp(0.5), "expected a norm lP with P >= 1, got P = 0.5"),
    "PGD steps float": (lambda: b.PGD(steps=10.0), "expected steps as a whole number >= 1, got 10.0"),
    "PGD steps 0": (lambda: b.PGD(steps=0), "expected steps >= 1, got 0"),
    "PGD random_start 1": (lambda: b.PGD(random_start=1), "expected random_start as true or false, got 1"),
    "APGD loss": (lambda: b.APGD(loss="xent"), "expected loss ce, dlr or margin, got 'xent'"),
    "APGD loss none": (lambda: b.APGD(loss=None), "expected loss ce, dlr or margin, got None"),
    "Restarts text": (lambda: b.Restarts(attack="pdg"), "unknown attack 'pdg'"),
    "Restarts class": (lambda: b.Restarts(attack=b.PGD), "PGD() makes one"),
    "BestOf one": (
        lambda: b.BestOf(attacks=b.PGD()),
        "expected attacks as at least one attack, got PGD(norm=Lp(p=inf),",
    ),
    "BestOf mixed": (
        lambda: b.BestOf(attacks=(b.PGD(), b.DeepFool())),
        "expected attacks of one kind, norm and eps (pgd(eps=8/255) is budget",
    ),
    "AddPerturbation none": (lambda: b.AddPerturbation(), "expected perturbation,file=..., got no file"),
    "AddPerturbation tensor": (lambda: b.AddPerturbation(file=3), "expected file as text, got 3"),
    "a fit of an attack that does not fit": (
        lambda: b.fit(C, A, E, out="o"),
        "expected a fitter, got the attack fgsm",
    ),
    "weights as text": (
        lambda: b.load_model("resnet20", weights="nowhere.safetensors"),
        "no weights file nowhere.safetensors",
    ),
    "a name that is none": (lambda: b.Network(net, name=3), "expected name as text"),
    "a size for a fit": (lambda: b.Network(net, fit=224), "expected fit as brittle.data.fit.Fit"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_one_line_says_what_was_expected(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make, said = MISTAKES[name]
    with pytest.raises(BrittleError) as refused:
        make()
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir()), "nothing is written"


def test_a_name_of_the_field_is_no_attribute_and_says_which_is() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'AutoAttack'; here it is standard \(AutoAttack's ensemble"):
        _ = brittle.AutoAttack
    assert not hasattr(brittle, "CW")


@pytest.mark.parametrize("norm", [2, 2.0, "2", "L2", "l_2", np.int64(2), brittle.L2, brittle.Lp(2)])
def test_a_norm_is_what_everybody_writes(norm: Any) -> None:
    assert label_of(brittle.DeepFool(norm=norm)) == "deepfool"
    assert brittle.attack(C, x, y, A).distance(norm).equal(brittle.attack(C, x, y, A).distance("l2"))


@pytest.mark.parametrize("norm", ["inf", "Linf", "L_inf", "l\u221e", float("inf"), np.inf, brittle.LINF])
def test_so_is_the_largest_change(norm: Any) -> None:
    assert brittle.DeepFool(norm=norm) == brittle.DeepFool(norm="linf")
    assert brittle.Standard(norm=0, eps=3) == brittle.Standard(norm="l0", eps=3)
