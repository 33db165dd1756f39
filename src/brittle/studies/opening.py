"""From the names in a spec to classifiers and examples."""

from collections.abc import Sequence
from pathlib import Path

import torch

from brittle.data import Examples, load_data
from brittle.data.limit import ALL
from brittle.defend import AnyDefence, defences_from, defended, images_wanted, label_of_all
from brittle.errors import BrittleError
from brittle.models import Classifier, load_model
from brittle.run.sources import Sources
from brittle.run.spec import ModelSpec
from brittle.types import Precision


def opened_models(
    models: Sequence[ModelSpec],
    device: str,
    batch_size: int | None = None,
    seed: int = 0,
    precision: Precision | None = None,
) -> dict[str, Classifier]:
    """Each model by the name that records call it; BrittleError for none, for names that repeat, and unusable ones.

    One with defences stands behind them; where these are a sweep, once for each. seed: of what defences draw. What is
    fitted on clean images reads its model's ``defence_data``.
    """
    behind = [(one, each) for one in models for each in defences_from(one.defences) or [()]]
    names = [name_of(one, each) for one, each in behind]
    if not names:
        raise BrittleError("expected at least one model, got none")
    for name in names:
        if names.count(name) > 1:
            raise BrittleError(f"expected different models, got {name!r} {names.count(name)} times; give them names")
    place = device_of(device)
    loaded: dict[str, Classifier] = {}
    made = {}
    for name, (one, each) in zip(names, behind, strict=True):
        key = bare(one).model_dump_json()
        if key not in loaded:
            loaded[key] = _loaded(one, place, batch_size, precision)
        bare_one = loaded[key]
        made[name] = defended(bare_one, *each, seed=seed, clean=clean_for(one, each, bare_one)) if each else bare_one
    return made


def clean_for(model: ModelSpec, defences: Sequence[AnyDefence], classifier: Classifier) -> Examples | None:
    """The clean images that some of these defences are fitted on; None where none is, or nobody has named any."""
    wanted = images_wanted(defences)
    if not wanted or model.defence_data is None:
        return None
    return load_data(model.defence_data, limit=wanted, fit=classifier.fit)


def the_only(models: dict[str, Classifier]) -> tuple[str, Classifier]:
    """Its name and itself; BrittleError where a sweep of defences has made several."""
    if len(models) != 1:
        raise BrittleError(f"expected one model here, not a sweep of its defences; got {', '.join(models)}")
    return next(iter(models.items()))


def name_of(model: ModelSpec, defences: Sequence[AnyDefence]) -> str:
    """What records call a model behind defences: ``"resnet20 + jpeg + bit-depth(bits=3)"``."""
    name = model.name or model.model
    return f"{name} + {label_of_all(defences)}" if defences else name


def bare(model: ModelSpec) -> ModelSpec:
    """The same without its defences, and without what only says how it is called."""
    return model.model_copy(update={"defences": [], "defence_data": None, "name": None, "trained_on": None})


def _loaded(model: ModelSpec, device: str, batch_size: int | None, precision: Precision | None) -> Classifier:
    return load_model(
        model.model,
        weights=None if model.weights is None else Path(model.weights),
        mean=model.mean,
        std=model.std,
        device=device,
        batch_size=batch_size,
        precision=precision,
        reject=model.reject,
    )


def opened_sources(
    models: Sequence[ModelSpec],
    data: str,
    limit: int | None,
    device: str,
    batch_size: int | None,
    seed: int = 0,
    precision: Precision | None = None,
) -> Sources:
    """Models with the data as each of them wants it, in an order in which a higher limit only adds some."""
    loaded = opened_models(models, device, batch_size, seed, precision)
    for one in (one for one in models if one.defence_data == data):
        for each in defences_from(one.defences):
            if images_wanted(each) and loaded[name_of(one, each)].reject is not None:
                raise BrittleError(
                    f"expected --defence-data of other images than those of --data for {label_of_all(each)}, which"
                    f" would know what it is asked again; got {data} for both"
                )
    return Sources.made_of(
        loaded,
        {name: load_data(data, limit=ALL if limit is None else limit, fit=one.fit) for name, one in loaded.items()},
    )


def device_of(name: str) -> str:
    """The device itself: auto is a GPU where there is one."""
    if name not in ("auto", "cpu", "cuda"):
        raise BrittleError(f"expected --device auto, cpu or cuda, got {name!r}")
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name
