"""What every study keeps to, by registration: units that depend on nothing but themselves, whoever does them."""

import pickle
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import killable
import pandas as pd
import pytest
import tomli_w
from test_resume import assert_same_run

from brittle.api import write_page
from brittle.cli.estimate import ENOUGH_TO_BEGIN, tries
from brittle.cli.results import results_json
from brittle.errors import BrittleError
from brittle.records import Manifest, read_records
from brittle.run.engine import Run
from brittle.run.pieces import Pieces
from brittle.run.spec import read_spec
from brittle.run.study import Files, Study
from brittle.run.workers import Local, Made, made
from brittle.studies import STUDIES, spec_of


@pytest.fixture(scope="module", params=killable.STUDIES)
def name(request: pytest.FixtureRequest) -> str:
    """Of the module, so that all laws of a study follow one another, and it is done as a whole but once."""
    return str(request.param)


@pytest.fixture(scope="module")
def whole(name: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The study, done by one worker in order."""
    return killable.ran(killable.STUDIES[name](), tmp_path_factory.mktemp("whole") / name)


def test_every_registered_study_is_under_these_laws() -> None:
    assert {make().name for make in killable.STUDIES.values()} == set(STUDIES)


def test_units_are_keyed_and_cover_what_is_planned(name: str, whole: Run) -> None:
    study = killable.STUDIES[name]()
    manifest = study.plan(None, None)
    units = study.units(manifest)
    keys = [unit.key for unit in units]
    assert len(set(keys)) == len(keys) > 1
    assert all(len(unit) > 0 for unit in units)
    assert [unit.key for unit in study.units(manifest)] == keys
    folder = whole.directory / "records"
    stored = {str(path.relative_to(folder)) for path in folder.rglob("*.parquet")}
    assert stored == {f"{key}.parquet" for key in keys}


def test_a_dry_run_tries_every_unit_of_every_stage(name: str) -> None:
    study = killable.STUDIES[name]()
    manifest = study.plan(None, None)
    units = study.units(manifest)
    groups = [(mine, seconds) for mine, _, seconds in tries(study, manifest, units, ENOUGH_TO_BEGIN)]
    assert sorted(unit.key for mine, _ in groups for unit in mine) == sorted(unit.key for unit in units)
    assert all(len({(unit.stage, unit.group) for unit in mine}) == 1 and seconds > 0 for mine, seconds in groups)


class Shuffled:
    """An executor that does the pieces of a stage in another order, each by a study fresh from a pickle."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def do(self, study: Study, manifest: Manifest, pieces: Pieces, files: Files) -> Iterator[Made]:
        order = list(iter(pieces.take, None))
        self.random.shuffle(order)
        for piece in order:
            again: Study = pickle.loads(pickle.dumps(study)) if picklable(study) else study
            one = made(again, manifest, piece, files)
            pieces.took(piece, one.seconds)
            yield one


def picklable(study: Study) -> bool:
    """Examples in memory are read by a lambda, which pickle cannot send; workers are sent it by cloudpickle."""
    try:
        pickle.dumps(study)
    except (AttributeError, pickle.PicklingError):
        return False
    return True


def test_any_order_gives_the_same_files(name: str, whole: Run, tmp_path: Path) -> None:
    killable.ran(killable.STUDIES[name](), tmp_path / "run", workers=Shuffled(3))
    assert_same_run(tmp_path / "run", whole.directory)


def test_parts_give_the_same_files(name: str, whole: Run, tmp_path: Path) -> None:
    killable.ran(killable.STUDIES[name](), tmp_path / "run", cut=True)
    assert_same_run(tmp_path / "run", whole.directory)


@pytest.mark.parametrize("name", ["craft", "fit"], scope="module")
def test_two_workers_give_the_same_files(name: str, whole: Run, tmp_path: Path) -> None:
    killable.ran(killable.STUDIES[name](), tmp_path / "run", workers=Local(2, worth=0.0))
    assert_same_run(tmp_path / "run", whole.directory)


def test_a_finished_run_does_no_work(name: str, whole: Run) -> None:
    class Nobody:
        def do(self, study: Study, manifest: Manifest, pieces: Pieces, files: Files) -> Iterator[Made]:
            assert pieces.take() is None
            return iter(())

    watch = killable.Watching()
    killable.ran(killable.STUDIES[name](), whole.directory, workers=Nobody(), watch=watch)
    assert watch.told and all(resumed for _, _, resumed in watch.told)


def test_a_run_opens_and_speaks_for_itself(name: str, whole: Run, tmp_path: Path) -> None:
    shutil.copytree(whole.directory, tmp_path / "run")  # as it gets a page
    opened = Run.open(tmp_path / "run")
    assert opened.manifest == whole.manifest
    pd.testing.assert_frame_equal(opened.records, read_records(whole.directory))
    assert len(opened.records)
    assert f'"study": "{opened.manifest.study}"' in results_json(opened)
    page = write_page(opened.directory)
    assert page is not None and page.exists()


def test_a_study_that_depends_on_its_order_is_found(tmp_path: Path) -> None:
    """The laws have teeth: a unit that remembers what was done before is another run."""
    whole = killable.ran(killable.small_noise(), tmp_path / "whole")

    class Remembering:
        def do(self, study: Study, manifest: Manifest, pieces: Pieces, files: Files) -> Iterator[Made]:
            for number, piece in enumerate(iter(pieces.take, None)):
                one = made(study, manifest, piece, files)
                pieces.took(piece, one.seconds)
                column = one.done.table["prediction"].to_pylist()
                changed = one.done.table.drop_columns("prediction").append_column(
                    "prediction", [[value + number for value in column]]
                )
                yield one._replace(done=one.done._replace(table=changed.select(one.done.table.schema.names)))

    killable.ran(killable.small_noise(), tmp_path / "run", workers=Remembering())
    with pytest.raises(AssertionError):
        assert_same_run(tmp_path / "run", whole.directory)


@pytest.mark.parametrize("study", STUDIES)
def test_a_spec_is_read_back_and_a_misspelt_key_is_one_line_with_the_nearest(study: str, tmp_path: Path) -> None:
    every: dict[str, dict[str, Any]] = {
        "audit": {"attacks": ["fgsm"], "data": "digits"},
        "density": {"data": "digits", "train_data": "digits"},
        "craft": {"photographs": ["a.png"]},
        "fit": {"attack": "universal", "data": "digits"},
        "generated": {"data": "digits", "real": "digits"},
        "train": {"architectures": ["digits-cnn"], "data": "digits"},
    }
    models = {} if study == "train" else {"models": [{"model": "digits-cnn"}]}
    content = {"study": study, **models, **every.get(study, {"data": "digits"})}
    spec = spec_of(content, "run.toml")
    written = tmp_path / "run.toml"
    written.write_text(tomli_w.dumps({"study": study, **spec.toml()}))
    assert spec_of(read_spec(written)[0], "again") == spec
    with pytest.raises(BrittleError, match=r"^run.toml: unknown key 'sede'; did you mean 'seeds?'\?$"):
        spec_of(content | {"sede": 1}, "run.toml")
    if not models:
        return
    with pytest.raises(BrittleError, match=r"^run.toml: unknown key 'models.0.wieghts'; did you mean 'weights'\?$"):
        spec_of(content | {"models": [{"model": "digits-cnn", "wieghts": "x"}]}, "run.toml")
