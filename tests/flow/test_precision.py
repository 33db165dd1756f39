"""A run in bfloat16: said on the command line or in a spec, recorded, shown, and no other run."""

import shlex
from pathlib import Path

import killable
import pytest

from brittle.errors import BrittleError
from brittle.models import bfloat16
from brittle.models.classifier import Settings
from brittle.records import read_manifest, read_records
from conftest import Cli

ASKED = "audit --model digits-cnn --data digits --limit 12 --attack pgd,eps=0.1 --precision"


@pytest.fixture
def multiplied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bfloat16, "quick_precision", lambda _: "bf16")


@pytest.mark.usefixtures("multiplied")
def test_it_is_asked_for_recorded_and_shown(cli: Cli, tmp_path: Path) -> None:
    ran = cli(*shlex.split(ASKED), "bf16", "--out", tmp_path / "run")
    assert ran.code == 0, ran.err
    (model,) = read_manifest(tmp_path / "run").models
    assert (model.precision, model.flags) == ("bf16", []), "a sound network has no flags in any precision"
    assert 'precision = "bf16"' in (tmp_path / "run" / "spec.toml").read_text()
    assert "Precision of budget attacks and searches" in (tmp_path / "run" / "report.html").read_text()
    assert read_records(tmp_path / "run")["fooled"].any()
    again = cli(*shlex.split(ASKED), "fp32", "--out", tmp_path / "run")
    assert (again.code, again.err.count("\n")) == (2, 1)
    assert "precision: there bf16; now fp32" in again.err


def test_one_that_nobody_has_asked_for_is_not_spoken_of(cli: Cli, tmp_path: Path) -> None:
    assert cli(*shlex.split(ASKED), "fp32", "--out", tmp_path / "run").code == 0
    assert "precision" not in (tmp_path / "run" / "spec.toml").read_text()
    assert "Precision of" not in (tmp_path / "run" / "report.html").read_text()


def test_what_the_processor_does_not_multiply_is_refused_in_a_line(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bfloat16, "quick_precision", lambda _: "fp32")
    for precision, message in (("bf16", "does not multiply bf16 itself"), ("bf61", "did you mean 'bf16'?")):
        ran = cli(*shlex.split(ASKED), precision, "--device", "cpu", "--out", tmp_path / "run")
        assert (ran.code, ran.out) == (2, "")
        assert message in ran.err
        assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("multiplied")
def test_a_run_of_objects_is_not_gone_on_with_in_another(tmp_path: Path) -> None:
    coarse = killable.classifier().adjusted(Settings(precision="bf16"))
    killable.stopped_after(tmp_path, 1, classifier=coarse)
    with pytest.raises(BrittleError, match="precision: there bf16; now fp32"):
        killable.small_run(tmp_path)
    killable.small_run(tmp_path, classifier=coarse)
    assert len(read_records(tmp_path)) == 3 * killable.COUNT
