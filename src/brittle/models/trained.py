"""``run:DIR``: a network that ``brittle train`` has left in a run directory, as a model like any other.

Layout, below the run directory::

    models/<key>.safetensors   the weights; their metadata say what makes a classifier of them
    models/<key>.json          the card

Which keys there are to be, the settings of its manifest.json say.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from brittle.errors import BrittleError, did_you_mean
from brittle.models.card import Card, Makings, weights_digest
from brittle.models.network import Network
from brittle.models.trainable import trainable
from brittle.models.weights import load_state, read_state

FOLDER = "models"
_MAKINGS = "brittle"


def files_of(key: str, state: Mapping[str, Tensor], card: Card) -> dict[str, bytes]:
    """The two files of a trained network, by their path below the run directory; the card comes last."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    return {
        f"{FOLDER}/{key}.safetensors": save(tensors, {_MAKINGS: card.makings.model_dump_json()}),
        f"{FOLDER}/{key}.json": (card.model_dump_json(indent=2) + "\n").encode(),
    }


def load_run(text: str, path: Path | None) -> Network:
    """The network of ``DIR``, or of ``DIR#KEY`` where it has several; BrittleError where it is not whole."""
    if path is not None:
        raise BrittleError(f"a run directory holds its weights: expected no --weights, got {path}")
    folder, _, key = text.partition("#")
    directory = Path(folder).expanduser()
    weights = directory / FOLDER / f"{_chosen(directory, key)}.safetensors"
    card = read_card(weights.with_suffix(".json"))
    makings, state = _makings(weights), read_state(weights)
    if makings != card.makings or weights_digest(state) != card.weights:
        raise BrittleError(f"{weights} is not what its card was written for, or is damaged; copy or train it again")
    architecture = trainable(makings.architecture)
    net = architecture.build(len(makings.class_names))
    load_state(net, state, weights)
    return Network(
        net,
        mean=makings.mean,
        std=makings.std,
        class_names=makings.class_names,
        name=weights.stem,
        fit=architecture.fit,  # as what it was trained on was read
    )


def trained_on(spec: str) -> str | None:
    """What the training images of ``run:DIR`` are called: the same name, the same images. None of other models."""
    card = card_of(spec)
    return None if card is None else f"{card.on} ({card.images:,} images, {card.data_fingerprint[:8]})"


def card_of(spec: str) -> Card | None:
    """The card of ``run:DIR``; None of other models."""
    kind, _, text = spec.partition(":")
    if kind != "run":
        return None
    folder, _, key = text.partition("#")
    directory = Path(folder).expanduser()
    return read_card(directory / FOLDER / f"{_chosen(directory, key)}.json")


def read_card(path: Path) -> Card:
    """A card; BrittleError for what is none."""
    try:
        return Card.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise BrittleError(f"{path} is not the card of a network: {_line(error)}; copy or train it again") from None


def _chosen(directory: Path, key: str) -> str:
    """The key of the network that is meant, which is there."""
    keys = _keys(directory)
    if key and key not in keys:
        raise BrittleError(f"the run in {str(directory)!r} has no network {key!r}{did_you_mean(key, keys)}")
    there = [one for one in keys if (directory / FOLDER / f"{one}.json").exists()]
    if (key and key not in there) or len(there) < (0 if key else len(keys)):
        which = key or f"{len(keys) - len(there)} of {len(keys)}"
        raise BrittleError(
            f"the run in {str(directory)!r} is half-trained ({which} not finished); the command that began it resumes"
        )
    if not key and len(keys) > 1:
        raise BrittleError(
            f"the run in {str(directory)!r} has {len(keys)} networks; name one: run:{directory}#{keys[0]}, of"
            f" {', '.join(keys)}"
        )
    return key or keys[0]


def _keys(directory: Path) -> list[str]:
    """The networks that a run is to have."""
    manifest = directory / "manifest.json"
    if not manifest.is_file():
        raise BrittleError(f"expected run:DIR as the directory of a brittle train run, got {str(directory)!r}")
    try:
        content: Any = json.loads(manifest.read_text(encoding="utf-8"))
        keys = [str(key) for key in content["settings"]["networks"]] if content["study"] == "train" else []
    except (ValueError, KeyError, TypeError):
        keys = []
    if not keys:
        raise BrittleError(f"expected a run of brittle train in {str(directory)!r}, got one of another study")
    return keys


def _makings(weights: Path) -> Makings:
    try:
        with safe_open(weights, "pt") as file:
            return Makings.model_validate_json((file.metadata() or {}).get(_MAKINGS, ""))
    except (SafetensorError, OSError, ValidationError) as error:
        raise BrittleError(
            f"{weights} is not a network of brittle train: {_line(error)}; copy or train it again"
        ) from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
