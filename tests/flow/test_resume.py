"""An interrupted run, resumed, is the run it would have been; and nothing else is ever resumed."""

import multiprocessing
import os
import random
import shlex
import signal
import subprocess
import sys
from multiprocessing.context import ForkServerContext
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from typing import Any

import killable
import pandas as pd
import pytest
import torch
from killable import Stop
from kit import make_kit

import brittle
from brittle.errors import BrittleError
from brittle.records import read_manifest, read_records, read_transfers
from brittle.run import engine, store
from brittle.run.attack import attack_graded
from brittle.studies import audit
from conftest import Cli

FOLDER = "digitscnn/untargeted"


def files(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def assert_same_run(directory: Path, other: Path) -> None:
    """Equal records in every column but the time, equal images to the bit, and nothing left over."""
    ours, theirs = files(directory), files(other)
    assert ours.keys() - {"calls", "report.html"} == theirs.keys() - {"calls", "report.html"}
    assert not [name for name in ours if store.TEMPORARY in name]
    records, expected = (read_records(one).drop(columns="seconds", errors="ignore") for one in (directory, other))
    pd.testing.assert_frame_equal(records, expected, check_exact=True)
    transfers, others = (read_transfers(one, read_manifest(one)) for one in (directory, other))
    pd.testing.assert_frame_equal(transfers, others, check_exact=True)
    for name in ours:
        if not name.endswith((".parquet", ".json", ".toml", "calls")):
            assert ours[name] == theirs[name], name
    neutral = {"created", "command"}
    assert read_manifest(directory).model_dump(exclude=neutral) == read_manifest(other).model_dump(exclude=neutral)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nobody interrupted."""
    directory = tmp_path_factory.mktemp("whole") / "run"
    killable.small_run(directory)
    return directory


@pytest.fixture(scope="module")
def forks() -> ForkServerContext:
    """Children of a server that has imported everything and run nothing: they start in no time."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["killable"])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *filter(None, [before])])
    try:
        ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    return context


def in_child(
    forks: ForkServerContext, name: str, directory: Path, kill_at: int, workers: int = 1, cut: bool = False
) -> int | None:
    child = forks.Process(target=killable.run_until_killed, args=(name, directory, kill_at, workers, cut))
    child.start()
    child.join()
    return child.exitcode


@pytest.mark.parametrize(
    ("name", "workers", "cut", "kills"),
    [
        ("audit", 1, False, 4),
        ("audit", 1, True, 3),
        ("craft", 1, False, 2),
        ("fit", 1, False, 2),
        ("noise", 1, True, 2),
        ("train", 1, False, 2),
        ("models", 2, True, 1),
        ("transfer", 1, True, 2),
    ],
)
def test_killed_at_random_moments_and_resumed(
    name: str, workers: int, cut: bool, kills: int, forks: ForkServerContext, tmp_path: Path
) -> None:
    """cut: units in parts, an example at a time; the run that nobody interrupted is done in whole units."""
    kills = max(kills, int(os.environ.get("BRITTLE_KILLS", 0)))
    whole = tmp_path / "whole"
    killable.ran(killable.STUDIES[name](), whole)
    assert in_child(forks, name, tmp_path / "counted", 0, workers, cut) == 0
    assert_same_run(tmp_path / "counted", whole)
    calls = int((tmp_path / "counted" / "calls").read_text())
    draw = random.Random(20)
    finished = []
    for number in range(kills):
        moment = round(calls * (number + draw.random()) / kills)
        directory = tmp_path / f"{number}"
        assert in_child(forks, name, directory, max(1, moment), workers, cut) == -signal.SIGKILL
        finished.append(len(list(directory.rglob("*.parquet"))))
        if finished[-1]:  # it can be looked at, parts and all; the fit itself has a file and no row
            assert len(read_records(directory)) >= finished[-1] - (name == "fit")
        killable.ran(killable.STUDIES[name](), directory)
        assert_same_run(directory, whole)
    if name == "audit" and not cut:  # something was at stake: from nothing done to nearly all
        assert finished[0] == 0
        assert finished[-1] >= 6
        assert len(set(finished)) >= 3


def test_killed_while_writing(whole: Path, tmp_path: Path) -> None:
    """What a writer that died in the middle of a file leaves behind is removed, and never taken for a shard."""
    directory = tmp_path / "run"
    killable.small_run(directory)
    for name in (f"records/{FOLDER}/deepfool-max-steps-5/00002.parquet", "images/digitscnn/clean/00001.safetensors"):
        whole_file = directory / name
        (whole_file.parent / f"{store.TEMPORARY}{whole_file.name}").write_bytes(whole_file.read_bytes()[:100])
        whole_file.unlink()
    (directory / f"{store.TEMPORARY}manifest.json").write_text('{"schema')
    killable.small_run(directory)
    assert_same_run(directory, whole)


def test_killed_before_the_manifest_was_there(whole: Path, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    (directory / store._LOCK).touch()
    (directory / f"{store.TEMPORARY}manifest.json").write_text('{"schema')
    killable.small_run(directory)
    assert_same_run(directory, whole)


def attacked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Fills with (attack, first example) of every shard that is attacked from now on."""
    seen = []
    original = attack_graded

    def counting(classifier: Any, images: Any, goal: Any, method: Any, rng: Any, logits: Any) -> Any:
        seen.append((type(method).__name__, rng.ids[0]))
        return original(classifier, images, goal, method, rng, logits)

    monkeypatch.setattr(audit, "attack_graded", counting)
    return seen


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(target: Path, _: bytes) -> None:
        target.write_text("half of it")
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_bytes", half)
        with pytest.raises(Stop):
            killable.small_run(tmp_path)
    assert not [name for name, content in files(tmp_path).items() if content == b"half of it"]


def test_stopped_between_the_images_and_the_records_of_a_shard(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []
    write = store.write

    def failing(path: Path, content: bytes) -> None:
        if path.suffix == ".parquet":
            if len(written) == 4:
                raise Stop
            written.append(path)
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(store, "write", failing)
        with pytest.raises(Stop):
            killable.small_run(tmp_path)
    pgd = f"{FOLDER}/pgd-eps-0.1-steps-3-random-start-true/00001"
    assert (tmp_path / "images" / f"{pgd}.safetensors").exists()
    assert not (tmp_path / "records" / f"{pgd}.parquet").exists()
    seen = attacked(monkeypatch)
    killable.small_run(tmp_path)
    assert seen == [
        ("PGD", "example-8"),
        ("DeepFool", "example-8"),
        ("FGSM", "example-16"),
        ("PGD", "example-16"),
        ("DeepFool", "example-16"),
    ]
    assert_same_run(tmp_path, whole)


def test_records_whose_images_are_gone_are_made_again(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killable.small_run(tmp_path)
    (tmp_path / "images" / FOLDER / "deepfool-max-steps-5" / "00002.safetensors").unlink()
    seen = attacked(monkeypatch)
    killable.small_run(tmp_path)
    assert seen == [("DeepFool", "example-16")]
    assert_same_run(tmp_path, whole)


def test_a_finished_run_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killable.small_run(tmp_path)
    before = files(tmp_path)
    seen = attacked(monkeypatch)
    watch = killable.Watching()
    killable.small_run(tmp_path, watch=watch)
    assert seen == []
    assert files(tmp_path) == before
    assert len(watch.told) == 9
    assert all(resumed for _, _, resumed in watch.told)
    fooled = sum(count for _, count, _ in watch.told)
    assert fooled == int(read_records(tmp_path)["fooled"].sum()) > 0


CHANGED: dict[str, dict[str, Any]] = {
    "seed: there 0; now 7": {"seed": 7},
    "examples: there 24; now 16": {"examples": killable.examples(16)},
    "data: there memory (": {"examples": killable.examples(data=5)},
    "model: there DigitsCNN (": {"classifier": killable.classifier(weights=5)},
    "shard size: there 8; now 12": {"shard_size": 12},
    "class names: there ['0', '1', '2'": {
        "classifier": brittle.Network(killable.classifier().net, class_names=list("abcdefghij"))
    },
}


def test_a_run_grows_and_is_then_the_run_made_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By attacks, a model and goals, in steps, and nothing is done twice; what is not named again stays."""
    both = {"one": killable.classifier(), "two": killable.classifier(1)}
    first, more = killable.ATTACKS[:1], (killable.ATTACKS[1], brittle.FGSM(eps=0.2))
    every = (*first, *more)
    killable.small_run(tmp_path / "whole", classifier=both, attacks=every, goals=("untargeted", "random"))
    seen = attacked(monkeypatch)
    steps: list[dict[str, Any]] = [
        {"classifier": {"one": both["one"]}, "attacks": first},
        {"classifier": {"one": both["one"]}, "attacks": more},
        {"classifier": both, "attacks": every},
        {"classifier": both, "attacks": every, "goals": ("random",)},
    ]
    for step in steps:
        killable.small_run(tmp_path / "run", **step)
    assert len(seen) == 2 * 3 * 2 * 3  # models, attacks, goals, shards
    assert_same_run(tmp_path / "run", tmp_path / "whole")
    killable.small_run(tmp_path / "run", classifier={"two": both["two"]}, attacks=more[:1], goals=("random",))
    assert len(seen) == 2 * 3 * 2 * 3
    assert_same_run(tmp_path / "run", tmp_path / "whole")
    with pytest.raises(BrittleError, match="model: there two "):
        killable.small_run(tmp_path / "run", classifier={"two": killable.classifier(2)}, attacks=first)


def first(count: int) -> brittle.Examples:
    every = killable.examples()
    assert every.labels is not None
    return brittle.examples_of(every.images(0, count), every.labels[:count], ids=every.ids[:count])


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("images", ["all", "fooled", "none"])
def test_a_run_grows_by_examples_and_nothing_is_done_twice(
    images: str, cut: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a shard and a half, by a few in a shard, to all; each example is attacked once by each attack."""
    killable.small_run(tmp_path / "whole", images=images)
    rows: list[str] = []
    original = attack_graded

    def counting(classifier: Any, pixels: Any, goal: Any, method: Any, rng: Any, logits: Any) -> Any:
        rows.extend(rng.ids)
        return original(classifier, pixels, goal, method, rng, logits)

    monkeypatch.setattr(audit, "attack_graded", counting)
    for count in (12, 14, 24):
        killable.small_run(tmp_path / "run", examples=first(count), images=images, cut=cut)
        assert len(read_records(tmp_path / "run")) == 3 * count
    assert sorted(rows) == sorted(3 * killable.examples().ids)
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_a_run_does_not_grow_by_halves_or_to_other_examples(tmp_path: Path) -> None:
    killable.small_run(tmp_path, examples=first(12))
    before = files(tmp_path)
    for changes, message in (
        ({"attacks": killable.ATTACKS[:1]}, r"from 12 to 24 examples has the attack 'pgd\(.*\)' too; name all that"),
        ({"classifier": {"other": killable.classifier(1)}}, "has the model 'DigitsCNN' too"),
        ({"examples": killable.examples(data=5)}, "data: there memory"),
        ({"examples": first(11)}, "examples: there 12; now 11"),
    ):
        with pytest.raises(BrittleError, match=message):
            killable.small_run(tmp_path, **changes)
        assert files(tmp_path) == before


@pytest.mark.parametrize("difference", CHANGED)
def test_another_run_is_refused_with_the_difference(difference: str, whole: Path) -> None:
    before = files(whole)
    with pytest.raises(BrittleError, match="holds a different run") as refused:
        killable.small_run(whole, **CHANGED[difference])
    assert difference in str(refused.value)
    assert "choose another --out directory, or repeat the same settings to resume" in str(refused.value)
    assert files(whole) == before


def test_another_default_of_an_attack_is_a_difference(whole: Path, tmp_path: Path) -> None:
    stored = read_manifest(whole)
    older = stored.attacks[2].model_copy(update={"config": stored.attacks[2].config | {"overshoot": 0.05}})
    there = stored.model_copy(update={"attacks": [*stored.attacks[:2], older]})
    (tmp_path / "manifest.json").write_text(there.model_dump_json())
    with pytest.raises(BrittleError, match=r"overshoot of deepfool\(max_steps=5\): there 0.05; now 0.02"):
        killable.small_run(tmp_path)


def test_the_batch_size_may_change(whole: Path, tmp_path: Path) -> None:
    killable.stopped_after(tmp_path, 1)
    killable.small_run(tmp_path, classifier=killable.classifier(batch_size=3))
    records, expected = read_records(tmp_path), read_records(whole)
    assert records["fooled"].tolist() == expected["fooled"].tolist()
    close = (records["l2"] - expected["l2"]).abs() <= 1e-4 * expected["l2"]
    assert close.mean() > 0.9  # the laws of the attacks say more


def test_a_second_writer_is_refused(whole: Path) -> None:
    before = files(whole)
    with (
        store.opened(whole, read_manifest(whole)),
        pytest.raises(BrittleError, match="another run is writing to"),
    ):
        killable.small_run(whole)
    assert files(whole) == before
    killable.small_run(whole)


def test_another_run_that_came_between_the_check_and_the_lock_is_refused(
    whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(whole)
    monkeypatch.setattr(engine, "check_same", lambda *_, **__: None)
    with pytest.raises(BrittleError, match="seed: there 0; now 7"):
        killable.small_run(whole, seed=7)
    assert files(whole) == before


INTERRUPTED = """
import os, signal
from brittle.run.store import Store
from brittle.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # as from a terminal, however the tests were started
keep, kept = Store.keep, []

def interrupting(self, unit, *rest):
    keep(self, unit, *rest)
    kept.append(unit)
    if len(kept) == 2:
        os.kill(os.getpid(), signal.SIGINT)

Store.keep = interrupting
main()
"""


@pytest.mark.usefixtures("without_report")
def test_control_c_ends_cleanly_and_the_same_command_resumes(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_kit(tmp_path)
    monkeypatch.chdir(tmp_path)
    line = "audit --model digits-cnn --weights good.safetensors --data digits --limit 20 --attack fgsm --attack pgd"
    command = shlex.split(line + " --attack deepfool")
    stopped = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, *command, "--out", "interrupted"], capture_output=True, text=True
    )
    assert stopped.returncode == 130
    assert stopped.stdout == ""
    assert "Traceback" not in stopped.stderr
    said = stopped.stderr.splitlines()[-1]
    assert said == "brittle: stopped; what is finished is kept, and the same command resumes"
    assert len(list((tmp_path / "interrupted" / "records").rglob("*.parquet"))) == 2
    resumed = cli(*command, "--out", "interrupted")
    assert resumed.code == 0
    assert resumed.err.count("(resumed)") == 2
    assert cli(*command, "--out", "uninterrupted").code == 0
    assert_same_run(tmp_path / "interrupted", tmp_path / "uninterrupted")


def test_the_data_may_change_only_where_the_run_has_not_been(whole: Path, tmp_path: Path) -> None:
    images, labels = killable.examples().images(0, 24), killable.examples().labels
    assert labels is not None
    ids = [f"example-{k}" for k in range(24)]

    def changed(*positions: int, relabelled: tuple[int, ...] = ()) -> brittle.Examples:
        other, others = images.clone(), labels.clone()
        other[list(positions)] = 0.5
        others[list(relabelled)] += 1
        return brittle.examples_of(other, others % 10, ids=ids)

    killable.stopped_after(tmp_path, 4, examples=changed(20))
    for other in (changed(3), changed(12), changed(20, relabelled=(5,))):
        with pytest.raises(BrittleError, match="data: there memory"):
            killable.small_run(tmp_path, examples=other)
    killable.small_run(tmp_path)
    assert_same_run(tmp_path, whole)
    assert torch.equal(images, killable.examples().images(0, 24))
