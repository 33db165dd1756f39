"""From the names in a spec to classifiers and examples."""

from collections.abc import Sequence
from pathlib import Path

import torch

from brittle.data import load_data
from brittle.data.limit import ALL
from brittle.errors import BrittleError
from brittle.models import Classifier, load_model
from brittle.run.sources import Sources
from brittle.run.spec import ModelSpec


def opened_models(models: Sequence[ModelSpec], device: str, batch_size: int | None = None) -> dict[str, Classifier]:
    """Each model by the name that records call it; BrittleError for none, for names that repeat, and unusable ones."""
    names = [one.name or one.model for one in models]
    if not names:
        raise BrittleError("expected at least one model, got none")
    for name in names:
        if names.count(name) > 1:
            raise BrittleError(f"expected different models, got {name!r} {names.count(name)} times; give them names")
    place = device_of(device)
    return {
        name: load_model(
            one.model,
            weights=None if one.weights is None else Path(one.weights),
            mean=one.mean,
            std=one.std,
            device=place,
            batch_size=batch_size,
            reject=one.reject,
        )
        for name, one in zip(names, models, strict=True)
    }


def opened_sources(
    models: Sequence[ModelSpec], data: str, limit: int | None, device: str, batch_size: int | None
) -> Sources:
    """Models with the data as each of them wants it, in an order in which a higher limit only adds some."""
    loaded = opened_models(models, device, batch_size)
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
