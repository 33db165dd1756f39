"""Claims of defences: the sides of an audit by name, as a recipe asks for them."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tomli_w

import brittle
from brittle.errors import BrittleError
from brittle.measure import every_sides, judge_defences
from brittle.measure.models import Measured
from brittle.recipes.load import load_recipe
from brittle.records import read_manifest
from brittle.repeat import study

NETWORK = {"model": "digits-cnn", "same": "network"}
PGD = "pgd(eps=8/255, steps=5)"


def recipe(tmp_path: Path, *quantities: str) -> Path:
    """A recipe about a network behind a blur, smoothed, and bare, with a claim for each quantity."""
    claims = [
        {"id": str(number), "kind": "existence", "says": "So.", "quantity": one, "above": -1, "place": "page 1"}
        for number, one in enumerate(quantities)
    ]
    arms = {
        "bare": {"published": "bare", "smoke": NETWORK},
        "soft": {"published": "blur", "smoke": NETWORK | {"defences": ["blur"]}},
        "smooth": {
            "published": "smooth",
            "smoke": NETWORK | {"defences": ["smoothing,samples=20,draws=2"]},
        },
    }
    attacks = [PGD.replace("(", ",").rstrip(")"), "pgd,norm=l2,eps=0.5,steps=5", "square,eps=8/255,queries=20"]
    content: dict[str, Any] = {
        "title": "Sides",
        "source": "nobody",
        "data": {"published": "digits", "classes": 10, "smoke": "digits", "cpu": "digits", "paper": "digits"},
        "arms": arms,
        "steps": [{"name": "tried", "study": "audit", "limit": 12, "attacks": attacks}],
        "claims": claims,
        "deviations": [{"what": "All.", "why": "Small."}],
    }
    file = tmp_path / "sides.toml"
    file.write_text(tomli_w.dumps(content))
    return file


def robust(records: pd.DataFrame, eps: float) -> float:
    """The share of images that these attacks leave right within a budget."""
    lost = records["fooled"] & (records["linf"] <= eps * (1 + 1e-5))
    right = (records["clean_prediction"] == records["label"]) & ~lost
    return float(right.groupby(records["position"]).all().mean())


def test_what_each_attacker_leaves_of_a_defence_is_a_quantity(tmp_path: Path) -> None:
    sides = ("unaware", "aware", "blind", "figure", "bare")
    asked = [f"tried/soft/within(linf=8/255)/{side}" for side in sides]
    asked += [f"tried/soft/{PGD}/unaware", f"tried/soft/{PGD}/aware"]
    asked += ["tried/smooth/within(l2=0.5)/certified", "tried/smooth/within(l2=0.5)/refused", "tried/smooth/inside"]
    asked.append(f"{asked[3]} - {asked[0]}")
    at = "tried/smooth/within(l2=0.5)"
    asked += ["tried/smooth/tries_inside", f"{at}/certified <= {at}/figure"]
    bare = "tried/bare/within(linf=8/255)"
    asked += [f"{bare}/{side}" for side in ("aware", "blind", "transferred", "figure")]
    asked += [f"{bare}/figure <= {bare}/{side}" for side in ("aware", "blind", "transferred")]
    made = study(recipe(tmp_path, *asked), out=tmp_path / "run", scale="smoke")
    measured = [one.measured[0] or Measured(value=None) for one in made.judged]
    found = {name: one.value for name, one in zip(asked, measured, strict=True)}
    where = tmp_path / "run" / "tried"
    run = brittle.Run(where, read_manifest(where))
    every = judge_defences(every_sides(run.manifest, run.records, run.transfers), run.certificates)
    judged = next(one for one in every.defences if one.model == "soft + blur" and one.budget.norm == "linf")
    alone = next(one for one in every.alone if (one.model, one.attack) == ("soft + blur", PGD))
    proved = next(one for one in every.defences if one.model.startswith("smooth") and one.budget.norm == "l2")
    expected = [getattr(judged, side).value for side in sides[:-1]] + [judged.robust_bare.value]
    assert [found[name] for name in asked[:5]] == expected
    assert [found[name] for name in asked[5:7]] == [alone.unaware.value, alone.aware.value]
    assert found[asked[7]] == proved.certified.value
    assert found[asked[8]] is not None
    assert found[asked[9]] == proved.inside == 0
    assert measured[10].of == 12  # image by image, so that figures of the same images can be told apart
    assert (measured[10].value or 0) <= 0
    assert found[asked[11]] == proved.tries_inside > 0
    assert found[asked[12]] == 1.0
    own = run.records[run.records["model"] == "bare"]
    blind = own["attack"].str.startswith("square")
    assert found[f"{bare}/aware"] == robust(own[~blind], 8 / 255) < 1
    assert found[f"{bare}/blind"] == robust(own[blind], 8 / 255)
    assert [found[name] for name in asked[-3:]] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("quantity", "message"),
    [
        ("tried/soft/within(linf=8/255)/awre", "no measure is called 'awre'; did you mean 'aware'"),
        ("tried/soft/pgd(eps=8/255, steps=5)/figure", "no measure is called 'figure'"),
        ("tried/sof/within(linf=8/255)/aware", "no arm is called 'sof'; did you mean 'soft'"),
    ],
)
def test_what_is_no_side_is_refused(tmp_path: Path, quantity: str, message: str) -> None:
    with pytest.raises(BrittleError, match=message):
        load_recipe(recipe(tmp_path, quantity))
