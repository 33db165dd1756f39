"""A run is a file: what a command line stands for, repeated from anywhere, with several models and goals."""

import json
import shlex
from pathlib import Path

import pytest
from kit import make_kit
from test_bad_inputs import contents
from test_resume import assert_same_run

import brittle
from brittle.models import load_model
from brittle.records import read_manifest, read_records
from conftest import Cli

TWO = (
    "--model one=digits-cnn --model two=digits-cnn --weights one=good.safetensors --weights two=other.safetensors"
    " --data digits --limit 24 --attack fgsm,eps=0.2 --attack pgd,eps=0.2"
)


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("kit")
    make_kit(folder)
    save_file(load_model("digits-cnn").net.state_dict(), folder / "other.safetensors")  # type: ignore[attr-defined]
    return folder


@pytest.mark.usefixtures("without_report")
def test_the_file_in_a_run_directory_repeats_the_run_from_anywhere(
    kit: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(kit)
    assert cli("audit", *shlex.split(TWO), "--seed", "3", "--out", tmp_path / "first").code == 0
    monkeypatch.chdir(tmp_path)
    again = cli("run", tmp_path / "first" / "spec.toml", "--out", tmp_path / "second")
    assert again.code == 0, again.err
    (tmp_path / "second" / "spec.toml").unlink()
    (tmp_path / "first" / "spec.toml").unlink()
    assert_same_run(tmp_path / "second", tmp_path / "first")


@pytest.mark.usefixtures("without_report")
def test_paths_are_relative_to_the_file(kit: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (kit / "mine.toml").write_text(
        'study = "audit"\ndata = "digits"\nlimit = 4\nattacks = ["fgsm"]\n'
        '[[models]]\nmodel = "digits-cnn"\nweights = "good.safetensors"\n'
    )
    monkeypatch.chdir(tmp_path)
    ran = cli("run", kit / "mine.toml", "--out", "here")
    assert ran.code == 0, ran.err
    assert (tmp_path / "here" / "manifest.json").is_file()


BAD = {
    'study = "audt"': "expected study as the name of one, got 'audt'; did you mean 'audit'?",
    "seed = 1": "expected study as the name of one, got None; known: activation, alternate, amplification, audit,",
    'study = "audit"\nattacks = ["fgsm"]\ndata = "digits"': "expected a value for 'models', got none",
    'study = "noise"\nmodels = []\ndata = "digits"': "expected at least one model, got none",
    'study = "audit"\nmodels = []\nattacks = []\ndata = "digits"\nlevels = 16': "levels: Input should be 256, got 16",
    "study = ": "expected a TOML file, got ",
    'study = "noise"\nfolder = "nowhere"': "as that of its relative paths, got 'nowhere'",
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_file_is_one_line_and_nothing_is_written(
    text: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.toml").write_text(text)
    ran = cli("run", "run.toml", "--out", "out")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert BAD[text] in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["run.toml"]


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(
    kit: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(kit)
    before = contents(kit)
    ran = cli("audit", *shlex.split(TWO), "--dry-run")
    assert ran.code == 0, ran.err
    assert 'attacks = [\n    "fgsm,eps=0.2",\n    "pgd,eps=0.2",\n]' in ran.out
    for model in ("one", "two"):
        assert any(line.startswith(f"{model}, pgd(eps=0.2)  ") and " F + " in line for line in ran.out.splitlines())
    assert "nothing was written" in ran.out
    assert contents(kit) == before


@pytest.mark.usefixtures("without_report")
def test_several_models_and_goals_fill_their_columns(
    kit: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(kit)
    goals = ["untargeted", "least-likely", "next-best", "random", "7"]
    command = ["audit", *shlex.split(TWO), *(part for goal in goals for part in ("--target", goal))]
    ran = cli(*command, "--out", tmp_path / "run")
    assert ran.code == 0, ran.err
    manifest, records = read_manifest(tmp_path / "run"), read_records(tmp_path / "run")
    assert [model.name for model in manifest.models] == ["one", "two"]
    assert manifest.goals == goals
    assert len(records) == 2 * 5 * 2 * 24
    counts = records.groupby(["model", "goal", "attack"]).size()
    assert len(counts) == 20 and set(counts) == {24}
    assert records[records["goal"] == "untargeted"]["target"].isna().all()
    chosen = records[records["goal"] != "untargeted"]
    assert chosen["target"].notna().all()
    assert (records[records["goal"] == "7"]["target"] == 7).all()
    drawn = records[records["goal"].isin(["least-likely", "next-best", "random"])]
    assert (drawn["target"] != drawn["label"]).all()
    # The target is the network's to choose, or the image's stream's; the attack has no say.
    assert (drawn.groupby(["model", "goal", "example"])["target"].nunique() == 1).all()
    random = drawn[(drawn["goal"] == "random") & (drawn["attack"] == "pgd(eps=0.2)")].pivot(
        index="example", columns="model", values="target"
    )
    assert (random["one"] == random["two"]).all()
    met = chosen[chosen["fooled"]]
    assert len(met) and (met["adversarial_prediction"] == met["target"]).all()
    views = json.loads(cli("summary", tmp_path / "run", "--json").out)["views"]
    assert [(view["model"], view["goal"]) for view in views] == [(m, g) for m in ("one", "two") for g in goals]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--model one=digits-cnn --model one=resnet20", "expected different models, got 'one' 2 times"),
        (
            "--model a=digits-cnn --model b=digits-cnn --weights good.safetensors",
            "of several models as NAME=",
        ),
        ("--model a=digits-cnn --model b=digits-cnn --weights aa=good.safetensors", "did you mean 'a'?"),
        ("--model digits-cnn --target 10", "expected a class index below 10, got 10"),
        ("--model digits-cnn --target least-likly", "did you mean 'least-likely'?"),
        ("--model digits-cnn --target 3 --target 3", "expected different goals, got '3' 2 times"),
        ("--model digits-cnn --target 3 --attack deepfool", "deepfool supports untargeted goals, got targeted"),
        ("--model digits-cnn --workers 0", "at least 1, got '0'"),
    ],
)
def test_mistakes_with_several_are_one_line(
    options: str, message: str, kit: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(kit)
    ran = cli(
        "audit", *shlex.split(options), *shlex.split("--data digits --limit 4 --attack fgsm"), "--out", tmp_path / "o"
    )
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert message in ran.err
    assert not (tmp_path / "o").exists()


def test_python_runs_a_spec_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = {"study": "noise", "models": [{"model": "digits-cnn"}], "data": "digits", "limit": 30, "sizes": [0.0, 3.0]}
    done = brittle.run_spec(spec, out="noise")
    records = done.records.assign(right=done.records["prediction"] == done.records["label"])
    accuracy = records.groupby("size")["right"].mean()
    assert accuracy[0.0] > 0.9 > accuracy[3.0]
    assert brittle.Run.open("noise").manifest.settings == {"norm": "l2", "sizes": [0.0, 3.0]}
