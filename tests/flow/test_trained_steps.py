"""Recipes that train what they attack, and grade it elsewhere."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import tomli_w

from brittle.errors import BrittleError
from brittle.measure.ledger import Ledger
from brittle.measure.models import Measured
from brittle.measure.quantities import quantities
from brittle.records import read_manifest, read_records, read_transfers
from brittle.repeat import study

ARMS = ("one", "two")
MATRIX: dict[str, Any] = {
    "title": "Two seeds of two networks",
    "source": "nobody",
    "data": {
        "published": "digits",
        "classes": 10,
        **dict.fromkeys(("smoke", "cpu", "paper"), "digits"),
        "train": dict.fromkeys(("smoke", "cpu", "paper"), "digits"),
    },
    "arms": {
        name: {"published": name, "smoke": {"model": f"run:{{dir}}/train-{name}-seed-{{seed}}", "same": "network"}}
        for name in ARMS
    },
    "steps": [
        {
            "name": f"train {name}",
            "study": "train",
            "seeds": [4, 5],
            "architectures": [architecture],
            "recipe": "szegedy,epochs=8,peak_rate=0.05",
            "precision": "fp32",
        }
        for name, architecture in zip(ARMS, ("digits-fc10", "digits-fc16-10"), strict=True)
    ]
    + [
        {
            "name": "made",
            "study": "audit",
            "seeds": [4, 5],
            "limit": 30,
            "goals": ["random"],
            "attacks": ["fgsm,eps=0.3"],
            "transfer": True,
            "at": ["linf=0.1"],
        }
    ],
    "claims": [
        {
            "id": name,
            "kind": "value",
            "says": "So.",
            "quantity": f"made/one/fgsm(eps=0.3)/on two{sized}/{measure}",
            "published": [0.5],
            "tolerance": 1.0,
            "place": "here",
        }
        for name, sized, measure in (
            ("as it is", "", "error"),
            ("smaller", " at linf=0.1", "error"),
            ("noise", "", "noise_error"),
        )
    ],
    "deviations": [{"what": "All of it.", "why": "It is small."}],
}
OF_TRAINING = ("test_accuracy", "ended_early", "epochs", "seconds")
MATRIX["claims"] += [
    {
        "id": f"{name} {arm} {measure}",
        "kind": "value",
        "says": "So.",
        "place": "here",
        "published": [0.5],
        "tolerance": 1.0,
    }
    | {"quantity": f"train {name}/{arm}/{measure}"}
    for name, arm, measure in (*((one, one, each) for one in ARMS for each in OF_TRAINING), ("one", "two", "epochs"))
]


def written(folder: Path, content: dict[str, Any]) -> Path:
    path = folder / "matrix.toml"
    path.write_text(tomli_w.dumps(content))
    return path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ledger]:
    folder = tmp_path_factory.mktemp("matrix")
    return folder / "out", study(written(folder, MATRIX), out=folder / "out", scale="smoke")


def test_each_seed_attacks_the_networks_of_its_own(done: tuple[Path, Ledger]) -> None:
    out, _ = done
    prints = [[one.fingerprint for one in read_manifest(out / f"made-seed-{seed}").models] for seed in (4, 5)]
    assert len({one for both in prints for one in both}) == 4
    assert read_manifest(out / "train-one-seed-5").settings["networks"] == ["digits-fc10-seed-5"]


def test_an_error_elsewhere_is_that_of_all_images_and_seeds_are_pooled(done: tuple[Path, Ledger]) -> None:
    out, ledger = done
    found = {one.claim.id: one.measured[0] for one in ledger.judged}
    for name, column, at in (
        ("as it is", "prediction", None),
        ("smaller", "prediction", 0.1),
        ("noise", "noise_", None),
    ):
        shares = []
        for seed in (4, 5):
            place = out / f"made-seed-{seed}"
            rows = read_transfers(place, read_manifest(place))
            mine = rows[(rows["source"] == "one") & (rows["target"] == "two")]
            mine = mine[mine["size"].isna() if at is None else (mine["size"] == at) & mine["reached"]]
            column = "noise_prediction" if column.startswith("noise") else column
            shares.append(float((mine[column] != mine["label"]).mean()))
        measured = found[name]
        assert isinstance(measured, Measured)
        assert measured.value == pytest.approx(sum(shares) / 2)
        assert (measured.low or 0) <= min(shares) <= max(shares) <= (measured.high or 0)
    errors = read_records(out / "made-seed-4")
    assert {"one", "two"} == set(errors["model"])


def test_what_a_training_came_to_goes_by_the_arm_that_it_is(done: tuple[Path, Ledger]) -> None:
    out, ledger = done
    found = {one.claim.id: one.measured[0] for one in ledger.judged}
    for arm in ARMS:
        lasts = [read_records(out / f"train-{arm}-seed-{seed}").iloc[-1] for seed in (4, 5)]
        for measure, values in {
            "test_accuracy": [last["held_out_right"] / last["held_out"] for last in lasts],
            "ended_early": [0.0, 0.0],
            "epochs": [8.0, 8.0],
            "seconds": [last["seconds"] for last in lasts],
        }.items():
            measured = found[f"{arm} {arm} {measure}"]
            assert isinstance(measured, Measured)
            assert measured.value == pytest.approx(sum(values) / 2)
    *_, another = ledger.judged
    assert another.why.startswith("no record has 'train one/two/epochs'")


def test_a_training_that_ended_early_says_so_and_to_what_it_had_come() -> None:
    rows = [
        {
            "network": name,
            "epoch": epoch,
            "robust": robust,
            "held_out_right": 30,
            "held_out": 40,
            "seconds": 2.5 * epoch,
        }
        | {"stopped": stopped}
        for name, epoch, robust, stopped in (
            ("a", 1, 0.4, None),
            ("a", 2, 0.1, "catastrophic overfitting in epoch 2"),
            ("b", 1, None, None),
        )
    ]
    manifest = SimpleNamespace(study="train")
    known = quantities(manifest, pd.DataFrame(rows), None).known  # type: ignore[arg-type]
    assert {name: one.value for name, one in known.items()} == {
        "a/test_accuracy": 0.75,
        "a/ended_early": 1.0,
        "a/epochs": 2.0,
        "a/seconds": 5.0,
        "a/robust_in_training": 0.1,
        "b/test_accuracy": 0.75,
        "b/ended_early": 0.0,
        "b/epochs": 1.0,
        "b/seconds": 2.5,
    }
    assert known["a/ended_early"].low == known["a/ended_early"].high == 1.0


def test_the_whole_is_repeated_from_its_directory(done: tuple[Path, Ledger]) -> None:
    out, ledger = done
    before = {path: path.read_bytes() for path in out.rglob("*.safetensors")}
    assert len(before) > 4
    assert study(out / "recipe.toml", out=out) == ledger
    assert {path: path.read_bytes() for path in out.rglob("*.safetensors")} == before


@pytest.mark.parametrize(
    ("quantity", "message"),
    [
        ("made/one/fgsm(eps=0.3)/on tow/error", "no arm is called 'tow'; did you mean 'two'"),
        ("made/one/fgsm(eps=0.3)/on two/eror", "no measure is called 'eror'; did you mean 'error'"),
        ("made/one/fgsm(eps=0.4)/on two/error", "no attack of 'made' is called"),
    ],
)
def test_a_misspelt_target_is_one_line_with_the_nearest(quantity: str, message: str, tmp_path: Path) -> None:
    content = MATRIX | {"claims": [MATRIX["claims"][0] | {"quantity": quantity}]}
    with pytest.raises(BrittleError, match=message):
        study(written(tmp_path, content), out=tmp_path / "out", scale="smoke")
    assert not (tmp_path / "out").exists()
