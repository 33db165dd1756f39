"""An audit as an explorer: its networks, some of its images, and what it has found of them."""

from pathlib import Path
from typing import Any

import pandas as pd

from brittle.errors import BrittleError
from brittle.records import UNTARGETED, AttackSpec, Manifest, View, damaged_images, pixels_of, stored_images
from brittle.run.spec import read_spec, standing_in
from brittle.studies import spec_of
from brittle.studies.opening import opened_models
from brittle.web.page import Exhibit, Known, explorer_page

IMAGES = 100
"""Of a run's, at most; they come in an order in which the first are a fair sample."""
_OPTIONS = {
    "fgsm": ("norm", "eps"),
    "pgd": ("norm", "eps", "steps", "step_size", "random_start"),
    "deepfool": ("norm", "overshoot", "max_steps", "candidates"),
    "few-pixel": ("eps", "population", "generations", "scale", "levels"),
}
_ONLY: dict[str, dict[str, Any]] = {  # of the other options the page knows this value alone
    "fgsm": {"box": True, "loss": "log-odds"},
    "pgd": {"momentum": 0.0},
    "deepfool": {"box": True, "clip": False},
    "few-pixel": {"stop_below": None, "stop_above": None},
}
_NORMS = ("l0", "l2", "linf")
_BLOCK = 16  # numbers that are drawn together; fewer are drawn otherwise


def web(directory: Path, manifest: Manifest, records: pd.DataFrame) -> bytes:
    """The explorer of an audit, one HTML file; see ``explorer_page``.

    The networks are loaded as the run's ``spec.toml`` says, and must be those of the run. BrittleError for other
    studies, for a run without stored images, and for one of objects in Python, of which no spec says what they are.
    """
    if manifest.study != "audit":
        raise BrittleError(
            f"expected an audit, got {str(directory)!r}, a {manifest.study} run; only audits have this page"
        )
    if manifest.images == "none":
        raise BrittleError(f"expected a run with its images, got {str(directory)!r}, which keeps none")
    if not (directory / "spec.toml").is_file():
        raise BrittleError(
            f"expected a run that names its networks, got {str(directory)!r}, made from Python; write its page with"
            " brittle.web.page.explorer_page"
        )
    content, folder = read_spec(directory / "spec.toml")
    spec = spec_of(content, str(directory / "spec.toml"))
    with standing_in(folder):
        classifiers = opened_models(spec.models, "cpu", seed=manifest.seed)
    exhibits = []
    for model in manifest.models:
        classifier = classifiers.get(model.name)
        if classifier is None or classifier.fingerprint != model.fingerprint:
            raise BrittleError(f"expected the {model.name} of the run, got another network: its weights have changed")
        view = next(one for one in manifest.views() if one.record is model)
        exhibits.append(_exhibit(directory, view, records[records["model"] == model.name], classifier))
    return explorer_page(exhibits, manifest.data, seed=manifest.seed).encode("utf-8")


def _exhibit(directory: Path, view: View, records: pd.DataFrame, classifier: Any) -> Exhibit:
    rows = records.drop_duplicates("position").set_index("position").sort_index().head(IMAGES)
    slug = view.slug(view.attacks[0])
    if damaged := damaged_images(directory, view.manifest, {(slug, int(position)) for position in rows.index}):
        raise BrittleError(f"{damaged[0]} is missing or not as written; the same audit again makes it anew")
    images, places = stored_images(directory, view.originals, view, list(rows.index))
    rows = rows.loc[places]
    # What ends on 8 bits is another attack, and other goals have targets.
    plain = view.manifest.levels is None and view.goal == UNTARGETED
    found = [_known(spec, view.of(records), places) for spec in view.attacks if plain and is_known(spec)]
    return Exhibit(
        name=view.model,
        classifier=classifier,
        images=pixels_of(images),
        labels=_labels(rows),
        ids=rows["example"].tolist(),
        class_names=view.class_names,
        known=[one for one in found if one is not None],
    )


def is_known(spec: AttackSpec) -> bool:
    """Whether the page has the attack, with these options."""
    if spec.name not in _OPTIONS or spec.norm not in _NORMS:
        return False
    drawn = spec.config.get("population", _BLOCK) * spec.config.get("eps", 1)
    return all(spec.config.get(name) == value for name, value in _ONLY[spec.name].items()) and (
        spec.name != "few-pixel" or drawn >= _BLOCK
    )


def _known(spec: AttackSpec, records: pd.DataFrame, places: list[int]) -> Known | None:
    mine = records[records["attack"] == spec.label].set_index("position")
    if not set(places) <= set(mine.index):  # not finished
        return None
    mine = mine.loc[places]
    options = {name: spec.norm if name == "norm" else spec.config[name] for name in _OPTIONS[spec.name]}
    return Known(
        label=spec.label,
        attack=spec.name,
        options=options,
        fooled=mine["fooled"].tolist(),
        size=mine[spec.norm].astype(float).tolist(),
        steps=mine["steps"].tolist(),
    )


def _labels(rows: pd.DataFrame) -> Any:
    import torch

    return torch.tensor(rows["label"].tolist(), dtype=torch.int64)
