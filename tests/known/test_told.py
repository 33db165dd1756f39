"""What studies say of their records, by hand."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fake_run import FGSM, manifest_of

from brittle.errors import BrittleError
from brittle.measure.kid import kid
from brittle.measure.told import Sized
from brittle.records import Manifest
from brittle.run.spec import ModelSpec
from brittle.studies import amplification, boundary, certify, fit, generated, stability_told
from brittle.studies.corruption import CorruptionSpec
from brittle.studies.noise import NoiseSpec

MODELS = [ModelSpec(model="digits-cnn")]


def manifest(study: str, **settings: Any) -> Manifest:
    return manifest_of(models=["net"], attacks=[], examples=2).model_copy(
        update={"study": study, "settings": settings, "data": "here"}
    )


def frame(columns: str, *rows: tuple[Any, ...]) -> pd.DataFrame:
    made: pd.DataFrame = pd.DataFrame([("net", *row) for row in rows], columns=["model", *columns.split()])
    return made


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (lambda: NoiseSpec(models=MODELS, data="digits", sizes=[0, 1, 1]), "got 1.0 2 times"),
        (lambda: CorruptionSpec(models=MODELS, data="digits", severities=[1, 1]), "got 1 2 times"),
        (lambda: CorruptionSpec(models=MODELS, data="digits", corruptions=["fog", "fog"]), "got 'fog' 2 times"),
    ],
)
def test_what_would_count_each_image_twice_is_refused(spec: Any, said: str) -> None:
    with pytest.raises((BrittleError, ValueError), match=said):
        spec()


def test_growth_is_that_of_images_that_were_changed() -> None:
    """Two of three images were: one grows twice, one ten times as large; the third is as it was."""
    values = {"a": (0.1, 0.2), "b": (0.5, 5.0), "c": (0.0, 0.0)}
    rows = [
        (example, place, layer, "fgsm", value)
        for example, pair in values.items()
        for place, (layer, value) in enumerate(zip(("pixels", "logits"), pair, strict=True))
    ]
    told = amplification.tell(manifest("amplification"), frame("example place layer what value", *rows))
    assert told.sentences == (
        "net: relative to what is there without it, a change grows from pixels to logits 2 times for fgsm (medians).",
    )
    (pixels, logits) = (row[2] for row in told.rows)
    assert isinstance(pixels, Sized) and isinstance(logits, Sized)
    assert (pixels.measured.value, logits.measured.value) == (0.1, 0.2)
    still = amplification.tell(manifest("amplification"), frame("example place layer what value", *rows[4:]))
    assert still.sentences == ("net: nothing was changed.",)


def test_a_radius_of_nothing_proves_nothing() -> None:
    rows = [("a", "ibp", 0.2), ("b", "ibp", 0.0), ("a", "attack", 0.3), ("b", "attack", 0.0)]
    told = certify.tell(manifest("certify", eps=[0.0, 0.1], norm="linf"), frame("example method radius", *rows))
    assert "for 1 at 0, 1 at 0.1." in told.sentences[0]
    assert [(row[0], row[2].count, row[3].count) for row in told.rows] == [  # type: ignore[union-attr]
        ("certified by ibp", 1, 1),
        ("not changed by the attack", 1, 1),
    ]


def test_where_the_boundary_has_turned_away_that_is_said() -> None:
    columns = "example position label reach angle along distance linear points pictures other"
    rows = [("a", 0, 0, reach, 20.0, 0.1, 0.2, 0.1, points, 0, 1) for reach, points in ((0.5, 3), (1.0, 0))]
    told = boundary.tell(manifest("boundary", attacks=["deepfool"]), frame(columns, *rows))
    assert "none of it was found" in told.sentences[0]
    rows = [(name, 0, 0, reach, 20.0, 0.1, 0.2, 0.1, 3, 0, 1) for name, reach in (("a", 0.5), ("a", 1.0), ("b", 0.5))]
    told = boundary.tell(manifest("boundary", attacks=["deepfool"]), frame(columns, *rows))
    assert "it turns by 20 degrees (median of 1 image)" in told.sentences[0]


def test_unseen_images_are_none_of_the_fitted() -> None:
    """Of the four of the test data one was fitted to, and one is wrong before."""
    rows = [("fitted", "a", 0, 0, 1, True, False)]
    rows += [("unseen", name, label, 0, 1, True, False) for name, label in zip("abcd", (0, 0, 0, 1), strict=True)]
    made = manifest("fit", unseen_data="here", held_out=False).model_copy(update={"attacks": [FGSM]})
    columns = "part example label clean_prediction adversarial_prediction fooled fooled_by_chance"
    label = made.attacks[0].label
    told = fit.tell(made, frame(columns, *rows))
    assert told.sentences == (f"{label} fools 2 of 2 images that it was not fitted to and that net gets right.",)


def test_a_distance_of_images_does_not_depend_on_their_order() -> None:
    draws = np.random.default_rng(0)
    values = draws.normal(size=(400, 3)) + np.repeat([[0.0], [4.0]], 200, 0)  # two classes, one after the other
    records = frame("example", *[(str(k),) for k in range(400)]).assign(label=0, prediction=0)
    apart = []
    for order in (np.arange(400), draws.permutation(400)):
        mine = records.assign(features=[*draws.permutation(values)], real_features=[*values[order]])
        (row,) = generated.tell(manifest("generated"), mine).rows
        apart.append(row[2].measured.value)  # type: ignore[union-attr]
    assert max(abs(one or math.nan) for one in apart) < 0.1 * abs(kid(values[:200], values[200:]).value or math.nan)


def test_where_nothing_was_changed_no_growth_is_told() -> None:
    rows = [("", 0, "logits", "function", "bound", 2.0, ""), ("a", 0, "logits", "function", "jacobian", 1.5, "")]
    told = stability_told.tell(manifest("stability"), frame("example place layer kind what value said", *rows))
    assert told.sentences[0].startswith("net: a change grows at most 2 times from pixels to logits")
    assert told.sentences[1].startswith("At 1 image a small one grows up to 1.50 times")
