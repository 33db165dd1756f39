"""What crafting leaves to look at: a page where there are several results, made from the run directory alone."""

import json
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from brittle.crafting.crafted import Crafted, original_of
from brittle.crafting.page import comparison_page, matrix_page
from brittle.errors import BrittleError
from brittle.pages.files import replace_file
from brittle.places import content_of
from brittle.records import AttackSpec, Manifest, read_manifest, read_records
from brittle.visibility.measures import Visibility

_SHARED = ("brittle", "torch", "model", "model_fingerprint", "confidence_wanted", "seed", "command")


def read_crafted(directory: str | Path) -> list[Crafted]:
    """The results of a run, photograph by photograph, and way by way; BrittleError where a picture is not there."""
    place = Path(directory)
    manifest = read_manifest(place)
    if manifest.study != "craft":
        raise BrittleError(f"expected a craft run, got {str(directory)!r}, a {manifest.study} run")
    return _crafted(place, _ordered(place, manifest))


def crafted_of(directory: Path, row: "pd.Series[Any]") -> Crafted:
    """One record with its pictures."""
    folder = directory / row["folder"] if row["folder"] else directory
    target = None if pd.isna(row["target"]) else int(row["target"])
    before, after = (
        tuple((one["class"], float(one["probability"])) for one in row[name]) for name in ("before", "after")
    )
    return Crafted(
        photo=row["photograph"],
        original=_pixels(directory / original_of(int(row["position"]))),
        perturbed=_pixels(folder / "perturbed.png"),
        wish=row["goal"],
        target=target,
        target_name=None if target is None else row["target_name"],
        before=before,
        after=after,
        label_before=int(row["label"]),
        confidence=float(row["confidence"]),
        claimed=bool(row["claimed"]),
        fooled=bool(row["fooled"]),
        reached=bool(row["reached"]),
        wanted=float(row["wanted"]),
        visibility=Visibility(**{name: float(row[name]) for name in Visibility._fields}),
        attack=row["attack"],
        steps=int(row["steps"]),
        passes=int(row["forwards"]),
        backwards=int(row["backwards"]),
        seconds=float(row["seconds"]),
        flags=tuple(row["flags"]),
        folder=row["folder"],
    )


def write_crafted(directory: Path) -> Path:
    """index.html and craft.json of several results; of one there are its pictures only. Gives what to look at."""
    manifest = read_manifest(directory)
    records = _ordered(directory, manifest)
    crafted = _crafted(directory, records)
    if not any(records["folder"]):
        return directory
    if len(manifest.attacks) > 1:
        parts = {spec.label: parts_of(spec) for spec in manifest.attacks}
        page = comparison_page([(*parts[one.attack], one) for one in crafted])
    else:
        page = matrix_page(crafted)
    try:
        replace_file(
            directory / "craft.json", _numbers(directory, manifest, records["folder"]).encode("utf-8", "surrogatepass")
        )
        replace_file(directory / "index.html", page.encode("utf-8"))
    except OSError as error:
        raise BrittleError(f"cannot write to {str(directory)!r}: {error.strerror}") from None
    return directory / "index.html"


def parts_of(spec: AttackSpec) -> tuple[str, str, str]:
    """Space, penalty and optimiser, as a comparison has them; of what has no such choice, what it does instead."""
    config = spec.config
    space = str(config.get("space", "pixels"))
    penalty = str(config.get("penalty", "colour" if "space" in config else "none"))
    optimiser = str(config.get("optimiser", spec.label))
    preset = spec.label.partition("(")[0] != spec.name
    return space, penalty, f"{optimiser} ({spec.label})" if preset else optimiser.split(",")[0]


def _numbers(directory: Path, manifest: Manifest, folders: Iterable[str]) -> str:
    """All results as one JSON text, from what each of their own files says."""
    each = [
        json.loads((directory / folder / "craft.json").read_text(encoding="utf-8", errors="surrogatepass"))
        for folder in folders
    ]
    shared = {key: each[0][key] for key in _SHARED} if each else {}
    ways = {spec.label: {"name": spec.name, **spec.config} for spec in manifest.attacks}
    own = [{key: value for key, value in one.items() if key not in (*_SHARED, "attack")} for one in each]
    return json.dumps(shared | {"attacks": ways, "crafted": own}, indent=2, ensure_ascii=False) + "\n"


def _ordered(directory: Path, manifest: Manifest) -> pd.DataFrame:
    """The records in the order in which results are told."""
    ways = {spec.label: number for number, spec in enumerate(manifest.attacks)}
    records = read_records(directory, manifest)
    records = records.assign(way=records["attack"].map(ways), free=records["target"].isna())
    ordered: pd.DataFrame = records.sort_values(["position", "way", "free", "wish"], kind="stable")
    return ordered


def _crafted(directory: Path, records: pd.DataFrame) -> list[Crafted]:
    return [crafted_of(directory, row) for _, row in records.iterrows()]


def _pixels(path: Path) -> Tensor:
    """uint8 ``[3, H, W]``."""
    try:
        with Image.open(BytesIO(content_of(path))) as image:
            array = np.atleast_3d(np.array(image)).transpose(2, 0, 1).copy()
    except OSError as error:
        raise BrittleError(f"cannot read {str(path)!r} ({error}); the same command makes it again") from None
    return torch.from_numpy(array).expand(3, -1, -1)
