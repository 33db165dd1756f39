"""``brittle fit``: end to end, and every mistake told in one line with nothing written or lost."""

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from kit import make_kit
from PIL import Image
from test_bad_inputs import contents

import brittle
from brittle.attacks import Square, Universal, UniversalSGD
from brittle.data import Examples, examples_of, load_data
from brittle.data.perturbation import read_perturbation
from brittle.errors import BrittleError, Unsupported
from brittle.measure import rate
from brittle.models import load_model
from brittle.models.black_box import BlackBox
from brittle.records import read_records
from brittle.studies.fit import tell
from brittle.studies.perturbations import picked
from conftest import Cli
from laws.worlds import one_thread

NET = "--model digits-cnn --weights good.safetensors"
RGB = "--model resnet20 --weights resnet20.safetensors"
DIGITS = "--data digits --limit 12"


def fitting(*parts: str, attack: str = "universal-sgd,epochs=1") -> str:
    """A good command of which the parts replace what they name."""
    given = " ".join(parts)
    whole = [NET if "--model" not in given else "", DIGITS if "--data" not in given else ""]
    whole += ["--out u" if "--out" not in given else ""]
    return " ".join(["fit", shlex.quote(attack), *whole, given])


CASES: dict[str, list[str]] = {
    f"fit {NET} {DIGITS} --out u": ["Missing argument"],
    f"fit universal {NET} {DIGITS}": ["expected --out DIR", "--dry-run"],
    f"fit universal {NET} --out u": ["Missing option", "--data"],
    fitting("--tst-data digits"): ["no such option: --tst-data", "did you mean --test-data?"],
    fitting("--seed -1"): ["--seed", "at least 0, got '-1'"],
    fitting("--limit 0"): ["--limit", "at least 1, got '0'"],
    fitting("--limit 1"): ["expected at least 2 examples, to fit to one half and try the other, got 1"],
    fitting("--device gpu"): ["--device auto, cpu or cuda, got 'gpu'"],
    fitting("--batch-size none"): ["--batch-size", "got 'none'"],
    # what to fit
    fitting(attack="univresal"): ["unknown fitter 'univresal'", "did you mean 'universal'?"],
    fitting(attack="fgsm"): ["expected a fitter, got the attack fgsm; it attacks each image: `brittle audit"],
    fitting(attack="universal,eps=1:2"): ["expected one fitter, not a sweep; got 'universal,eps=1:2'"],
    fitting(attack="universal,eps=nan"): ["expected a finite eps >= 0, got nan"],
    fitting(attack="universal,epsilon=1"): ["fitter 'universal' has no option 'epsilon'", "eps is what you mean"],
    fitting(attack="universal,attack=universal"): ["expected an attack, got the fitter universal"],
    # on what
    fitting("--model digit-cnn"): ["unknown model 'digit-cnn'"],
    fitting(RGB, "--data digits"): ["digits are grey images of 8 x 8 pixels"],
    fitting(RGB, "--data cut"): ["'cut/1.jpg' is not an image or is truncated"],
    fitting("--test-data digit"): ["unknown data 'digit'", "did you mean 'digits'?"],
    fitting(RGB, "--data ten.parquet --test-data eleven.parquet"): ["labels from 0 to 9", "got 10"],
    # where to
    fitting("--out foreign"): ["'foreign' is not empty and not a run directory"],
    fitting("--out good.safetensors"): ["expected a directory for --out, got the file 'good.safetensors'"],
    # what must be fitted is no attack on single images, and what has been is read with care
    f"audit {NET} {DIGITS} --out out --attack universal": ["run `brittle fit universal,...`", "file=FILE"],
    f"audit {NET} {DIGITS} --out out --attack universal-sgd": ["run `brittle fit universal-sgd,...`"],
    f"audit {NET} {DIGITS} --out out --attack 'restarts,attack=universal'": [
        "expected an attack, got the fitter universal"
    ],
    f"audit {NET} {DIGITS} --out out --attack perturbation": ["expected perturbation,file=..., got no file"],
    f"audit {NET} {DIGITS} --out out --attack perturbation,file=goood.safetensors": [
        "did you mean 'good.safetensors'?"
    ],
    f"audit {NET} {DIGITS} --out out --attack perturbation,file=good.safetensors": ["`brittle fit` has written"],
    f"audit {NET} {DIGITS} --out out --attack perturbation,file=text.safetensors": ["expected a perturbation file"],
}


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kit")
    make_kit(folder)
    return folder


@pytest.mark.parametrize("line", CASES)
def test_one_line_says_what_is_wrong_and_nothing_is_written(
    line: str, kit: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(kit)
    before = contents(kit)
    ran = cli(*shlex.split(line))
    assert ran.code == 2, ran
    assert ran.out == ""
    assert ran.err.startswith("brittle: "), ran.err
    assert ran.err.count("\n") == 1, ran.err
    for part in CASES[line]:
        assert part in ran.err
    assert contents(kit) == before


@pytest.mark.usefixtures("without_report")
def test_fit_writes_a_perturbation_that_an_audit_then_uses(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    data = "--model digits-cnn --data digits --limit 200"
    fitted = shlex.split(f"fit universal-sgd,norm=l2,eps=1.5 {data} --out u --seed 3")
    ran = cli(*fitted)
    assert ran.code == 0, ran.err
    assert "100/100" in ran.err
    for name in ("perturbation.safetensors", "perturbation.png", "manifest.json", "spec.toml"):
        assert (tmp_path / "u" / name).is_file()
    assert {"fooled", "unseen", "half"} <= {*ran.out.split()}  # a heading of several lines
    assert "universal-sgd(eps=1.5, norm=l2)" in ran.out
    assert "random, of the same size" in ran.out
    made = read_perturbation("u/perturbation.safetensors")
    assert made.about["seed"] == "3"
    assert made.about["data"].startswith("digits")
    assert made.about["examples"] == "100"
    with Image.open("u/perturbation.png") as picture:
        assert min(picture.size) >= 256
    again = cli(*fitted)
    assert (again.code, again.err.count("(resumed)")) == (0, 3)

    # The unseen half is every second example: an audit of all of them finds the two counts' sum.
    audited = cli(*shlex.split(f"audit {data} --attack perturbation,file=u/perturbation.safetensors --out run"))
    assert audited.code == 0, audited.err
    found = read_records(tmp_path / "run")
    right = found["label"] == found["clean_prediction"]
    for half in (0, 1):
        mine = right & (found["position"] % 2 == half)
        assert f"{int((mine & found['fooled']).sum())} of {int(mine.sum())}" in ran.out


def test_test_data_take_the_place_of_the_other_half(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    ran = cli(
        *shlex.split(
            "fit universal,norm=linf,eps=20/255,passes=1 --model digits-cnn --data digits --limit 20 --test-data digits"
            " --out u"
        )
    )
    assert ran.code == 0, ran.err
    assert {"fooled", "test", "data"} <= {*ran.out.split()}
    assert read_perturbation("u/perturbation.safetensors").about["examples"] == "20"
    assert read_perturbation("u/perturbation.safetensors").norm.name == "linf"


# ---- what lies beneath


def test_picked_examples_are_those_examples() -> None:
    images = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    whole = examples_of(images, torch.arange(6))
    some = picked(whole, range(1, 6, 2))
    assert some.ids == whole.ids[1::2]
    assert some.labels is not None
    assert some.labels.tolist() == [1, 3, 5]
    assert torch.equal(some.images(1, 3), images[[3, 5]])
    assert len({whole.fingerprint, some.fingerprint, picked(whole, range(0, 6, 2)).fingerprint}) == 3


def test_rates_are_over_what_is_right_and_without_labels_over_all(tmp_path: Path) -> None:
    with one_thread():
        classifier = load_model("digits-cnn")
        data: Examples = load_data("digits", limit=60)
        images = data.images(0, 60)
        assert data.labels is not None
        labels = data.labels.clone()
        labels[:10] = (labels[:10] + 1) % 10  # now wrong, whatever the network says
        method = UniversalSGD(norm="l2", eps=1.5, epochs=3)
        done = brittle.fit(
            classifier, method, examples_of(images, labels), unseen=examples_of(images), out=tmp_path / "u"
        )
    values = read_perturbation(tmp_path / "u" / "perturbation.safetensors").values
    clean = classifier.logits(images).argmax(1)
    moved = classifier.logits((images + values).clamp(0, 1)).argmax(1)
    right = clean == labels
    fitted, unseen = (done.records.query("part == @part") for part in ("fitted", "unseen"))
    assert len(fitted) == len(unseen) == 60
    assert fitted["fooled"].tolist() == (right & (moved != labels)).tolist()
    assert unseen["fooled"].tolist() == (moved != clean).tolist()
    assert 0 <= unseen["fooled_by_chance"].sum() < unseen["fooled"].sum()
    told = tell(done.manifest, done.records)
    assert told.rows[0][1] == rate(int((right & (moved != labels)).sum()), int(right.sum()))
    assert told.rows[0][2] == rate(int((moved != clean).sum()), 60)
    with pytest.raises(BrittleError, match="holds a different run"):
        brittle.fit(classifier, method, data, out=tmp_path / "u")


Rows = npt.NDArray[np.float64]


class Scores:
    """A fitted estimator that gives probabilities, of which the second grows with the mean of the pixels."""

    def predict_proba(self, rows: Rows) -> Rows:
        light = rows.mean(axis=1)
        return np.stack([1 - light, light], axis=1)

    def predict(self, rows: Rows) -> Any:
        return self.predict_proba(rows).argmax(axis=1)


def test_a_classifier_without_gradients_is_fitted_with_an_attack_that_needs_none(tmp_path: Path) -> None:
    classifier, out = BlackBox(Scores()), tmp_path / "u"
    images = 0.3 + 0.15 * torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    for method in (Universal(), UniversalSGD()):
        with pytest.raises(Unsupported, match=r"universal.* asks for gradients, .* only gives scores; .*square"):
            brittle.fit(classifier, method, examples_of(images), out=out)
    assert classifier.forwards == 0
    assert not list(tmp_path.iterdir())
    inside = Square(norm="linf", eps=0.2, queries=100)
    done = brittle.fit(classifier, Universal(norm="linf", eps=0.2, attack=inside), examples_of(images), out=out)
    unseen = done.records.query("part == 'unseen'")
    assert (len(unseen), int(unseen["fooled"].sum()), int(unseen["fooled_by_chance"].sum())) == (4, 4, 0)
