"""Models without gradients, from Python and from the command line, end to end."""

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.svm import LinearSVC

import brittle
from brittle.catalog import ATTACKS
from brittle.data import digits_split
from brittle.records import read_manifest, read_records
from conftest import Cli

ROOT = Path(__file__).resolve().parents[2]
MODELS = """
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier
from brittle.data import digits_split

def rows():
    train, _ = digits_split()
    return train.images(0, 400).flatten(1).double().numpy(), train.labels[:400].numpy()

def tree():
    return DecisionTreeClassifier(random_state=0).fit(*rows())

class Door:
    def __init__(self, inside):
        self.inside, self.classes_ = inside, inside.classes_

    def predict(self, rows):
        return self.inside.predict(rows)

def behind_a_door():
    return Door(KNeighborsClassifier(3).fit(*rows()))

def unfitted():
    return DecisionTreeClassifier()

fitted = tree()
"""
AUDIT = ("--data", "digits", "--limit", "8", "--attack", "hopskipjump,queries=120")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_report: None) -> Path:
    """A working directory with a module of estimators."""
    monkeypatch.chdir(tmp_path)
    name = f"estimators_{abs(hash(tmp_path))}"  # modules are imported once in a process
    (tmp_path / f"{name}.py").write_text(MODELS)
    return tmp_path / name


def test_a_linear_machine_behind_decisions_is_fooled_near_its_plane() -> None:
    """Only ``predict`` is there; the distance to the plane is known, and the box may make it larger, not smaller."""
    train, test = digits_split()
    assert train.labels is not None
    machine = LinearSVC(C=0.01, random_state=0).fit(
        train.images(0, 600).flatten(1).double().numpy(), train.labels[:600].numpy() >= 5
    )

    class Door:
        classes_ = machine.classes_

        def predict(self, rows: Any) -> Any:
            return machine.predict(rows)

    images = 0.25 + 0.5 * test.images(0, 12)
    labels = torch.from_numpy(machine.predict(images.flatten(1).double().numpy())).long()
    away = abs(machine.decision_function(images.flatten(1).double().numpy()))
    for norm, q in (("l2", 2), ("linf", 1)):
        found = brittle.attack(
            brittle.BlackBox(Door()), images, labels, brittle.HopSkipJump(norm=norm, queries=2000), seed=1
        )
        weight = torch.linalg.vector_norm(torch.from_numpy(machine.coef_), ord=q)
        ratio = found.distance(norm).double() / (torch.from_numpy(away) / weight)
        assert found.fooled.all()
        assert not found.miscounted
        assert float(ratio.min()) > 1 - 1e-3
        assert float(ratio.median()) < 1.25


def test_attacks_that_ask_for_more_are_refused_before_any_work_and_others_named() -> None:
    train, _ = digits_split()
    assert train.labels is not None
    images, labels = train.images(0, 100), train.labels[:100]
    machine = LinearSVC(random_state=0).fit(images.flatten(1).double().numpy(), labels.numpy())

    class Door:
        classes_ = machine.classes_

        def predict(self, rows: Any) -> Any:
            raise AssertionError("asked all the same")

    decisions, scores = brittle.BlackBox(Door()), brittle.BlackBox(machine)
    gradient = brittle.Restarts(attack=brittle.PGD(eps=0.1))
    for classifier, given, able in ((decisions, "decisions", {"decision"}), (scores, "scores", {"decision", "score"})):
        named = sorted(name for name, entry in ATTACKS.items() if entry.kind != "wrapper" and entry.access in able)
        assert "hopskipjump" in named
        for method in (brittle.DeepFool(), gradient):
            with pytest.raises(brittle.Unsupported, match=f"asks for gradients, .* only gives {given}") as refused:
                brittle.attack(classifier, images, labels, method)
            assert str(refused.value).endswith(f"attacks that work on it: {', '.join(named)}")
        assert classifier.forwards == 0
    for name, entry in ATTACKS.items():
        if entry.access == "score" and entry.kind != "wrapper":
            with pytest.raises(brittle.Unsupported, match=rf"^{name}\(.*\) asks for scores, Door only gives decisions"):
                brittle.attack(decisions, images, labels, entry.type())


@pytest.mark.parametrize("function", ["tree", "behind_a_door", "fitted"])
def test_an_audit_of_an_estimator_runs_and_resumes(cli: Cli, here: Path, function: str) -> None:
    line = ("audit", "--model", f"python:{here.name}:{function}", *AUDIT, "--out", "run")
    assert cli(*line).code == 0
    manifest = read_manifest(Path("run"))
    records = read_records(Path("run"), manifest)
    assert len(records) == 8
    assert records["fooled"].all()
    assert not records["flags"].map(len).any()
    assert not records["backwards"].any()
    assert [flag.code for flag in manifest.models[0].flags] == []
    again = cli(*line)
    assert (again.code, again.err.count("(resumed)")) == (0, 1)


def test_an_audit_with_a_gradient_attack_writes_nothing(cli: Cli, here: Path) -> None:
    ran = cli("audit", "--model", f"python:{here.name}:tree", *AUDIT, "--attack", "deepfool", "--out", "run")
    assert ran.code == 2
    wanted = f"deepfool asks for gradients, python:{here.name}:tree only gives scores; attacks that work on it: "
    assert wanted in ran.err
    assert not Path("run").exists()


def test_an_estimator_that_is_not_fitted_or_gets_weights_is_refused(cli: Cli, here: Path) -> None:
    ran = cli("audit", "--model", f"python:{here.name}:unfitted", *AUDIT, "--out", "run")
    assert (ran.code, "fit it first" in ran.err) == (2, True)
    torch.save({"weight": torch.zeros(2)}, "weights.pt")
    ran = cli("audit", "--model", f"python:{here.name}:tree", "--weights", "weights.pt", *AUDIT, "--out", "run")
    assert ran.code == 2
    assert "Traceback" not in ran.err
    assert not Path("run").exists()


def test_the_example_attacks_a_forest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main = runpy.run_path(str(ROOT / "examples" / "attack_a_random_forest.py"))["main"]
    run = main(str(tmp_path / "forest"))
    out = capsys.readouterr().out
    assert "RandomForestClassifier: 100% fooled" in out
    assert "SVC: 100% fooled" in out
    assert "pgd(eps=0.1) asks for gradients" in out
    assert run.records["fooled"].all()
    assert (tmp_path / "forest" / "report.html").stat().st_size > 100_000
