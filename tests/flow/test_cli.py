"""The commands, end to end and in this process."""

import json
import os
import shlex
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pytest

from brittle.catalog import ATTACKS, attacks_from, traits_of
from brittle.cli import main
from brittle.data import DATA_SOURCES
from brittle.data.signs import signs_train
from brittle.measure import summaries
from brittle.models import MODELS, zoo
from brittle.records import read_manifest, read_records
from brittle.studies import demo
from brittle.studies.ways import PRESETS
from conftest import Cli

AUDIT = "audit --model digits-cnn --data digits --limit 20 --attack fgsm,eps=0.1:0.2 --attack deepfool --batch-size 7"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, made by the command line once for all tests here."""
    directory = tmp_path_factory.mktemp("runs") / "mine"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["brittle", *shlex.split(AUDIT), "--out", str(directory)])
        with pytest.raises(SystemExit) as stopped:
            main()
    assert stopped.value.code == 0
    return directory


def test_audit_writes_records_and_a_report_and_shows_the_numbers(cli: Cli, tmp_path: Path) -> None:
    directory = tmp_path / "my runs" / "one"
    ran = cli(*shlex.split(AUDIT), "--out", directory)
    assert ran.code == 0
    assert ran.out.splitlines()[-1] == f"report: {directory / 'report.html'}"
    assert "of 20 images" in ran.out
    assert "(eps=0.2)" in ran.out
    for label in ("fgsm(eps=0.1)", "fgsm(eps=0.2)", "deepfool"):
        assert any(
            line.startswith(label) and "20/20" in line and "misclassified" in line for line in ran.err.splitlines()
        )
    manifest = read_manifest(directory)
    assert [spec.label for spec in manifest.attacks] == ["fgsm(eps=0.1)", "fgsm(eps=0.2)", "deepfool"]
    assert manifest.command == f"brittle {AUDIT} --out '{directory}'"
    assert (manifest.models[0].name, manifest.models[0].batch_size) == ("digits-cnn", 7)
    assert manifest.versions["brittle"] == version("brittle")
    records = read_records(directory, manifest)
    assert len(records) == 60
    assert records[records["attack"] == "deepfool"]["fooled"].all()
    assert (directory / "report.html").stat().st_size > 100_000


def test_audit_again_resumes(cli: Cli, run: Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*.parquet")}
    ran = cli(*shlex.split(AUDIT), "--out", run)
    assert ran.code == 0
    assert ran.err.count("(resumed)") == 3
    assert {path: path.read_bytes() for path in run.rglob("*.parquet")} == before


def test_summary_as_json_is_the_summary(cli: Cli, run: Path) -> None:
    ran = cli("summary", run, "--json")
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out) == {
        "study": "audit",
        "views": [json.loads(one.model_dump_json()) for one in summaries(read_manifest(run), read_records(run))],
    }


def test_summary_for_people(cli: Cli, run: Path) -> None:
    ran = cli("summary", run)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("This classifier is right on ")
    assert max(len(line) for line in ran.out.splitlines()) <= 100


def test_report_is_rebuilt_from_the_records(cli: Cli, run: Path) -> None:
    page = (run / "report.html").read_bytes()
    (run / "report.html").unlink()
    ran = cli("report", run)
    assert (ran.code, ran.out, ran.err) == (0, f"{run / 'report.html'}\n", "")
    assert (run / "report.html").read_bytes() == page


def test_demo(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "ATTACKS", ("fgsm,eps=1/255:4/255", "deepfool"))
    monkeypatch.setattr(demo, "IMAGES", 16)
    monkeypatch.setattr(zoo, "signs_train", partial(signs_train, 30))  # a tenth
    ran = cli("demo", "--out", tmp_path / "demo")
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[-1] == f"report: {tmp_path / 'demo' / 'report.html'}"
    records = read_records(tmp_path / "demo")
    assert len(records) == 48
    assert len(set(records["label"])) >= 12
    assert records.loc[records["attack"].str.startswith("deepfool"), "fooled"].all()
    assert (records["fooled"] == records["fooled_8bit"]).all()


def test_the_demo_shows_both_kinds() -> None:
    traits = [traits_of(attack) for text in demo.ATTACKS for attack in attacks_from(text)]
    assert {one.kind for one in traits} == {"budget", "minimal"}
    assert {one.norm.name for one in traits if one.kind == "minimal"} == {"l2", "linf"}


def test_the_lists(cli: Cli) -> None:
    attacks, models, data, recipes = (cli(command) for command in ("attacks", "models", "data", "recipes"))
    for ran in (attacks, models, data, recipes):
        assert (ran.code, ran.err) == (0, "")
        assert max(len(line) for line in ran.out.splitlines()) <= 100
    for name, entry in ATTACKS.items():
        assert any(line.startswith(f"{name} ") for line in attacks.out.splitlines())
        assert entry.paper in attacks.out
    assert "…" not in attacks.out  # names are to be copied
    for source in MODELS.values():
        assert any(line.startswith(f"{source.form} ") for line in models.out.splitlines())
    for origin in DATA_SOURCES:
        assert any(line.startswith(f"{origin.form} ") for line in data.out.splitlines())
    assert "standard: Cross-entropy" in recipes.out and "peak_rate" in recipes.out
    assert "pip install brittle[timm]" in " ".join(models.out.split())  # brackets are text, not markup


def test_a_preset_says_what_it_stands_for(cli: Cli) -> None:
    ran = cli("attacks", "notes-v2")
    assert ran.code == 0
    assert f"notes-v2: a preset of brittle craft for {PRESETS['notes-v2']}" in ran.out
    assert "optimiser" in ran.out


@pytest.mark.parametrize("name", ATTACKS)
def test_one_attack_with_its_options(name: str, cli: Cli) -> None:
    ran = cli("attacks", name)
    assert (ran.code, ran.err) == (0, "")
    text = " ".join(ran.out.split())
    assert text.startswith(f"{name}: {ATTACKS[name].summary}")
    for option in ATTACKS[name].fields().values():
        assert any(line.startswith(f"{option.name} ") for line in ran.out.splitlines())
        assert option.help[:30] in text
        assert option.expected[:20] in text


def test_version_and_help(cli: Cli) -> None:
    assert cli("--version").out == f"{version('brittle')}\n"
    alone, asked = cli(), cli("--help")
    assert alone.code == asked.code == 0
    assert alone.out == asked.out
    for command in (
        "demo",
        "audit",
        "craft",
        "fit",
        "run",
        "report",
        "summary",
        "compare",
        "export",
        "attacks",
        "models",
        "data",
        "studies",
    ):
        assert f"  {command} " in asked.out
    for option in (
        "--model",
        "--weights",
        "--data",
        "--attack",
        "--out",
        "--limit",
        "--seed",
        "--batch-size",
        "--mean",
    ):
        assert option in cli("audit", "--help").out


@pytest.mark.parametrize(
    ("said", "spins"), [({}, "20000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)]
)
def test_threads_that_wait_sleep_soon_unless_someone_has_thought_of_it(
    said: dict[str, str], spins: str | None, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {name: one for name, one in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    monkeypatch.setattr(os, "environ", kept | said)
    assert cli("--version").code == 0
    assert os.environ.get("GOMP_SPINCOUNT") == spins


def test_flags_of_the_preflight_are_shown(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "softened.py").write_text(
        "from torch import nn\n"
        "from brittle.models.digits_cnn import DigitsCNN\n"
        "def net():\n    return nn.Sequential(DigitsCNN(), nn.Softmax(1))\n"
    )
    ran = cli(*shlex.split("audit --model python:softened:net --data digits --limit 20 --attack fgsm --out run"))
    assert ran.code == 0
    assert "flag probabilities: " in ran.err
    assert "probabilities: " in ran.out


def test_real_network_on_real_images(cli: Cli, real_data: Path, tmp_path: Path) -> None:
    weights = real_data / "weights" / "cifar10_resnet20.safetensors"
    table = real_data / "cifar10-jpeg" / "test.parquet"
    command = ["audit", "--model", "resnet20", "--weights", weights, "--data", table, "--limit", "64"]
    ran = cli(*command, "--attack", "deepfool", "--out", tmp_path / "run")
    assert ran.code == 0, ran.err
    (summary,) = summaries(read_manifest(tmp_path / "run"), read_records(tmp_path / "run"))
    assert 0.7 < (summary.overall["clean_accuracy"].value or 0) < 0.95
    measures = summary.attacks[0].measures
    assert measures["fooling_rate"].value == 1
    assert 0.04 < (measures["median_distance"].value or 0) < 0.1
    assert summary.flags == [] or {flag.code for flag in summary.flags} <= {"lost-8bit", "few-examples"}
