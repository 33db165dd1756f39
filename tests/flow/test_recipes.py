"""Recipes: read, refused, run on tiny networks, judged, shown and repeated."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from PIL import Image

from brittle import Run
from brittle.catalog.grammar import split
from brittle.errors import BrittleError
from brittle.measure import transfer_matrices
from brittle.measure.ledger import ArmTold, Ledger
from brittle.measure.models import Measured
from brittle.recipes.arms import asked_for
from brittle.recipes.format import SCALES, Asked, Scale
from brittle.recipes.load import load_recipe, names
from brittle.recipes.steps import steps_of
from brittle.recipes.templates import at_scale, put_in
from brittle.records import read_manifest
from brittle.repeat import prepared, study, write_study
from brittle.run.spec import ModelSpec
from conftest import Cli

FGSM = "fgsm(eps=0.3)"
SMALL: dict[str, Any] = {
    "title": "A small study",
    "source": "nobody",
    "data": {"published": "digits", "classes": 10, "smoke": "digits", "cpu": "digits", "paper": "digits"},
    "arms": {
        "one": {"published": "One", "smoke": {"model": "digits-cnn", "same": "network"}},
        "two": {"published": "Two", "cpu": {"model": "resnet20"}},
    },
    "steps": [
        {"name": "fgsm", "study": "audit", "limit": {"smoke": 24}, "attacks": ["fgsm,eps=0.05:0.3"]},
        {"name": "noise", "study": "noise", "limit": 24, "norm": "rms", "sizes": [0.0, 0.05, 0.3]},
    ],
    "tables": [
        {
            "id": "t",
            "place": "table 1",
            "quantity": "fgsm/{arm}/fgsm(eps={eps})/{measure}",
            "noise": "noise/{arm}/rms={eps}/fooling_rate",
            "heads": ["arm", "eps", "fooling_rate"],
            "columns": {"fooling_rate": {"unit": "%", "tolerance": 20}},
            "rows": [["one", 0.3, 95], ["two", 0.3, 50]],
        }
    ],
    "claims": [
        {
            "id": "rises",
            "kind": "invariant",
            "relation": "rising",
            "says": "More fools {arm} more.",
            "quantity": "fgsm/{arm}/fgsm(eps={eps})/fooling_rate",
            "over": {"eps": [0.05, 0.3]},
            "place": "section 1",
        }
    ],
    "plots": [
        {
            "title": "Fooled",
            "place": "figure 1",
            "quantity": "fgsm/{arm}/fgsm(eps={eps})/fooling_rate",
            "over": {"eps": [0.05, 0.3]},
            "x": "eps",
            "y": "fooling rate, %",
            "unit": "%",
        }
    ],
    "deviations": [{"what": "All of it.", "why": "It is small."}],
}


def test_what_comes_with_its_weights_is_not_left_out() -> None:
    for spec in ("torchvision:resnet18", "robustbench:Standard", "python:mine:net"):
        made = prepared("thesis-fgsm", out=None, scale="smoke", models=[ModelSpec(model=spec, name="resnet50")])
        assert not made.to_train
        assert "resnet50" in {one.name for _, spec in made.steps for one in getattr(spec, "models", ())}


def test_networks_without_weights_are_trained_once_where_training_data_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRITTLE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "noise"
    for number in range(40):
        (folder / f"{number % 10}").mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (28, 28), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number % 10}" / f"{number}.png")
    bare = changed("arms", "two", "cpu", to={"model": "mnist-cnn", "same": "family"})
    bare |= {"training": "standard,epochs=1,flip=no", "data": bare["data"] | {"cpu": str(folder)}}
    file = tmp_path / "mine.toml"
    file.write_text(tomli_w.dumps(bare))
    with pytest.raises(BrittleError, match="needs its weights: --weights two=FILE, or --train-data SPEC trains it"):
        study(file, out=tmp_path / "none", scale="cpu")
    assert not (tmp_path / "none").exists()
    first = study(file, out=tmp_path / "first", scale="cpu", train_data=str(folder))
    kept = {one: one.stat().st_mtime_ns for one in (tmp_path / "cache").rglob("*.safetensors")}
    second = study(file, out=tmp_path / "second", scale="cpu", train_data=str(folder))
    assert len(kept) == 1
    assert kept == {one: one.stat().st_mtime_ns for one in (tmp_path / "cache").rglob("*.safetensors")}
    model = next(arm.model for arm in first.arms if arm.name == "two")
    assert model.startswith(f"run:{tmp_path / 'cache'}")
    assert first == second


def changed(*path: Any, to: Any) -> dict[str, Any]:
    """The small recipe with one value changed, or added."""
    made = json.loads(json.dumps(SMALL))
    at = made
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = to
    return made  # type: ignore[no-any-return]


def written(folder: Path, content: dict[str, Any], name: str = "small.toml") -> Path:
    path = folder / name
    path.write_text(tomli_w.dumps(content))
    return path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ledger]:
    folder = tmp_path_factory.mktemp("study")
    return folder / "out", study(written(folder, SMALL), out=folder / "out", scale="smoke")


def test_a_study_that_was_stopped_says_that_its_verdicts_are_of_a_part(
    done: tuple[Path, Ledger], tmp_path: Path
) -> None:
    place, ledger = done
    assert "incomplete" not in {doubt.code for doubt in ledger.doubts}
    shutil.copytree(place, tmp_path / "out")
    folder = next(folder for key, folder in ledger.steps if key == "fgsm")
    first, *_ = sorted((tmp_path / "out" / folder / "records").rglob("*.parquet"))
    first.unlink()
    write_study(tmp_path / "out")
    told = Ledger.model_validate_json((tmp_path / "out" / "claims.json").read_bytes())
    (doubt,) = (one for one in told.doubts if one.code == "incomplete")
    assert doubt.about == folder
    assert re.fullmatch(r"\d+ of \d+ records are present: the same command goes on", doubt.message)


def test_a_study_that_cannot_go_on_as_asked_stays_the_one_it_was(done: tuple[Path, Ledger], tmp_path: Path) -> None:
    place, _ = done
    shutil.copytree(place, tmp_path / "out")
    path = written(tmp_path, SMALL)
    with pytest.raises(BrittleError, match="a different run"):
        study(path, out=tmp_path / "out", scale="smoke", seed=5)
    with pytest.raises(BrittleError):
        study(path, out=tmp_path / "out", scale="smoke", models=[ModelSpec(model="python:no.such:net", name="one")])
    assert (tmp_path / "out" / "recipe.toml").read_text() == (place / "recipe.toml").read_text()
    grown = study(path, out=tmp_path / "out", scale="smoke", models=[ModelSpec(model="digits-cnn", name="more")])
    assert "more" in {arm.name for arm in grown.arms}
    assert "more" in (tmp_path / "out" / "recipe.toml").read_text()


def verdicts(ledger: Ledger) -> dict[str, str]:
    return {one.claim.id: one.verdict for one in ledger.judged}


@pytest.mark.parametrize("name", names())
def test_every_recipe_runs_at_smoke_scale_and_each_claim_finds_its_records(name: str, tmp_path: Path) -> None:
    ledger = study(name, out=tmp_path, scale="smoke")
    at_hand = {arm.name for arm in ledger.arms if arm.absent is None}
    assert at_hand
    assert ledger.deviations
    for one in ledger.judged:
        if "no record has" in one.why:
            raise AssertionError(f"{one.claim.id}: {one.why}")
    assert any(one.verdict == "reproduced" for one in ledger.judged), "nothing that is claimed of every network holds"
    assert (tmp_path / "index.html").stat().st_size < 5_000_000
    recipe = load_recipe(name).recipe
    for scale in SCALES:
        assert all(step.spec(name) for step in steps_of(recipe, asked_for(recipe, scale)))


def test_a_study_is_judged_from_its_records(done: tuple[Path, Ledger]) -> None:
    out, ledger = done
    assert verdicts(ledger) == {"t one 0.3 fooling_rate": "reproduced", "t two 0.3 fooling_rate": "untested"} | {
        "rises one": "reproduced"
    }
    figure, absent, _ = ledger.judged
    assert figure.noise is not None and figure.noise.of == 24
    assert absent.why == "no network stands for Two at scale smoke: --model two=SPEC"
    assert Ledger.model_validate_json((out / "claims.json").read_text()) == ledger
    assert [curve.name for curve in ledger.plots[0].curves] == ["one", "One, published", "Two, published"]
    assert (out / "fgsm" / "report.html").exists()


def test_its_page_has_published_beside_measured_with_plots_pictures_and_deviations(done: tuple[Path, Ledger]) -> None:
    out, ledger = done
    text = (out / "index.html").read_text()
    measured = ledger.judged[0].measured[0]
    assert measured is not None and measured.value is not None
    for part in (
        "95.00\u00a0%",
        f"{100 * measured.value:.2f}\u00a0%",
        "All of it.",
        "plot1-chart",
        "read in the source",
    ):
        assert part in text
    assert text.count("data:image/png") >= 3
    assert '<a href="fgsm/report.html">' in text


def test_the_same_again_resumes_and_another_is_refused(done: tuple[Path, Ledger], tmp_path: Path) -> None:
    out, ledger = done
    before = {path: path.read_bytes() for path in out.rglob("*.parquet")}
    assert study(out / "recipe.toml", out=out) == ledger
    assert {path: path.read_bytes() for path in out.rglob("*.parquet")} == before
    with pytest.raises(BrittleError, match="holds another study"):
        study(written(tmp_path, changed("title", to="Another")), out=out, scale="smoke")
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(BrittleError, match="is not empty"):
        study(written(tmp_path, SMALL), out=tmp_path, scale="smoke")


def test_a_wrong_figure_and_a_swapped_table_are_found_without_running_again(
    done: tuple[Path, Ledger], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(done[0], out)
    recipe = (out / "recipe.toml").read_text()
    assert recipe.count("95") == 1
    (out / "recipe.toml").write_text(recipe.replace("95", "15"))
    write_study(out)
    planted = Ledger.model_validate_json((out / "claims.json").read_text())
    assert verdicts(planted)["t one 0.3 fooling_rate"] == "refuted"
    swapped = changed("tables", 0, "rows", to=[["one", 0.05, 95], ["one", 0.3, 10]])
    ledger = study(written(tmp_path, swapped), out=out, scale="smoke")
    assert verdicts(ledger) == {
        "t one 0.05 fooling_rate": "refuted",
        "t one 0.3 fooling_rate": "refuted",
        "rises one": "reproduced",
    }
    assert ("printed-order", "rises one") in [(doubt.code, doubt.about) for doubt in ledger.doubts]


def test_a_claim_that_no_record_supports_is_untested(done: tuple[Path, Ledger], tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(done[0], out)
    content = changed("claims", 0, "over", to={"eps": [0.05, 0.4]})
    ledger = study(written(tmp_path, content), out=out, scale="smoke")
    assert verdicts(ledger)["rises one"] == "untested"
    assert ledger.judged[-1].why.startswith("no record has 'fgsm/one/fgsm(eps=0.4)/fooling_rate'; did you mean")


def test_networks_of_ones_own_take_an_arms_place_or_come_on_top(tmp_path: Path) -> None:
    ledger = study(
        written(tmp_path, SMALL),
        out=tmp_path / "out",
        scale="smoke",
        models=[ModelSpec(model="digits-cnn", name="two"), ModelSpec(model="digits-cnn", name="mine")],
    )
    assert verdicts(ledger) == {
        "t one 0.3 fooling_rate": "reproduced",
        "t two 0.3 fooling_rate": "not comparable",
        "rises one": "reproduced",
        "rises two": "reproduced",
        "rises mine": "reproduced",
    }
    assert ledger.judged[1].why == "another network: digits-cnn instead of Two"
    assert [(arm.name, arm.stands_for) for arm in ledger.arms] == [("one", "One"), ("two", "Two"), ("mine", "")]


def guarded() -> dict[str, Any]:
    """The small recipe with another arm, which is the first behind a defence; at scale cpu behind none."""
    behind = {"published": "One, rounded", "of": "one", "defences": {"smoke": ["bit-depth,bits=3"]}}
    content = changed("arms", "rounded", to=behind)
    return content | {"steps": [content["steps"][0] | {"images": "all"}], "tables": [], "plots": []}


def test_an_arm_of_another_is_whatever_stands_for_that_behind_defences(tmp_path: Path, cli: Cli) -> None:
    file = written(tmp_path, guarded())
    ledger = study(file, out=tmp_path / "out", scale="smoke")
    assert verdicts(ledger) == {"rises one": "reproduced", "rises rounded": "reproduced"}
    shown = {arm.name: arm.shown for arm in ledger.arms if arm.absent is None}
    assert shown == {"one": "digits-cnn", "rounded": "digits-cnn, behind bit-depth,bits=3"}
    assert study(tmp_path / "out" / "recipe.toml", out=tmp_path / "out") == ledger
    ran = cli("study", "show", file)
    assert "one, behind bit-depth,bits=3" in " ".join(ran.out.split())
    mine = ModelSpec(model="digits-cnn", name="one", mean=[0.1], std=[0.5])
    made = prepared(file, out=None, scale="smoke", models=[mine])
    ((_, spec),) = made.steps
    models = [(one["name"], one["mean"], one.get("defences", [])) for one in spec.toml()["models"]]
    assert models == [("one", [0.1], []), ("rounded", [0.1], ["bit-depth,bits=3"])]
    assert made.asked.arms["rounded"].same == made.asked.arms["one"].same
    alone = prepared(file, out=None, scale="smoke", models=[ModelSpec(model="digits-cnn", name="rounded")])
    assert alone.asked.arms["rounded"].defences == []
    with pytest.raises(BrittleError, match=r"expected --weights of an arm \(one, two\), got 'rounded'"):
        prepared(file, out=None, scale="smoke", weights={"rounded": "x"})


def test_what_is_made_for_one_arm_is_undone_by_another_and_a_claim_is_of_the_arms_that_it_names(tmp_path: Path) -> None:
    content = guarded()
    told = {"kind": "existence", "says": "So it is for {arm}.", "above": 0.0, "place": "here"}
    undone = {"id": "undone", "quantity": f"fgsm/one/{FGSM}/on {{arm}}/undone", "arms": ["rounded", "two"]}
    error = {"id": "error", "quantity": f"fgsm/one/{FGSM}/on rounded/error"}
    content["claims"] = [told | undone, told | error | {"says": "So."}]
    ledger = study(written(tmp_path, content), out=tmp_path / "out", scale="smoke")
    assert [one.claim.id for one in ledger.judged] == ["undone rounded", "error"]
    (share,), (rate,) = (one.measured for one in ledger.judged)
    place = tmp_path / "out" / "fgsm"
    run = Run(place, read_manifest(place))
    matrices = transfer_matrices(run.manifest, run.records, run.transfers)
    cell = next(one for one in matrices if one.attack == FGSM).cell("one", "rounded + bit-depth(bits=3)")
    assert cell is not None and share is not None and rate is not None
    assert cell.of_fooling.of and share.of == cell.of_fooling.of
    assert (share.count or 0) + (cell.of_fooling.count or 0) == share.of
    assert rate.of == 24


def test_an_arm_of_one_that_is_not_at_hand_is_not_either(tmp_path: Path, cli: Cli) -> None:
    content = guarded()
    content["arms"]["rounded"] |= {"of": "two", "defences": ["bit-depth,bits=3"]}
    made = prepared(written(tmp_path, content), out=None, scale="smoke")
    assert set(made.asked.arms) == {"one"}
    assert made.asked.absent["rounded"] == made.asked.absent["two"]
    trained = prepared(written(tmp_path, content), out=None, scale="cpu", train_data="digits")
    assert list(trained.to_train) == ["two", "rounded"]
    ran = cli("study", "run", tmp_path / "small.toml", "--dry-run", "--train-data", "digits")
    assert "two, rounded: resnet20 is trained first, which is not in this estimate" in ran.out
    assert prepared(written(tmp_path, guarded()), out=None, scale="smoke").asked.arms.keys() == {"one", "rounded"}
    content["arms"]["rounded"]["defences"] = {"smoke": ["bit-depth,bits=3"]}
    none = prepared(written(tmp_path, content), out=None, scale="cpu", train_data="digits")
    assert none.asked.absent["rounded"] == "no defence stands for One, rounded at scale cpu"


FACTS: list[dict[str, Any]] = [
    {"id": what, "kind": "value", "says": what, "quantity": f"registry/{what}", "unit": "yes or no", "place": "here"}
    | {"published": [float(published)]}
    for what, published in (("deepfool/targeted", 0), ("fgsm/targeted", 0), ("few-pixel/gradients", 0))
]


def test_facts_of_methods_are_those_of_the_registry(done: tuple[Path, Ledger], tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(done[0], out)
    ledger = study(written(tmp_path, changed("claims", to=FACTS)), out=out, scale="smoke")
    found = {one.claim.id: (one.verdict, one.why) for one in ledger.judged if one.claim.id.count("/")}
    assert found == {
        "deepfool/targeted": ("reproduced", "so it is here"),
        "fgsm/targeted": ("refuted", "it is not so here"),
        "few-pixel/gradients": ("reproduced", "so it is here"),
    }
    assert "<td>no</td>" in (out / "index.html").read_text()


def test_what_a_step_tells_is_drawn_and_numbers_stand_beside_one_another(
    done: tuple[Path, Ledger], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(done[0], out)
    plot = {"title": "Noise", "place": "none", "told": "noise", "x": "size", "y": "accuracy"}
    beside = {"title": "Which is it", "says": "This one.", "units": {"fooled": "%", "for classes": "yes or no"}}
    beside["columns"] = {
        "fooled": "fgsm/{arm}/fgsm(eps=0.3)/fooling_rate",
        "size": "fgsm/{arm}/fgsm(eps=0.3)/mean_l2_all",
        "for classes": "registry/fgsm/targeted",
    }
    ledger = study(written(tmp_path, changed("plots", to=[plot]) | {"besides": [beside]}), out=out, scale="smoke")
    ((drawn,), (told,)) = ledger.plots, ledger.besides
    assert [(curve.name, curve.x) for curve in drawn.curves] == [("one", (0.0, 0.05, 0.3))]
    ((arm, (fooled, size, targeted)),) = told.rows
    assert (arm, fooled) == ("one", ledger.judged[0].measured[0])
    assert size is not None and size.value == pytest.approx(0.3 * 8, rel=0.3), "clipped, of 64 values"
    assert targeted is not None and targeted.value == 1
    page = (out / "index.html").read_text()
    assert "This one." in page and ">yes<" in page and "1.000 yes or no" not in page


def test_a_dry_run_says_what_each_step_would_take_and_writes_nothing(tmp_path: Path, cli: Cli) -> None:
    content = changed("arms", "two", "smoke", to={"model": "mnist-cnn"})
    content["steps"].append(
        {"name": "later", "study": "audit", "limit": 4, "attacks": ["perturbation,file={dir}/fit/p.safetensors"]}
    )
    typed = ["study", "run", written(tmp_path, content), "--scale", "smoke", "--out", tmp_path / "out", "--dry-run"]
    ran = cli(*typed, "--train-data", "digits")
    assert (ran.code, ran.err) == (0, "")
    rows = {line.split()[0]: line.split()[1:4] for line in ran.out.splitlines() if line.strip()}
    assert rows["fgsm"] == ["audit", "2", "48"]
    assert rows["noise"] == ["noise", "1", "24"]
    assert "two: mnist-cnn is trained first, which is not in this estimate" in ran.out
    assert "nothing was written" in ran.out
    assert ran.out.splitlines()[-1] == "not in it, as they read what earlier steps write: later"
    assert not (tmp_path / "out").exists()


OTHERS = {"hf:zalando-datasets/fashion_mnist:test", "hf:uoft-cs/cifar10:test"}
"""Data of another kind, which a step is about besides."""


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", names())
def test_no_step_reads_other_data_than_those_that_are_asked_for(name: str, scale: Scale) -> None:
    recipe = load_recipe(name).recipe
    arms = {arm: one for arm in recipe.arms if (one := getattr(recipe.arms[arm], scale)) is not None}
    mine = {"data": "MY TEST SET", "train_data": "MY TRAINING SET", "arms": arms}
    for step in steps_of(recipe, asked_for(recipe, scale).model_copy(update=mine)):
        for text in re.findall(r"(?:hf:|sklearn:)[^'\"]*", str(step.content)):
            assert "MY" in text or text in OTHERS, f"{step.key} reads {text}"


def test_a_dry_run_knows_that_networks_are_trained_by_earlier_steps(cli: Cli) -> None:
    ran = cli("study", "run", "szegedy-mnist", "--scale", "smoke", "--dry-run")
    assert (ran.code, ran.err) == (0, "")
    rows = {line.split()[0]: line.split()[1:] for line in ran.out.splitlines() if line.strip()}
    assert rows["train-fc10-1e-4-seed-0"][:2] == ["train", "1"]
    later = ran.out.splitlines()[-1].removeprefix("not in it, as they read what earlier steps write: ").split(", ")
    assert later and all(rows[name][-1] == "–" for name in later)
    assert not any(name.startswith("train-") for name in later)


def test_results_are_packed_small_and_without_links(done: tuple[Path, Ledger], tmp_path: Path, cli: Cli) -> None:
    out, ledger = done
    shutil.copytree(out, tmp_path / "small")
    ran = cli("study", "pack", tmp_path / "small", "--out", tmp_path / "docs")
    assert (ran.code, ran.out.strip()) == (0, str(tmp_path / "docs" / "README.md"))
    assert sorted(path.name for path in (tmp_path / "docs").iterdir()) == ["README.md", "small.html", "small.json"]
    assert Ledger.model_validate_json((tmp_path / "docs" / "small.json").read_text()) == ledger
    page = (tmp_path / "docs" / "small.html").read_text()
    assert len(page) < 150_000 < len((out / "index.html").read_text())
    assert "report.html" not in page
    assert page.count("mark-line") and "data:image/png" in page
    counts = " | ".join(str(count) for count in ledger.counts.values())
    assert f"| [A small study](small.html) | one | digits | {counts} |" in (tmp_path / "docs" / "README.md").read_text()
    arm = ledger.arms[0].model_copy(update={"model": "run:/home/me/runs/wide"})
    nothing = Measured(value=None, count=0, of=0)  # as the rate of nothing is
    why = f"another network: {arm.model} instead of another"
    one = ledger.judged[0].model_copy(update={"why": why, "measured": (nothing,)})
    at_home = {"arms": (arm, *ledger.arms[1:]), "judged": (one, *ledger.judged[1:])}
    mine = ledger.model_copy(update={"data": "/home/me/sets/mnist/test.parquet", **at_home})
    (tmp_path / "small" / "claims.json").write_text(mine.model_dump_json())
    cli("study", "pack", tmp_path / "small", "--out", tmp_path / "docs")
    for name in ("README.md", "small.html", "small.json"):
        said = (tmp_path / "docs" / name).read_text()
        assert "mnist/test.parquet" in said and "/home/me" not in said
        assert name == "README.md" or said.count("run:wide") > 1
    for typed, message in (
        ([tmp_path], "expected the directory of a study that has been run"),
        ([tmp_path / "small", tmp_path / "small"], "different names, got 'small' twice"),
    ):
        refused = cli("study", "pack", *typed, "--out", tmp_path / "none")
        assert refused.code == 2 and message in refused.err and not (tmp_path / "none").exists()


def test_readers_see_what_a_network_is_and_a_title_that_asks_is_not_doubly_pointed() -> None:
    told: dict[str, Any] = {"name": "one", "stands_for": "FC", "same": "family"}
    shown = {
        "run:{dir}/train-fc-seed-{seed}": "trained here: train-fc",
        "sklearn:tree:{train_data}": "sklearn:tree, on the training data",
        "resnet20": "resnet20",
    }
    assert {model: ArmTold(model=model, **told).shown for model in shown} == shown
    said = dict.fromkeys(("name", "source", "scale", "data", "published_data"), "nothing")
    none = dict.fromkeys(("arms", "judged", "doubts", "plots", "deviations", "steps"), ())
    for title, begins in (("Is it so?", "Is it so? None"), ("It is so", "It is so: None")):
        assert Ledger.model_validate({"title": title, **said, **none}).headline[0].startswith(begins)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a misspelt key": (
        changed("claims", 0, "relatoin", to="x"),
        r"unknown key 'claims.0.relatoin'; did you mean 'relation'",
    ),
    "of a table": (changed("tables", 0, "head", to=[]), r"unknown key 'tables.0.head'; did you mean 'heads'"),
    "of a network": (changed("arms", "one", "smoke", "wieghts", to="x"), r"did you mean 'weights'"),
    "of a step": (changed("steps", 0, "atacks", to=[]), r"step 'fgsm': unknown key 'atacks'; did you mean 'attacks'"),
    "no deviations": (changed("deviations", to=[]), "deviations: "),
    "an unknown arm": (
        changed("claims", 0, "quantity", to="fgsm/noe/fgsm(eps={eps})/fooling_rate"),
        "no arm is called 'noe'; did you mean 'one'",
    ),
    "of a table's row": (
        changed("tables", 0, "rows", to=[["tow", 0.3, 5]]),
        "no arm is called 'tow'; did you mean 'two'",
    ),
    "an unknown step": (
        changed("claims", 0, "quantity", to="fgms/one/fgsm(eps={eps})/fooling_rate"),
        "no step is called 'fgms'; did you mean 'fgsm'",
    ),
    "an unknown measure": (
        changed("claims", 0, "quantity", to="fgsm/one/fgsm(eps={eps})/fooling"),
        "no measure is called 'fooling'; did you mean 'fooling_rate'",
    ),
    "an unknown attack": (
        changed("claims", 0, "quantity", to="fgsm/one/fgsm(eps=0.06)/{eps}"),
        r"no attack of 'fgsm' is called 'fgsm\(eps=0.06\)'; did you mean 'fgsm\(eps=0.05\)'",
    ),
    "a short row": (changed("tables", 0, "rows", to=[["one", 0.3]]), "expected 3 cells in each row, got 2"),
    "no head": (
        changed("tables", 0, "quantity", to="fgsm/{arm}/fgsm(eps={esp})/{measure}"),
        r"\{esp\} is no head; did you mean 'eps'",
    ),
    "a unit": (changed("tables", 0, "columns", "fooling_rate", "unit", to="percent"), "expected unit as one of"),
    "an id twice": (changed("claims", 0, "id", to="t"), "got 't' twice"),
    "no order": (changed("claims", 0, "relation", to="always falling"), "relation: "),
    "no bound": (changed("claims", 0, "kind", to="existence"), "expected above or below for kind 'existence'"),
    "no sequence": (changed("claims", 0, "over", to={}), "expected over"),
    "a network": (
        changed("arms", "two", "cpu", "model", to="resnet-20"),
        "arm 'two': unknown model 'resnet-20'; did you mean 'resnet20'",
    ),
    "an arm of none": (
        changed("arms", "two", to={"published": "Two", "of": "oen", "defences": ["jpeg"]}),
        "arm 'two': no arm is called 'oen'; did you mean 'one'",
    ),
    "an arm of itself": (
        changed("arms", "two", to={"published": "Two", "of": "two", "defences": ["jpeg"]}),
        "arm 'two': expected of as an arm with networks of its own, got 'two'",
    ),
    "an arm of two kinds": (
        changed(
            "arms", "two", to={"published": "Two", "of": "one", "defences": ["jpeg"], "cpu": {"model": "resnet20"}}
        ),
        "arm 'two': expected of, or networks of its own, got both",
    ),
    "an arm of another as it is": (
        changed("arms", "two", to={"published": "Two", "of": "one"}),
        "arm 'two': expected of, another arm, and defences, or neither",
    ),
    "an arm's defence": (
        changed("arms", "two", to={"published": "Two", "of": "one", "defences": ["jpg"]}),
        "arm 'two': unknown defence 'jpg'; did you mean 'jpeg'",
    ),
    "of a claim's arms": (changed("claims", 0, "arms", to=["oen"]), "no arm is called 'oen'; did you mean 'one'"),
    "arms of no claim": (
        changed("claims", 0, to=FACTS[0] | {"arms": ["one"]}),
        r"expected arms where its quantities have \{arm\}",
    ),
    "of a plot": (
        changed("plots", 0, to={"title": "p", "place": "here", "told": "nois", "x": "x", "y": "y"}),
        "plot 'p': no step is called 'nois'; did you mean 'noise'",
    ),
    "a method": (
        changed("claims", 0, to=FACTS[0] | {"quantity": "registry/deepfoul/targeted"}),
        "no method is called 'deepfoul'; did you mean 'deepfool'",
    ),
    "a fact": (
        changed("claims", 0, to=FACTS[0] | {"quantity": "registry/deepfool/targetd"}),
        "nothing is known as 'targetd' of deepfool; did you mean 'targeted'",
    ),
    "numbers": (
        changed("besides", to=[{"title": "b", "says": "So.", "columns": {"f": "fgsm/{arm}/fgsm(eps=0.3)/fooled"}}]),
        "numbers 'b': no measure is called 'fooled'",
    ),
    "another study": (changed("steps", 0, "study", to="adit"), "did you mean 'audit'"),
    "no name": (changed("steps", 0, "name", to=""), "expected a name without slashes"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_mistake_in_a_recipe_is_one_line_and_writes_nothing(what: str, tmp_path: Path, cli: Cli) -> None:
    content, message = WRONG[what]
    ran = cli("study", "run", written(tmp_path, content), "--scale", "smoke", "--out", tmp_path / "out")
    assert ran.code == 2
    assert len(ran.err.splitlines()) == 1
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(ran.err)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["run", "thesis-fsgm", "--out", "out"], "unknown recipe 'thesis-fsgm'; did you mean 'thesis-fgsm'"),
        (["run", "thesis-fgsm", "--out", "out", "--scale", "smke"], "expected scale as smoke, cpu, paper, got 'smke'"),
        (["run", "thesis-fgsm", "--out", "out", "--scale", "paper"], "resnet50 for ResNet-50 needs its weights"),
        (["run", "thesis-fgsm", "--out", "out", "--model", "resnet20"], "expected --model as ARM=SPEC, got 'resnet20'"),
        (["run", "thesis-fgsm", "--out", "out", "--model", "=digits-cnn"], "ARM=SPEC, got '=digits-cnn'"),
        (["run", "thesis-fgsm", "--out", "out", "--model", "a/b=digits-cnn"], "ARM=SPEC, got 'a/b=digits-cnn'"),
        (["run", "thesis-fgsm", "--out", "out", "--scale", "smoke", "--model", "resnet50="], "got 'resnet50='"),
        (["run", "thesis-fgsm", "--out", "out", "--scale", "smoke", "--model", "resnet50=nosuch"], "model 'nosuch'"),
        (
            ["run", "thesis-fgsm", "--out", "out", "--model", "x=digits-cnn", "--model", "x=signs-cnn"],
            "expected one network for each name, got x, x",
        ),
        (
            ["run", "thesis-fgsm", "--out", "out", "--scale", "smoke", "--model", "resnet50=resnet20"],
            "resnet20 for resnet50 needs its weights: --weights resnet50=FILE, or --train-data SPEC trains it",
        ),
        (["run", "thesis-fgsm", "--out", "out", "--weights", "resnet5=x"], "expected --weights of an arm (resnet50,"),
        (["show", "nothing.toml"], "cannot read 'nothing.toml'"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(
    typed: list[str], message: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = cli("study", *typed)
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert message in ran.err
    assert not (tmp_path / "out").exists()


def test_a_study_of_unknown_data_leaves_nothing(cli: Cli, tmp_path: Path) -> None:
    ran = cli("study", "run", "thesis-fgsm", "--scale", "smoke", "--data", "nosuch", "--out", tmp_path / "out")
    assert ran.code == 2
    assert "unknown data 'nosuch'" in ran.err
    assert not (tmp_path / "out").exists()


def test_the_command_line_lists_shows_runs_and_reports(cli: Cli, tmp_path: Path) -> None:
    listed = cli("study", "list")
    assert [line.split()[0] for line in listed.out.splitlines()] == names()
    path = written(tmp_path, SMALL)
    shown = cli("study", "show", path, "--scale", "smoke")
    assert shown.code == 0
    for part in (
        "A small study",
        "fgsm: audit: data = digits, attacks = ['fgsm,eps=0.05:0.3'], limit = 24",
        "rises (invariant)",
        "All of it. It is small.",
    ):
        assert part in shown.out
    ran = cli("study", "run", path, "--scale", "smoke", "--out", tmp_path / "out")
    assert (ran.code, ran.out.splitlines()[-1]) == (0, f"report: {tmp_path / 'out' / 'index.html'}")
    assert "two: no network stands for Two at scale smoke: --model two=SPEC" in ran.out
    assert "step 2 of 2: noise" in ran.err
    page = tmp_path / "out" / "index.html"
    page.unlink()
    assert cli("report", tmp_path / "out").out.strip() == str(page)
    assert page.exists()


def test_a_step_is_run_for_each_value_network_and_seed() -> None:
    content = changed("steps", to=[SMALL["steps"][0] | {"name": "s", "over": {"e": [0.1, 0.2]}, "seeds": [3, 4]}])
    content["steps"][0] |= {"per_arm": True, "attacks": ["fgsm,eps={e}"], "batch_size": "{e}"}
    recipe = _recipe(content)
    arms = dict.fromkeys(("one", "two"), recipe.arms["one"].smoke)
    steps = steps_of(recipe, Asked(scale="smoke", data="digits", arms=arms), out="/d")
    assert [(step.key, step.folder) for step in steps][:3] == [
        ("s(e=0.1)", "s-e-0.1-one-seed-3"),
        ("s(e=0.1)", "s-e-0.1-one-seed-4"),
        ("s(e=0.1)", "s-e-0.1-two-seed-3"),
    ]
    assert len(steps) == 8
    assert steps[-1].content["attacks"] == ["fgsm,eps=0.2"]
    assert (steps[-1].content["batch_size"], steps[-1].content["seed"]) == (0.2, 4)
    assert [one["name"] for one in steps[-1].content["models"]] == ["two"]


def test_what_is_fitted_to_a_network_is_tried_on_unseen_images_and_on_every_network(tmp_path: Path) -> None:
    content = changed("arms", "three", to={"published": "Three"})
    content["arms"]["two"]["smoke"] = content["arms"]["one"]["smoke"]
    fit = {"name": "fit", "study": "fit", "per_arm": True, "over": {"eps": [0.3]}, "limit": 12, "test_data": "{data}"}
    fit["attack"] = "universal-sgd,eps={eps},epochs=2"
    other = {"name": "other", "study": "audit", "over": {"of": "arms"}, "limit": 12, "images": "none"}
    other["attacks"] = ["perturbation,file={dir}/fit-eps-0.3-{of}/perturbation.safetensors"]
    names_ = {
        "passes": "fit(eps=0.3)/one/passes",
        **{part: f"fit(eps=0.3)/one/{part}/fooling_rate" for part in ("fitted", "unseen", "new")},
        "on another": "other(of=two)/one/perturbation/fooling_rate",
        "of none": "other(of=three)/one/perturbation/fooling_rate",
    }
    told = {"kind": "existence", "says": "So.", "above": 0.1, "place": "here"}
    content |= {"steps": [fit, other], "tables": [], "plots": []}
    content["claims"] = [{"id": name, "quantity": quantity, **told} for name, quantity in names_.items()]
    ledger = study(written(tmp_path, content), out=tmp_path / "out", scale="smoke")
    found = {one.claim.id: one.measured[0] for one in ledger.judged}
    assert found["passes"] == Measured(value=2.0, low=2.0, high=2.0)
    fitted, unseen, new = (found[part] for part in ("fitted", "unseen", "new"))
    assert new is not None and unseen is not None and fitted is not None
    assert (new.count, new.of) == ((unseen.count or 0) - (fitted.count or 0), (unseen.of or 0) - (fitted.of or 0))
    on_another = found["on another"]
    assert on_another is not None and fitted.count == on_another.count, "the same network by another name, and images"
    assert ledger.judged[-1].why == "no network stands for Three at scale smoke: --model three=SPEC"
    assert study(tmp_path / "out" / "recipe.toml", out=tmp_path / "out").judged[:-1] == ledger.judged[:-1]


def _recipe(content: dict[str, Any]) -> Any:
    from brittle.recipes.format import Recipe

    return Recipe.model_validate(content)


def test_values_by_scale_and_names_in_braces() -> None:
    value = {"a": {"smoke": 1, "cpu": 2}, "b": ["x", {"paper": 3, "smoke": 4}], "c": {"x": 1}}
    assert at_scale(value, "smoke") == {"a": 1, "b": ["x", 4], "c": {"x": 1}}
    assert at_scale({"a": {"smoke": 1}}, "cpu") == {}
    assert put_in(["{n}", "eps={e}", "{z}"], {"n": 3, "e": 8 / 255}) == [3, "eps=8/255", "{z}"]
    assert split("s/a/fgsm(eps=8/255)/l2", "/") == ["s", "a", "fgsm(eps=8/255)", "l2"]


def test_a_claim_has_one_sequence_and_budgets_that_belong_to_a_scale(tmp_path: Path) -> None:
    sizes = {"smoke": [0.05], "cpu": [0.1], "paper": [0.1]}
    claim: dict[str, Any] = {
        **changed("claims", 0, "id", to="so")["claims"][0],
        "says": "At {eps} it is worse than {arm} under noise.",
        "quantity": "noise/{arm}/rms={size}/error / noise/{arm}/rms={eps}/error",
        "over": {"size": [0.0, 0.3], "eps": sizes},
    }
    beside = {
        "title": "Noise",
        "says": "As large as {eps}.",
        "columns": {"error": "noise/{arm}/rms={eps}/error"},
        "over": {"eps": sizes},
    }
    content = changed("claims", to=[claim]) | {"besides": [beside], "tables": []}
    made = study(written(tmp_path, content), out=tmp_path / "out", scale="smoke")
    (one,) = made.judged
    assert one.claim.says == "At 0.05 it is worse than one under noise."
    assert one.claim.quantities == tuple(
        f"noise/one/rms={size}/error / noise/one/rms=0.05/error" for size in ("0", "0.3")
    )
    assert all(found is not None for found in one.measured)
    (numbers,) = made.besides
    assert numbers.says == "As large as 0.05."
    assert [cell is not None for _, (cell,) in numbers.rows] == [True]
    two = claim | {"over": {"size": [0.0, 0.3], "eps": [0.0, 0.3]}}
    with pytest.raises(BrittleError, match="expected over, with the one variable of several values"):
        load_recipe(written(tmp_path, changed("claims", to=[two])))
