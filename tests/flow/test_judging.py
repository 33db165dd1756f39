"""Defences from the command line to the page, and what an audit does by itself about one."""

import io
import json
from pathlib import Path

import killable
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import brittle
from brittle.cli.results import results_json
from brittle.data import digits_split
from brittle.defend import DEFENCES, BitDepth, KernelDensity, Noise
from brittle.flags import is_doubt
from brittle.measure import every_sides, judge_defences, summaries
from brittle.records import read_manifest
from brittle.run.spec import ModelSpec
from brittle.studies.guarded import beside_bare
from brittle.studies.opening import opened_models
from conftest import Cli
from known import planted
from laws.worlds import trained_world


def test_a_model_is_named_with_what_it_stands_behind() -> None:
    models, guards = beside_bare([ModelSpec(model="digits-cnn", defences=["bit-depth,bits=1:2", "blur"])])
    assert [(one.model, one.defences) for one in models] == [("digits-cnn", []), ("digits-cnn", models[1].defences)]
    named = ["digits-cnn + bit-depth(bits=1) + blur", "digits-cnn + bit-depth(bits=2) + blur"]
    assert [(name, guard.bare) for name, guard in guards.items()] == [(name, "digits-cnn") for name in named]
    opened = opened_models(models, "cpu")
    assert list(opened) == ["digits-cnn", *named]
    assert opened[named[0]].inner.inner is opened["digits-cnn"]  # type: ignore[attr-defined]


def test_a_bare_model_that_is_asked_for_is_not_asked_twice() -> None:
    asked = [ModelSpec(model="digits-cnn", defences=["blur"], name="b"), ModelSpec(model="digits-cnn", name="a")]
    models, guards = beside_bare(asked)
    assert [one.name for one in models] == ["a", "b"]
    assert guards["b + blur"].bare == "a"


def test_the_command_line_judges_a_defence_by_itself(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "run"
    attacks = ["--attack", "apgd,eps=0.1,steps=20", "--attack", "square,eps=0.1,queries=100"]
    options = ["--limit", "12", *attacks, "--defence", "crop-resize"]
    done = cli("audit", "--model", "digits-cnn", "--data", "digits", *options, "--out", out)
    assert done.code == 0, done.err
    assert "digits-cnn + crop-resize, L∞ 0.1:" in done.out
    told = json.loads(cli("summary", out, "--json").out)
    (one,) = told["defences"]
    assert (one["model"], one["bare"], one["passes"]) == ("digits-cnn + crop-resize", "digits-cnn", 1)
    tried = [one[name]["value"] for name in ("unaware", "aware", "blind")]
    assert one["figure"]["value"] <= min(tried)
    table = pd.read_csv(io.StringIO(cli("summary", out, "--csv").out))
    cells = table[table["table"] == "defences"].set_index("column")["value"]
    assert pd.isna(cells["Certified"])  # no dash among the numbers
    page = (out / "report.html").read_text()
    assert 'id="defences"' in page
    assert page.count("Defences, judged") >= 1
    again = cli("run", out / "spec.toml", "--out", tmp_path / "again")
    assert again.code == 0, again.err
    assert json.loads(cli("summary", tmp_path / "again", "--json").out)["defences"] == told["defences"]


def test_an_attack_by_gradients_that_another_beats_is_told_as_such(cli: Cli, tmp_path: Path) -> None:
    attacks = ["--attack", "pgd,eps=0.3,steps=2,step_size=0.001", "--attack", "square,eps=0.3,queries=50"]
    data = ["--model", "digits-cnn", "--data", "digits", "--limit", "24"]
    done = cli("audit", *data, *attacks, "--defence", "blur", "--out", tmp_path / "weak")
    assert done.code == 0, done.err
    assert "Gradients through the defence miss" in " ".join(done.out.split())
    (one,) = json.loads(cli("summary", tmp_path / "weak", "--json").out)["defences"]
    assert one["missed"] >= 12
    done = cli("audit", *data, "--attack", "pgd,eps=0.3", *attacks[2:], "--defence", "blur", "--out", tmp_path / "able")
    assert "Gradients through the defence miss" not in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("defence", "message"),
    [
        ("jpg", "unknown defence 'jpg'; did you mean 'jpeg'"),
        ("blur,width=2", "defence 'blur' has no option 'width'"),
        ("deepfool", "expected a defence, got the attack deepfool"),
    ],
)
def test_what_is_no_defence_is_refused_in_one_line(cli: Cli, tmp_path: Path, defence: str, message: str) -> None:
    done = cli("audit", "--model", "digits-cnn", "--data", "digits", "--defence", defence, "--out", tmp_path / "run")
    assert done.code == 2
    assert message in done.err
    assert not (tmp_path / "run").exists()


def test_all_defences_are_listed(cli: Cli) -> None:
    listed = cli("defences").out
    assert all(f"{name}:" in listed for name in DEFENCES)
    assert "attacker: the mean over draws" in listed


def test_what_is_drawn_does_not_depend_on_workers_or_cuts(tmp_path: Path) -> None:
    """Attacks, and what is tried again with more draws."""
    study = killable.STUDIES["defended"]()
    whole = killable.ran(study, tmp_path / "whole")
    cut = killable.ran(killable.STUDIES["defended"](), tmp_path / "cut", cut=True)
    columns = [name for name in whole.records.columns if name != "seconds"]
    assert whole.records[columns].equals(cut.records[columns])
    assert whole.transfers.equals(cut.transfers)


# ---- defences that are fitted


def test_a_detector_is_fitted_sealed_and_judged_by_both_rates(tmp_path: Path) -> None:
    world, clean = trained_world(), digits_split()[0]
    data = (world.images[:24], world.labels[:24])
    attacks: list[brittle.attacks.Attack] = [brittle.APGD(eps=0.2, steps=15)]
    how = [KernelDensity(fpr=0.2, images=300)]
    done = brittle.audit(
        {"net": world.classifier()}, data, attacks, out=tmp_path / "run", defences=how, defence_data=clean
    )
    bare, guarded = done.manifest.models
    assert guarded.fitted_on == f"1,297 images of {clean.source}, {clean.fingerprint}"
    assert (bare.fitted_on, bare.reject, guarded.reject) == (None, None, 10)
    (one,) = judge_defences(every_sides(done.manifest, done.records, done.transfers), done.certificates).detectors
    refused, unaware, aware = (each.count or 0 for each in (one.refused, one.unaware, one.aware))
    assert one.refused.of == 24 and 0 < refused <= 10
    assert one.unaware.of == one.aware.of
    assert aware < unaware  # who knows of it gets through
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Refused, and caught" in page
    (told,) = json.loads(results_json(done))["detectors"]
    assert told["aware"]["count"] == one.aware.count
    net, fewer = world.classifier(), clean.images(0, 300)
    with pytest.raises(brittle.BrittleError, match=r"holds a different run.*fitted on: there 1,297 images"):
        brittle.audit({"net": net}, data, attacks, out=tmp_path / "run", defences=how, defence_data=fewer)


def test_few_bits_are_fitted_on_the_command_line_and_repeated_from_the_spec(cli: Cli, tmp_path: Path) -> None:
    given = ["--model", "digits-cnn", "--data", "digits", "--limit", "8", "--attack", "pgd,eps=0.1,steps=3"]
    bits = ["--defence", "quantised,bits=2:4,images=32", "--defence-data", "digits"]
    done = cli("audit", *given, *bits, "--out", tmp_path / "run")
    assert done.code == 0, done.err
    again = cli("run", tmp_path / "run" / "spec.toml", "--out", tmp_path / "again")
    assert again.code == 0, again.err
    one, other = (read_manifest(tmp_path / name).models for name in ("run", "again"))
    assert [each.fingerprint for each in one] == [each.fingerprint for each in other]
    assert len({each.fingerprint for each in one}) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--defence", "kernel-density"], "expected clean images to fit kernel-density on: --defence-data SPEC"),
        (["--defence", "kernel-density", "--defence-data", "digits"], "expected --defence-data of other images than"),
        (["--defence", "quantised", "--defence-data", "digitz"], "unknown data 'digitz'; did you mean 'digits'"),
        (
            ["--defence", "quantised", "--defence", "blur", "--defence-data", "digits"],
            "expected a network directly behind quantised",
        ),
        (["--defence", "quantised,bits=9", "--defence-data", "digits"], "expected bits from 1 to 8, got 9"),
        (
            ["--defence", "feature-squeezing,squeezers=noise", "--defence-data", "digits"],
            "expected squeezers that change the image alone, got noise",
        ),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_one_line(
    cli: Cli, tmp_path: Path, options: list[str], message: str
) -> None:
    done = cli("audit", "--model", "digits-cnn", "--data", "digits", *options, "--out", tmp_path / "run")
    assert done.code == 2
    assert message in done.err
    assert not (tmp_path / "run").exists()


# ---- defences that only mask gradients


class Masked:
    """Registered defences are honest about their gradients; these are networks that are not, to be put behind one."""

    ROUNDING = planted.Rounding
    SATURATED = planted.Saturated
    THERMOMETER = planted.Thermometer
    MEDIAN = planted.MedianFilter
    WRONG = planted.WrongJpeg
    LEAK = planted.Leak
    SEEDED = planted.SeededNoise
    STAIRCASE = planted.Staircase
    DETACHED = planted.Detached
    CLIPPED = planted.Clipped
    PURIFYING = planted.Purifying
    INFINITE = planted.InfiniteGradient
    SOFTMAX = planted.Softmax


MASKS = {name: fault for name, fault in vars(Masked).items() if name.isupper()}
EPS = 0.15
TRUE_AT_MOST = 0.45  # what is left of the network itself; a mask that leaves more must be flagged


@pytest.mark.usefixtures("without_report")
@pytest.mark.parametrize("fault", MASKS.values(), ids=list(MASKS))
def test_a_defence_that_only_masks_gradients_is_broken_or_flagged(fault: type[nn.Module], tmp_path: Path) -> None:
    """Behind bit depth, whose own gradient is straight-through; the mask is the network's."""
    world = trained_world()
    net = brittle.Network(fault(planted.sound_cnn()).eval())
    attacks: list[brittle.attacks.Attack] = [brittle.APGD(eps=EPS, steps=20), brittle.Square(eps=EPS, queries=150)]
    data = (world.images[:16], world.labels[:16])
    done = brittle.audit({"net": net}, data, attacks, out=tmp_path, defences=[BitDepth(bits=5)])
    (one,) = judge_defences(every_sides(done.manifest, done.records, done.transfers), done.certificates).defences
    assert one.figure.value is not None
    flagged = {flag.code for summary in summaries(done.manifest, done.records) for flag in summary.flags}
    doubts = {code for code in flagged if is_doubt(code)}
    assert one.figure.value <= TRUE_AT_MOST or doubts, one


@pytest.mark.usefixtures("without_report")
def test_the_sound_network_itself_falls(tmp_path: Path) -> None:
    world = trained_world()
    data: tuple[Tensor, Tensor] = (world.images[:16], world.labels[:16])
    net = brittle.Network(planted.sound_cnn())
    attacks: list[brittle.attacks.Attack] = [brittle.APGD(eps=EPS, steps=20), brittle.Square(eps=EPS, queries=150)]
    done = brittle.audit({"net": net}, data, attacks, out=tmp_path, defences=[BitDepth(bits=5)])
    (one,) = judge_defences(every_sides(done.manifest, done.records, done.transfers), done.certificates).defences
    assert one.figure.value is not None
    assert one.figure.value <= TRUE_AT_MOST


@pytest.mark.usefixtures("without_report")
def test_an_attack_that_more_effort_helps_is_flagged(tmp_path: Path) -> None:
    """Three short steps of 0.02 within 0.3, followed by one draw of a noisy defence: nine get further."""
    world = trained_world()
    data = (world.images[:40], world.labels[:40])
    net = brittle.Network(planted.sound_cnn())
    made = brittle.audit(
        {"net": net},
        data,
        [brittle.PGD(eps=0.3, steps=3, step_size=0.02)],
        out=tmp_path,
        defences=[Noise(sd=0.1, draws=1, samples=4)],
    )
    flags = {flag.code for flag in summaries(made.manifest, made.records)[1].flags}
    assert "longer-fools-more" in flags
    ratios = made.records[made.records["model"] != "net"]["longer_ratio"]
    assert set(ratios.dropna()) <= {0.0, 1.0}
    assert ratios.notna().sum() >= 6
    assert made.records[made.records["model"] == "net"]["longer_ratio"].isna().all()
    assert "defences" in json.loads(results_json(made))


def test_the_page_is_still_read_where_a_run_has_no_defences(tmp_path: Path) -> None:
    done = killable.small_run(tmp_path / "run")
    assert "defences" not in json.loads(results_json(done))
    assert torch.is_grad_enabled()
