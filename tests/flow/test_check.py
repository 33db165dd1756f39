"""Robustness as a step of a pipeline: ``brittle check``, ``brittle.assert_robust`` and the fixture of that name."""

from pathlib import Path

import pytest

import brittle
from brittle.data import load_data
from brittle.errors import BrittleError
from brittle.extras import EXTRAS, needed
from brittle.models import load_model
from brittle.run.spec import read_spec
from conftest import Cli

ROOT = Path(__file__).parents[2]
SPEC = """study = "audit"
data = "digits"
limit = 12
attacks = ["fgsm,eps=0.1", "deepfool"]
[[models]]
model = "digits-cnn"
"""
NOISE = 'study = "noise"\ndata = "digits"\n[[models]]\nmodel = "digits-cnn"\n'


def written(folder: Path, gate: str, spec: str = SPEC) -> Path:
    path = folder / "gate.toml"
    path.write_text(spec + gate)
    return path


@pytest.mark.usefixtures("without_report")
def test_a_gate_is_an_exit_code_and_a_table_in_markdown(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "told.md"
    told.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(told))
    monkeypatch.chdir(tmp_path)
    passed = cli("check", written(tmp_path, "[gate.fail_under]\nclean_accuracy = 0.9\nrobust_accuracy = 0\n"))
    assert passed.code == 0, passed.err
    assert (tmp_path / "runs" / "gate" / "manifest.json").is_file()
    text = told.read_text()
    assert text.startswith("before\n### brittle check gate.toml: passed\n")
    assert "| Clean accuracy at least 90.0 % | 100 % | 75.8 to 100 % | 12 of 12 | met |" in text
    assert "| `deepfool` | 100 % | 0 % |" in text
    under = cli("check", written(tmp_path, "[gate]\nfail_under = {robust_accuracy = 0.5}\n"))
    assert under.code == 4
    assert under.err.splitlines()[-1] == "brittle: --fail-under: robust_accuracy is 0, under 0.5"
    assert under.err.count("(resumed)") == 2  # what is asked of a run is no part of it
    assert "### brittle check gate.toml: failed" in told.read_text()
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "none" / "told.md"))
    untold = cli("check", written(tmp_path, "[gate.fail_under]\nclean_accuracy = 0.9\n"))
    assert untold.code == 2
    assert untold.err.splitlines()[-1].startswith("brittle: cannot write $GITHUB_STEP_SUMMARY")


@pytest.mark.parametrize(
    ("gate", "spec", "message"),
    [
        ("", SPEC, "expected an audit with a table [gate]"),
        ("[gate]\nfail_under = {robust_acuracy = 0.5}\n", SPEC, "did you mean 'robust_accuracy'?"),
        ("[gate]\nfail_under = {robust_accuracy = 40}\n", SPEC, "a fraction from 0 to 1"),
        ("[gate]\nfail_under = {robust_accuracy = -0.5}\n", SPEC, "a fraction from 0 to 1"),
        ("[gate]\nfail_under = {examples = -1}\n", SPEC, "a number of at least 0"),
        ("[gate]\nfail_under = {robust_accuracy = false}\n", SPEC, "a valid number, got False"),
        ("[gate]\n", SPEC, "expected an audit with a table [gate]"),
        ("[gate]\nstrict = false\n[gate.fail_under]\n", SPEC, "expected an audit with a table [gate]"),
        ("[gate]\nstrikt = true\n", SPEC, "did you mean 'strict'?"),
        ("", NOISE, "expected an audit with a table [gate]"),
    ],
)
def test_a_wrong_gate_is_told_before_any_work(gate: str, spec: str, message: str, cli: Cli, tmp_path: Path) -> None:
    ran = cli("check", written(tmp_path, gate, spec), "--out", tmp_path / "run")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert message in ran.err
    assert not (tmp_path / "run").exists()


def test_robustness_is_asserted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier, digits = load_model("digits-cnn"), load_data("digits", limit=24)
    weak = brittle.assert_robust(classifier, digits, "fgsm,eps=0.05", at_least=0.4)
    audit = brittle.audit(classifier, digits, [brittle.FGSM(eps=0.05)], out=tmp_path / "run")
    assert (weak.count, weak.of) == (int((~audit.records["fooled"]).sum()), 24)
    with pytest.raises(AssertionError, match=r"at least 0.4, got 0 % \(0 of 24; .*; deepfool fools the most"):
        brittle.assert_robust(classifier, digits, [brittle.FGSM(eps=0.05), "deepfool"], at_least=0.4)
    monkeypatch.setattr("brittle.measure.gate.is_doubt", lambda code: code == "few-examples")
    with pytest.raises(AssertionError, match="doubts: few-examples"):
        brittle.assert_robust(classifier, digits, "fgsm,eps=0.05", at_least=0, strict=True)
    with pytest.raises(BrittleError, match="a fraction from 0 to 1"):
        brittle.assert_robust(classifier, digits, "fgsm", at_least=40)


def test_the_fixture_tells_the_numbers_to_the_junit_file(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from brittle.data import load_data
        from brittle.models import load_model

        def test_mine(assert_robust):
            assert_robust(load_model("digits-cnn"), load_data("digits", limit=8), "fgsm,eps=0.02", at_least=0.1)
        """
    )
    result = pytester.runpytest_inprocess("-p", "brittle.pytest_plugin", "-p", "no:xdist", "--junitxml=out.xml")
    result.assert_outcomes(passed=1)
    assert '<property name="robust_accuracy.of" value="8"' in (pytester.path / "out.xml").read_text()


def test_what_pyproject_says_of_plugins_and_extras_is_so() -> None:
    project = read_spec(ROOT / "pyproject.toml")[0]["project"]
    assert project["entry-points"]["pytest11"] == {"brittle.pytest_plugin": "brittle.pytest_plugin"}
    named = {name for name, extra in EXTRAS.items() if not extra.instead}
    assert named == set(project["optional-dependencies"]) - {"dev", "docs"}  # of those who change it


def test_doctor_says_what_to_do(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    well = cli("doctor")
    assert well.code == 0, well.out
    for what in ("versions", "threads", "bf16", "cache", "temporary files", *(f"extra {name}" for name in EXTRAS)):
        assert any(line[5:].startswith(what) for line in well.out.splitlines()), what
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BRITTLE_CACHE", str(tmp_path / "file" / "below"))
    monkeypatch.setattr("brittle.extras.find_spec", lambda name: None)
    ill = cli("doctor")
    assert ill.code == 1
    bad = [line for line in ill.out.splitlines() if line.startswith("bad")]
    assert len(bad) == 1
    assert "is not writable" in bad[0]
    assert bad[0].endswith("set BRITTLE_CACHE to a folder that is")
    assert ill.out.count("pip install ") == len(EXTRAS)
    with pytest.raises(BrittleError, match=r"pip install 'brittle\[timm\]'"):
        needed("timm", "models called timm:NAME need it")


def test_a_shell_completes(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for words, at, expected in (("brittle che", 1, "check"), ("brittle audit --fail", 2, "--fail-under")):
        for name, value in (("COMP_WORDS", words), ("COMP_CWORD", str(at)), ("_BRITTLE_COMPLETE", "complete_bash")):
            monkeypatch.setenv(name, value)
        assert cli().out.split() == [expected]
