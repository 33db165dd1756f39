"""Training, from the command line to a model that is audited; and all that it refuses."""

import json
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import killable
import pytest
from kit import jpeg
from PIL import Image

import brittle
from brittle.api import run_spec
from brittle.errors import BrittleError
from brittle.loggers import check_loggers
from brittle.models import load_model
from brittle.models.trainable import trainable
from brittle.models.trained import read_card
from brittle.records import read_records
from brittle.run.engine import Run
from brittle.run.spec import ModelSpec
from brittle.run.store import Store
from brittle.studies.audit import AuditSpec
from brittle.studies.cached import cache_folder, trained_model
from brittle.studies.cards import csv_of
from brittle.studies.logs import Logs
from brittle.studies.train import TrainSpec
from conftest import Cli

QUICK = "standard,epochs=3,batch=32,peak_rate=0.1,flip=no,shift=0"
DIGITS = ["train", "--arch", "digits-cnn", "--data", "digits", "--recipe", QUICK, "--precision", "fp32"]


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two networks, of disjoint halves of the digits."""
    spec = TrainSpec(architectures=["digits-cnn"], data="digits", recipe=QUICK, on=["half-1", "half-2"])
    return run_spec(spec, out=tmp_path_factory.mktemp("runs") / "halves")


def test_a_transfer_knows_which_networks_share_their_training_images(halves: Run) -> None:
    names = [f"digits-cnn-{part}-seed-0" for part in ("half-1", "half-2")]
    models = [ModelSpec(model=f"run:{halves.directory}#{name}", name=name) for name in (*names, names[0])]
    models[2] = models[2].model_copy(update={"name": "again"})
    said = ModelSpec(model="digits-cnn", name="own", trained_on="half-1")
    given = models[0].model_copy(update={"name": "told", "trained_on": "mine"})
    spec = AuditSpec(models=[*models, said, given], data="digits", limit=4, attacks=["fgsm"])
    found = {one.name: one.trained_on for one in spec.open().plan(None, None).models}
    assert found[names[0]] == found["again"] != found[names[1]]
    assert str(found[names[1]]).startswith("half-2 (200 images, ")
    assert (found["own"], found["told"]) == ("half-1", "mine")


def test_a_trained_run_is_a_model_and_its_card_says_what_an_audit_finds(cli: Cli, tmp_path: Path) -> None:
    directory = tmp_path / "trained"
    ran = cli(*DIGITS, "--test-data", "digits", "--seed", "3", "--out", directory)
    assert ran.code == 0
    assert ran.out.splitlines()[-1] == f"as a model: --model run:{directory}"
    card = read_card(directory / "models/digits-cnn-seed-3.json")
    assert (card.seed, card.on, card.images, card.epochs, card.accuracy.of) == (3, "all", 500, 3, 500)
    assert 0.6 < card.accuracy.low < card.accuracy.value < card.accuracy.high
    assert card.parameters == sum(one.numel() for one in load_model(f"run:{directory}").net.parameters())  # type: ignore[attr-defined]
    # Two convolutions of 3 x 3 on 8 x 8 places, and two linear layers, by hand.
    assert card.gflops * 1e9 == 2 * (64 * 9 * (16 + 16 * 32) + 512 * 64 + 64 * 10)
    assert card.training_gflops == pytest.approx(3 * card.gflops * 500 * 3)

    audit = tmp_path / "audit"
    assert cli("audit", "--model", f"run:{directory}", "--data", "digits", "--attack", "fgsm", "--out", audit).code == 0
    records = read_records(audit)
    assert (records["clean_prediction"] == records["label"]).sum() == card.accuracy.right
    page = (directory / "report.html").read_text()
    assert f"classifies {card.accuracy.right} of 500 test images correctly after 3 epochs" in page


def test_a_trained_run_is_shown_images_as_it_was_trained_on(tmp_path: Path) -> None:
    """Resized, and not the middle of them."""
    for number in range(20):
        folder = tmp_path / "data" / f"class {number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (28, 28), 10 * number).save(folder / f"{number}.png")
    data = str(tmp_path / "data")
    spec = TrainSpec(architectures=["fc100-100-10-at-7"], data=data, recipe="szegedy,epochs=1")
    run = run_spec(spec, out=tmp_path / "run")
    network = load_model(f"run:{run.directory}")
    assert network.fit == trainable("fc100-100-10-at-7").fit
    assert network.fit is not None and network.fit.resize == (7, 7)


def test_records_csv_and_summary_are_of_one_mind(halves: Run, cli: Cli) -> None:
    records = halves.records
    assert list(records.groupby("network").size()) == [3, 3]
    assert not (halves.directory / "scratch").exists()
    for name, mine in records.groupby("network"):
        lines = (halves.directory / f"logs/{name}.csv").read_text().splitlines()
        assert lines[0].split(",") == [column for column in records.columns if column != "seconds"]
        assert [float(line.split(",")[lines[0].split(",").index("loss")]) for line in lines[1:]] == list(mine["loss"])
        card = read_card(halves.directory / f"models/{name}.json")
        last = mine.iloc[-1]
        assert (last["held_out_right"], last["held_out"]) == (card.accuracy.right, card.accuracy.of)
        assert card.images == 200
    told = json.loads(cli("summary", halves.directory, "--json").out)
    assert [row["test accuracy"]["of"] for row in told["rows"]] == [100, 100]
    assert told["sentences"][0].startswith("2 networks, ")


def test_several_networks_are_told_apart_by_name(halves: Run) -> None:
    place = halves.directory
    one = load_model(f"run:{place}#digits-cnn-half-1-seed-0")
    two = load_model(f"run:{place}#digits-cnn-half-2-seed-0")
    assert one.fingerprint != two.fingerprint
    assert (one.name, one.class_names) == ("digits-cnn-half-1-seed-0", tuple("0123456789"))
    with pytest.raises(BrittleError, match=r"has 2 networks; name one: run:.*#digits-cnn-half-1-seed-0, of "):
        load_model(f"run:{place}")
    with pytest.raises(BrittleError, match=r"no network 'half-2'; did you mean|no network 'half-2'; known: "):
        load_model(f"run:{place}#half-2")
    with pytest.raises(BrittleError, match=r"holds its weights: expected no --weights, got w\.pt"):
        load_model(f"run:{place}", weights="w.pt")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            "half-trained",
            r"is half-trained \(digits-cnn-half-1-seed-0 not finished\); the command that began it resumes",
        ),
        ("another card", r"is not what its card was written for, or is damaged"),
        ("another's weights", r"is not what its card was written for, or is damaged"),
        ("a bit", r"is not what its card was written for, or is damaged"),
        ("cut short", r"is not a network of brittle train: "),
        ("another accuracy as text", r"is not the card of a network: "),
    ],
)
def test_what_is_not_whole_is_no_model(fault: str, message: str, halves: Run, tmp_path: Path, cli: Cli) -> None:
    place = tmp_path / "run"
    shutil.copytree(halves.directory, place)
    first, second = (place / f"models/digits-cnn-half-{half}-seed-0.safetensors" for half in (1, 2))
    content = first.read_bytes()
    if fault == "half-trained":
        first.with_suffix(".json").unlink()
    elif fault == "another card":
        shutil.copy(second.with_suffix(".json"), first.with_suffix(".json"))
    elif fault == "another's weights":
        shutil.copy(second, first)
    elif fault == "a bit":
        first.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    elif fault == "cut short":
        first.write_bytes(content[:-100])
    else:
        card = first.with_suffix(".json")
        card.write_text(card.read_text().replace('"right": ', '"right": "many", "was": '))
    model = f"run:{place}#{first.stem}"
    ran = cli("audit", "--model", model, "--data", "digits", "--attack", "fgsm", "--out", tmp_path / "audit")
    assert ran.code == 2
    assert ran.err.count("\n") == 1
    with pytest.raises(BrittleError, match=message):
        load_model(model)
    assert not (tmp_path / "audit").exists()


def test_a_stopped_training_is_no_model_yet_and_says_how_to_go_on(tmp_path: Path, monkeypatch: Any) -> None:
    def killed(*_: object) -> None:
        raise killable.Stop

    with monkeypatch.context() as patch:
        patch.setattr(Store, "keep", killed)
        with pytest.raises(killable.Stop):
            killable.ran(killable.small_train(), tmp_path)
    assert (tmp_path / "scratch/digits-cnn-half-1-seed-0/checkpoint.pt").exists()
    assert (tmp_path / "scratch/digits-cnn-half-1-seed-0/metrics.csv").read_text().count("\n") == 3
    with pytest.raises(BrittleError, match=r"is half-trained \(2 of 2 not finished\)"):
        load_model(f"run:{tmp_path}")
    killable.ran(killable.small_train(), tmp_path)
    assert not (tmp_path / "scratch").exists()
    load_model(f"run:{tmp_path}#digits-cnn-half-1-seed-0")


def test_other_studies_and_other_folders_are_no_models(tmp_path: Path) -> None:
    killable.ran(killable.small_noise(), tmp_path / "noise")
    with pytest.raises(BrittleError, match=r"expected a run of brittle train in .*, got one of another study"):
        load_model(f"run:{tmp_path / 'noise'}")
    with pytest.raises(BrittleError, match="expected run:DIR as the directory of a brittle train run, got "):
        load_model(f"run:{tmp_path}")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--arch", "resnet200"], r"unknown architecture 'resnet200'; did you mean 'resnet20'\?"),
        (["--arch", "digits-cnn@edge"], r"unknown input 'edge' of 'digits-cnn@edge'; did you mean 'edges'\?"),
        (["--arch", "digits-cnn@image"], "expected inputs beside the image, got 'digits-cnn@image'"),
        (["--arch", "digits-fc10@edges"], "expected an architecture of convolutions for edges, got digits-fc10"),
        (["--recipe", "standard,epochs=0"], r"expected epochs >= 1, got 0"),
        (["--recipe", "stanard"], r"unknown recipe 'stanard'; did you mean 'standard'\?"),
        (["--recipe", "standard,rate=1"], r"recipe 'standard' has no option 'rate'"),
        (["--on", "half"], r"on.0: Input should be 'all', 'half-1' or 'half-2', got 'half'"),
        (["--precision", "fp16"], r"precision: Input should be 'auto', 'fp32' or 'bf16', got 'fp16'"),
        (["--arch", "signs-cnn"], r"digits are grey images of 8 x 8 pixels"),
        (["--seed", "1", "--seed", "1"], r"expected different seeds, got 1, 1"),
        (["--data", "nothing"], r"unknown data 'nothing'"),
        (["--data", "unlabelled"], r"expected labelled images to train on and judge by, unlabelled has no labels"),
        (["--limit", "9"], r"expected at least 10 examples, of which a fifth is held out, got 9"),
        (["--test-limit", "9"], r"expected test_limit with test_data only"),
        (["--data", "few"], r"expected data of 10 classes for digits-cnn, got 3"),
        (["--test-data", "few"], r"expected .*classes"),
    ],
)
def test_bad_input_is_one_line(
    given: list[str], message: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("unlabelled", "few/cat", "few/dog", "few/eel"):
        Path(folder).mkdir(parents=True)
        for number in range(5):
            (Path(folder) / f"{number}.jpg").write_bytes(jpeg(number, side=8, mode="L"))
    ran = cli(*DIGITS, *given, "--out", "run")
    assert ran.code == 2
    assert ran.err.count("\n") == 1
    assert re.search(message, ran.err), ran.err
    assert not Path("run").exists()


def test_without_lightning_it_says_what_to_install(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    ran = cli(*DIGITS, "--out", tmp_path / "run")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "pip install 'brittle[train]'" in ran.err


def test_the_cache_trains_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRITTLE_CACHE", str(tmp_path))
    spec = TrainSpec(architectures=["digits-cnn"], data="digits", recipe=QUICK, precision="fp32", limit=200)
    first = trained_model(spec)
    assert first.parent == tmp_path / "trained"
    watch = killable.Watching()
    assert trained_model(spec, watch=watch) == first
    assert watch.told == [("digits-cnn-seed-0", 0, True)]
    assert isinstance(load_model(f"run:{first}"), brittle.Network)
    other = spec.model_copy(update={"recipe": f"{QUICK},smoothing=0"})
    assert trained_model(other) != first
    with pytest.raises(BrittleError, match="expected one network to keep in the cache, got 2; give a run directory"):
        trained_model(spec.model_copy(update={"seeds": [0, 1]}))
    monkeypatch.delenv("BRITTLE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/brittle")


def test_the_same_data_elsewhere_are_found_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("here", "there"):
        for number in range(20):
            file = tmp_path / place / f"{number % 10}" / f"{number}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(jpeg(number, side=8, mode="L"))
    monkeypatch.setenv("BRITTLE_CACHE", str(tmp_path / "cache"))
    spec = TrainSpec(architectures=["digits-cnn"], data=str(tmp_path / "here"), recipe=QUICK)
    first = trained_model(spec)
    watch = killable.Watching()
    assert trained_model(spec.model_copy(update={"data": str(tmp_path / "there")}), watch=watch) == first
    assert [resumed for _, _, resumed in watch.told] == [True]


def test_loggers_are_told_each_epoch(tmp_path: Path, logged: list[tuple[str, str, float, int]]) -> None:
    row: Mapping[str, float] = {
        "epoch": 2.0,
        "loss": 1.5,
        "accuracy": 0.5,
        "held_out": 0.4,
        "rate": 0.1,
        "seconds": 9.0,
    }
    logs = Logs(["tensorboard", "mlflow"], "net", tmp_path)
    logs.tell([{**row, "epoch": 1.0}, row])
    assert logs.close() == {"tensorboard/net/events.0": b"events"}
    assert ("tensorboard", "loss", 1.5, 2) in logged and ("0/net", "held_out", 0.4, 2) in logged
    assert logged[-1] == ("0/net", "ended", 0.0, 0)
    assert (tmp_path / "metrics.csv").read_bytes() == csv_of([{**row, "epoch": 1.0}, row])
    Logs(["mlflow"], "net", tmp_path).close()
    assert logged[-1] == ("0/net", "ended", 0.0, 0)  # a resumed training goes on with its run
    with pytest.raises(BrittleError, match="expected a logger as tensorboard or mlflow, got 'tensorboardy'"):
        check_loggers(["tensorboardy"])
