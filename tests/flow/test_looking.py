"""Commands that look at finished runs: compare, export, and what a pipeline asks of the numbers."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
import torch
from fake_run import DEEPFOOL, FGSM, HOSTILE, make_run
from PIL import Image

import brittle
from brittle.catalog import label_of
from brittle.flags import is_doubt
from brittle.measure import MEASURES, OVERALL, leaderboard, summaries
from brittle.measure.quantities import quantities
from brittle.pages.words import value_text
from brittle.records import read_images, read_manifest, read_records
from brittle.report.export import export
from brittle.report.latex import escaped, latex_table
from brittle.report.worded import interval_text
from conftest import Cli


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two audits of the same images, of which the second is fooled less."""
    folder = tmp_path_factory.mktemp("runs")
    facts: dict[str, Any] = {"n": 40, "shape": (3, 8, 8), "attacks": (FGSM, DEEPFOOL), "shard_size": 16}
    make_run(folder / "before", success=0.9, **facts)
    make_run(folder / "after", success=0.3, models=("hardened",), **facts)
    return folder


# --- compare


def test_compare_says_the_same_in_terminal_json_and_page(cli: Cli, runs: Path, tmp_path: Path) -> None:
    page = tmp_path / "compared.html"
    shown = cli("compare", runs / "before", runs / "after", "--out", page)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.splitlines()[-1] == f"page: {page}"
    said = cli("compare", runs / "before", runs / "after", "--json")
    assert (said.code, said.err) == (0, "")
    (one,) = json.loads(said.out)["comparisons"]
    robust = next(row for row in one["rows"] if row["measure"] == "Robust accuracy" and row["attack"] == "all attacks")
    assert robust["in before"]["of"] == robust["in after"]["of"] == 40
    assert robust["change"] == {
        "value": (robust["in after"]["count"] - robust["in before"]["count"]) / 40,
        "low": None,
        "high": None,
        "count": None,
        "of": 40,
        "unit": "points",
    }
    assert (
        robust["more in after"] - robust["more in before"] == robust["in after"]["count"] - robust["in before"]["count"]
    )
    assert robust["p"] < 0.01
    points = f"+{100 * robust['change']['value']:.1f} points"
    html = page.read_text(encoding="utf-8")
    for text in (shown.out, html):
        assert points in text
        assert "The model is resnet20 in before and hardened in after." in " ".join(text.split())
    assert "flag-unbounded-below-100" in html


def test_compare_takes_several_runs_the_first_against_each(cli: Cli, runs: Path, tmp_path: Path) -> None:
    make_run(tmp_path / "before", n=40, shape=(3, 8, 8), attacks=(FGSM,), success=0.5)
    ran = cli("compare", runs / "before", runs / "after", tmp_path / "before", "--json")
    heads = [list(one["rows"][0])[2:4] for one in json.loads(ran.out)["comparisons"]]
    first = f"in {runs / 'before'}"  # the last parts do not tell them apart
    assert heads == [[first, f"in {runs / 'after'}"], [first, f"in {tmp_path / 'before'}"]]


def test_compare_refuses_in_one_line(cli: Cli, runs: Path, tmp_path: Path) -> None:
    make_run(tmp_path / "other", n=8, shape=(3, 8, 8), attacks=(FGSM,), ids=[f"x{i}" for i in range(8)])
    for arguments, message in (
        ([runs / "before"], "expected two or more different runs"),
        ([runs / "before", runs / "before" / ".." / "before"], "expected two or more different runs"),
        ([runs / "before", tmp_path], "expected a run directory with manifest.json"),
        ([runs / "before", tmp_path / "other"], "expected examples that both runs have"),
        ([runs / "before", runs / "after", "--out", tmp_path / "no" / "x.html"], "expected to write"),
    ):
        ran = cli("compare", *arguments)
        assert (ran.code, ran.out) == (2, "")
        assert message in ran.err
        assert ran.err.count("\n") == 1


# --- export


def test_csv_has_the_records(cli: Cli, runs: Path, tmp_path: Path) -> None:
    target = tmp_path / "records.csv"
    assert cli("export", runs / "before", "--csv", target).out == f"{target}\n"
    records = read_records(runs / "before")
    back = pd.read_csv(target, dtype=str)  # numbers as text: not every pandas reads them to the last digit
    assert list(back.columns) == list(records.columns)
    for name, read in (("attack", str), ("example", str), ("label", int), ("l2", float), ("seconds", float)):
        assert list(map(read, back[name])) == records[name].tolist(), name
    assert (back["fooled"] == "True").tolist() == records["fooled"].tolist()


def test_csv_keeps_whole_numbers_lists_and_commas(tmp_path: Path) -> None:
    make_run(
        tmp_path / "run", n=6, shape=(3, 8, 8), attacks=(FGSM,), goals=("untargeted", "next-best"), ids=list('",\n=é;')
    )
    export(tmp_path / "run", {"csv": tmp_path / "x.csv"})
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["example"] for row in rows] == list('",\n=é;') * 2
    targets = [row["target"] for row in rows]
    assert targets[:6] == [""] * 6
    assert all(target.isdecimal() for target in targets[6:])


def test_latex_speaks_as_the_page_does(runs: Path) -> None:
    manifest = read_manifest(runs / "before")
    (summary,) = summaries(manifest, read_records(runs / "before"))
    text = latex_table([summary])
    for rule in ("toprule", "midrule", "bottomrule", "begin{tabular}{lrrrr}", "end{tabular}"):
        assert f"\\{rule}" in text
    rows = {line.split(" & ")[0]: line for line in text.splitlines() if " & " in line}
    assert list(rows) == ["Attack", "Clean accuracy", "all attacks", "fgsm(eps=0.01)", "deepfool"]
    assert all(line.count(" & ") == 4 and line.endswith(" \\\\") for line in rows.values())
    for attack in summary.attacks:
        for key in ("fooling_rate", "fooling_rate_8bit", "robust_accuracy"):
            measured = attack.measures[key]
            said = f"{value_text(measured.value, 'fraction')} ({interval_text(measured, 'fraction')})"
            assert said.replace("%", "\\%") in rows[attack.label]
    assert (
        f"{value_text(summary.attack('deepfool').measures['median_distance'].value, 'distance')} L2" in rows["deepfool"]
    )


def test_latex_groups_models_says_budgets_in_grey_levels_and_escapes_names(tmp_path: Path) -> None:
    eps = 8 / 255
    label = label_of(brittle.FGSM(eps=eps))
    attack = FGSM.model_copy(update={"label": label, "eps": eps, "config": {"eps": eps, "norm": "linf"}})
    names = ("a_b & 50%", HOSTILE + "\n\\input{x}")
    make_run(tmp_path / "run", n=8, shape=(3, 8, 8), attacks=(attack,), models=names)
    text = latex_table(summaries(read_manifest(tmp_path / "run"), read_records(tmp_path / "run")))
    assert "fgsm(eps=8/255) & " in text
    assert "a\\_b \\& 50\\%, untargeted" in text
    assert "\\input" not in text
    assert "L$\\infty$" in text
    plain = re.sub(r"\\[&%$#_{}]", "", "\n".join(text.splitlines()[1:]))  # the first line is a comment
    assert plain.count("{") == plain.count("}")
    assert not set("%#_^~") & set(plain)


def test_escaped() -> None:
    assert escaped("a\\b~c^d") == r"a\textbackslash{}b\textasciitilde{}c\textasciicircum{}d"
    assert escaped("> 99.9 %, x\x00y\nz") == r"\textgreater{} 99.9 \%, x y z"


@pytest.mark.parametrize("models", [("net",), ("net", "other")])
def test_npz_has_the_images_with_their_originals(models: tuple[str, ...], tmp_path: Path) -> None:
    run = tmp_path / "run"
    make_run(run, n=10, shape=(3, 8, 8), attacks=(FGSM, DEEPFOOL), models=models, shard_size=4, missing=3)
    export(run, {"npz": tmp_path / "images.npz"})
    manifest, records = read_manifest(run), read_records(run)
    with np.load(tmp_path / "images.npz") as arrays:
        assert len(arrays.files) == len(models) * (3 + 2 * 5)
        for view in manifest.views():
            clean = arrays[f"{view.originals}/images"]
            assert (clean.dtype, clean.shape) == (np.uint8, (10, 3, 8, 8))
            assert np.array_equal(
                clean, (read_images(run, view.originals, view, list(range(10))) * 255).round().numpy()
            )
            for spec, kept in zip(manifest.attacks, (10, 7), strict=True):
                mine = view.of(records)
                mine = mine[mine["attack"] == spec.label]
                slug = view.slug(spec)
                expected = read_images(run, slug, view, list(range(kept)))
                assert torch.equal(torch.from_numpy(arrays[f"{slug}/images"]), expected)
                assert arrays[f"{slug}/rows"].tolist() == list(range(kept))
                for name, column in (("predictions", "adversarial_prediction"), ("fooled", "fooled")):
                    assert arrays[f"{slug}/{name}"].tolist() == mine[column].tolist()
                assert set(arrays[f"{slug}/targets"].tolist()) == {-1}
            assert arrays[f"{view.originals}/examples"].tolist() == [f"{i:05d}" for i in range(10)]


def test_npz_of_those_that_fooled(cli: Cli, tmp_path: Path) -> None:
    command = "audit --model digits-cnn --data digits --limit 12 --attack fgsm,eps=0.1 --images fooled --out"
    assert cli(*command.split(), tmp_path / "run").code == 0
    assert cli("export", tmp_path / "run", "--npz", tmp_path / "x.npz").code == 0
    records = read_records(tmp_path / "run").set_index("position")
    with np.load(tmp_path / "x.npz") as arrays:
        folder = next(name for name in arrays.files if name.endswith("rows")).removesuffix("/rows")
        rows, images, clean = (
            arrays[name] for name in (f"{folder}/rows", f"{folder}/images", "digits-cnn/clean/images")
        )
        assert rows.tolist() == records.index[records["fooled"]].tolist()
        change = np.abs(images - clean[rows] / np.float32(1 if clean.dtype == np.float32 else 255)).max(axis=(1, 2, 3))
        assert change == pytest.approx(records["linf"].to_numpy()[rows], abs=1e-6)


def test_png_has_the_same_pictures_to_the_bit(tmp_path: Path) -> None:
    run = tmp_path / "run"
    make_run(run, n=10, shape=(1, 8, 8), attacks=(FGSM, DEEPFOOL), goals=("untargeted", "1"), shard_size=4, missing=3)
    export(run, {"npz": tmp_path / "images.npz", "png": tmp_path / "images.zip", "csv": tmp_path / "records.csv"})
    with np.load(tmp_path / "images.npz") as arrays, ZipFile(tmp_path / "images.zip") as archive:
        expected = {"records.csv"}
        for view in read_manifest(run).views():
            for slug in (view.originals, *map(view.slug, view.attacks)):
                for place, image in enumerate(arrays[f"{slug}/images"]):
                    expected.add(name := f"{slug}/{place:08d}.png")
                    levels = image if image.dtype == np.uint8 else np.rint(image * np.float64(255))
                    shown = np.asarray(Image.open(io.BytesIO(archive.read(name))))
                    assert np.array_equal(shown, np.repeat(levels.transpose(1, 2, 0), 3, axis=2)), name
        assert sorted(archive.namelist()) == sorted(expected)
        assert archive.read("records.csv") == (tmp_path / "records.csv").read_bytes()


def test_loggers_are_told_the_quantities_of_a_run(
    cli: Cli, tmp_path: Path, logged: list[tuple[str, str, float, int]]
) -> None:
    run = tmp_path / "run"
    made = make_run(run, n=40, shape=(3, 8, 8), attacks=(FGSM, DEEPFOOL))
    for _ in range(2):  # told again, it is the same run there, and has one file
        assert cli("export", run, "--log", "tensorboard", "--log", "mlflow").code == 0
    known = quantities(made, read_records(run), None).known
    for name, said in (
        ("resnet20/fgsm(eps=0.01)/fooling_rate", "resnet20/fgsm-eps-0.01/fooling_rate"),
        ("resnet20/deepfool/median_distance", "resnet20/deepfool/median_distance"),
    ):
        value = known[name].value
        assert value is not None
        assert ("tensorboard", said, value, 40) in logged
        assert ("0/run", said, value, 40) in logged
    assert {name for name, *_ in logged} == {"tensorboard", "0/run"}
    assert len(list((run / "tensorboard").iterdir())) == 1
    assert logged[-1] == ("0/run", "ended", 0.0, 0)


def test_export_refuses_in_one_line_and_writes_nothing(cli: Cli, runs: Path, tmp_path: Path) -> None:
    there = tmp_path / "there.csv"
    there.write_text("mine")
    new = tmp_path / "new.tex"
    without = make_run(tmp_path / "none", n=4, shape=(3, 8, 8), attacks=(FGSM,)).model_copy(update={"images": "none"})
    (tmp_path / "none" / "manifest.json").write_text(without.model_dump_json())
    make_run(tmp_path / "torn", n=4, shape=(3, 8, 8), attacks=(FGSM,))
    torn = next((tmp_path / "torn" / "images").rglob("*.safetensors"))
    content = bytearray(torn.read_bytes())
    content[-1] ^= 1
    torn.write_bytes(content)
    for arguments, message in (
        ([runs / "before"], "expected --csv, --npz, --png or --web with a file, --log"),
        ([runs / "before", "--npz", new, "--csv", there], "which exists"),
        ([runs / "before", "--npz", new, "--csv", new], "twice"),
        ([runs / "before", "--npz", new, "--csv", tmp_path / "no" / "x.csv"], "there is no directory"),
        ([tmp_path, "--csv", new], "expected a run directory"),
        ([tmp_path / "none", "--npz", new], "which keeps none"),
        ([tmp_path / "none", "--png", new], "which keeps none"),
        ([runs / "before", "--csv", new, "--log", "wandb"], "expected a logger as tensorboard or mlflow, got 'wandb'"),
        ([tmp_path / "torn", "--csv", new, "--npz", tmp_path / "x.npz"], "is missing or not as written"),
    ):
        ran = cli("export", *arguments)
        assert (ran.code, ran.out) == (2, ""), arguments
        assert message in ran.err
        assert ran.err.count("\n") == 1
    assert there.read_text() == "mine"
    assert not new.exists()


# --- every table, for other programs


def test_summary_has_every_table_as_csv_and_in_latex(cli: Cli, tmp_path: Path) -> None:
    make_run(tmp_path / "run", n=24, shape=(3, 8, 8), attacks=(FGSM, DEEPFOOL), models=("one_1", "two, b"))
    manifest, records = read_manifest(tmp_path / "run"), read_records(tmp_path / "run")
    views = summaries(manifest, records)
    board = leaderboard(manifest, records, views)
    table = pd.read_csv(io.StringIO(cli("summary", tmp_path / "run", "--csv").out))
    assert list(dict.fromkeys(table["table"])) == [
        *(f"measures {one.model}, untargeted" for one in views),
        "leaderboard",
    ]

    def cell(*where: str) -> dict[str, Any]:
        found = table[(table[["table", "row", "column"]] == list(where)).all(axis=1)]
        return dict(found.iloc[0])

    for one in views:
        known = one.attack(DEEPFOOL.label).measures
        said = cell(f"measures {one.model}, untargeted", DEEPFOOL.label, "fooling_rate")
        rate = known["fooling_rate"]
        assert (float(said["value"]), said["count"], said["of"]) == (rate.value, rate.count, rate.of)
        assert cell(f"measures {one.model}, untargeted", DEEPFOOL.label, "median_distance")["unit"] == "distance l2"
    latex = cli("summary", tmp_path / "run", "--latex").out
    assert latex.count("\\begin{tabular}") == latex.count("\\end{tabular}") == 2
    assert escaped("one_1") in latex
    for standing in board.standings:
        robust = standing.robust_accuracy[0]
        said = cell("leaderboard", standing.model, "Robust accuracy, L\u221e 0.01")
        assert (float(said["value"]), said["count"], said["low"]) == (robust.value, robust.count, robust.low)
        assert escaped(value_text(robust.value, "fraction")) in latex
        assert cell("leaderboard", standing.model, "Rank")["value"] == "\u2013".join(
            map(str, sorted(set(standing.place or ())))
        )
    as_json = json.loads(cli("summary", tmp_path / "run", "--json").out)["leaderboard"]
    assert as_json == board.model_dump(mode="json")
    shown = " ".join(cli("summary", tmp_path / "run").out.split())
    assert "The worst that any attack of this run does to each of 24 images" in shown


def test_summary_of_what_has_no_tables_or_in_two_forms_is_refused(cli: Cli, runs: Path, tmp_path: Path) -> None:
    both = cli("summary", runs / "before", "--csv", "--latex")
    assert (both.code, both.out, both.err.count("\n")) == (2, "", 1)
    assert "expected one of --json, --csv and --latex" in both.err
    one = cli("summary", runs / "before", "--latex")
    assert one.out == latex_table(summaries(read_manifest(runs / "before"), read_records(runs / "before")))


# --- what a pipeline asks


def test_what_is_overall_is_what_can_be_asked(runs: Path) -> None:
    for summary in summaries(read_manifest(runs / "before"), read_records(runs / "before")):
        assert tuple(summary.overall) == OVERALL
    assert set(OVERALL) <= set(MEASURES)


def test_strict_names_the_doubts_and_not_the_notes(cli: Cli, runs: Path, tmp_path: Path) -> None:
    (summary,) = summaries(read_manifest(runs / "before"), read_records(runs / "before"))
    codes = {flag.code for flag in summary.flags}
    assert {is_doubt(code) for code in codes} == {True, False}
    ran = cli("summary", runs / "before", "--strict")
    assert ran.code == 3
    assert ran.out == cli("summary", runs / "before").out
    assert set(ran.err.removeprefix("brittle: --strict: ").split(": ")[1].strip().split(", ")) == {
        code for code in codes if is_doubt(code)
    }
    make_run(tmp_path / "sound", n=20, shape=(3, 8, 8), attacks=(FGSM,))
    sound = cli("summary", tmp_path / "sound", "--strict", "--json")
    assert (sound.code, sound.err) == (0, "")
    assert "few-examples" in sound.out  # a note


def test_each_number_of_a_csv_has_a_place_of_its_own(cli: Cli, tmp_path: Path) -> None:
    spec = 'study = "noise"\ndata = "digits"\nlimit = 12\nsizes = [0.0, 1.5]\n[[models]]\nmodel = "digits-cnn"\n'
    (tmp_path / "noise.toml").write_text(spec)
    assert cli("run", tmp_path / "noise.toml", "--out", tmp_path / "run").code == 0
    table = pd.read_csv(io.StringIO(cli("summary", tmp_path / "run", "--csv").out))
    assert not table.duplicated(["table", "row", "column"]).any()
    assert set(table["row"]) == {"digits-cnn, 0", "digits-cnn, 1.50"}


def test_fail_under(cli: Cli, runs: Path) -> None:
    (summary,) = summaries(read_manifest(runs / "before"), read_records(runs / "before"))
    robust = summary.overall["robust_accuracy"].value or 0.0
    exact = cli("summary", runs / "before", "--fail-under", f"robust_accuracy={robust!r}")
    assert (exact.code, exact.err) == (0, "")
    ran = cli(
        "summary",
        runs / "before",
        "--json",
        "--fail-under",
        "robust_accuracy=0.9",
        "--fail-under",
        "clean_accuracy=0.1",
    )
    assert (ran.code, ran.err) == (4, f"brittle: --fail-under: robust_accuracy is {robust:.6g}, under 0.9\n")
    assert json.loads(ran.out)["study"] == "audit"
    both = cli("summary", runs / "before", "--strict", "--fail-under", "robust_accuracy=1")
    assert (both.code, both.err.count("\n")) == (3, 2)


def test_a_number_that_is_not_known_is_not_enough_and_every_model_counts(cli: Cli, tmp_path: Path) -> None:
    make_run(tmp_path / "run", n=20, shape=(3, 8, 8), attacks=(FGSM,), models=("a", "b"), labelled=False)
    ran = cli("summary", tmp_path / "run", "--fail-under", "clean_accuracy=0")
    assert ran.code == 4
    assert ran.err == (
        "brittle: --fail-under: clean_accuracy of a, untargeted is not known, under 0; clean_accuracy of b, untargeted"
        " is not known, under 0\n"
    )


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("robust_acuracy=0.4", "did you mean 'robust_accuracy'?"),
        ("0.4", "known: clean_accuracy"),
        ("robust_accuracy", "a fraction from 0 to 1, such as robust_accuracy=0.4"),
        ("robust_accuracy=40", "a fraction from 0 to 1"),
        ("robust_accuracy=-0.4", "a fraction from 0 to 1"),
        ("robust_accuracy=nan", "a fraction from 0 to 1"),
        ("fooling_rate=0.4", "a measure of which less is worse, such as robust_accuracy, got 'fooling_rate'"),
    ],
)
def test_a_wrong_threshold_is_told_before_any_work(asked: str, message: str, cli: Cli, tmp_path: Path) -> None:
    command = "audit --model digits-cnn --data digits --attack fgsm --out"
    ran = cli(*command.split(), tmp_path / "run", "--fail-under", asked)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_an_audit_is_written_before_it_is_judged(cli: Cli, tmp_path: Path) -> None:
    command = "audit --model digits-cnn --data digits --limit 12 --attack fgsm,eps=0.3 --fail-under robust_accuracy=1"
    ran = cli(*command.split(), "--out", tmp_path / "run")
    assert ran.code == 4
    assert ran.err.splitlines()[-1].startswith("brittle: --fail-under: robust_accuracy is 0")
    assert ran.out.splitlines()[-1] == f"report: {tmp_path / 'run' / 'report.html'}"
    assert (tmp_path / "run" / "report.html").exists()


def test_other_studies_have_no_such_numbers(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "noise.toml").write_text(
        'study = "noise"\ndata = "digits"\nlimit = 8\nsizes = [0.0, 1.0]\n[[models]]\nmodel = "digits-cnn"\n'
    )
    assert cli("run", tmp_path / "noise.toml", "--out", tmp_path / "run").code == 0
    assert cli("export", tmp_path / "run", "--csv", tmp_path / "x.csv").code == 0
    assert len(pd.read_csv(tmp_path / "x.csv")) == 16
    for arguments in (
        ("summary", tmp_path / "run", "--strict"),
        ("export", tmp_path / "run", "--npz", tmp_path / "x.npz"),
        ("compare", tmp_path / "run", tmp_path),
    ):
        ran = cli(*arguments)
        assert ran.code == 2
        assert "a noise run" in ran.err
        assert ran.err.count("\n") == 1
