"""Data by name: what ``--data`` takes."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, final

from brittle.checks import text
from brittle.data.decode import EXTENSIONS
from brittle.data.digits import load_digits_test
from brittle.data.examples import Examples
from brittle.data.few import FEW, first_classes, parts_of
from brittle.data.fit import Fit
from brittle.data.folder import load_folder
from brittle.data.limit import chosen
from brittle.data.plants.plant import PREFIX, plant_of, planted
from brittle.data.signs import load_signs_test
from brittle.errors import BrittleError


class Load(Protocol):
    """Opens a spec that its source has recognised."""

    def __call__(self, spec: str, *, limit: int | None, fit: Fit | None) -> Examples:
        """Examples, or BrittleError."""


@final
@dataclass(frozen=True, slots=True)
class DataSource:
    """One way to name data: ``form`` is what a user writes, ``summary`` one line on what it gives."""

    name: str
    form: str
    summary: str
    recognises: Callable[[str], bool]
    load: Load


# The datasets library takes half a second to import, and each worker would wait for it.


def _load_hub(spec: str, *, limit: int | None, fit: Fit | None) -> Examples:
    from brittle.data.hub import load_hub

    return load_hub(spec, limit=limit, fit=fit)


def _load_parquet(spec: str, *, limit: int | None, fit: Fit | None) -> Examples:
    from brittle.data.parquet import load_parquet

    return load_parquet(spec, limit=limit, fit=fit)


def _load_few(spec: str, *, limit: int | None, fit: Fit | None) -> Examples:
    count, rest = parts_of(spec)
    return first_classes(load_data(rest, fit=fit), count, limit)


def _load_planted(spec: str, *, limit: int | None, fit: Fit | None) -> Examples:
    plant, data = plant_of(spec)
    return planted(load_data(data, limit=limit, fit=plant.taken(fit)), plant, fit)


DATA_SOURCES: tuple[DataSource, ...] = (
    DataSource(
        "digits",
        "digits",
        "scikit-learn's 8 x 8 handwritten digits: the 500 that digits-cnn was not trained on; no download",
        lambda spec: spec == "digits",
        load_digits_test,
    ),
    DataSource(
        "signs",
        "signs",
        "16 traffic signs in colour, 64 x 64, drawn here: the 480 that signs-cnn was not trained on; no download",
        lambda spec: spec == "signs",
        load_signs_test,
    ),
    DataSource(
        "planted",
        f"{PREFIX}PLANT:DATA",
        "any of these with what tells their class put into them: line[,label=...], colours[,flip=...]",
        lambda spec: spec.startswith(PREFIX),
        _load_planted,
    ),
    DataSource(
        "hub",
        "hf:REPO[:SPLIT]",
        "a data set of the Hugging Face hub, downloaded once; split test, else validation, else train",
        lambda spec: spec.startswith("hf:"),
        _load_hub,
    ),
    DataSource(
        "few",
        "few:N:SPEC",
        "the first N classes of other data, as few:2:digits",
        lambda spec: spec.startswith(FEW),
        _load_few,
    ),
    DataSource(
        "folder",
        "FOLDER",
        "images in one sub-folder per class, or loose images (the network's own prediction is then the label)",
        lambda spec: bool(spec) and Path(spec).expanduser().is_dir(),
        load_folder,
    ),
    DataSource(
        "parquet",
        "FILE.parquet",
        "a Parquet file in the Hugging Face image layout: an image column and an integer label column",
        lambda spec: spec.endswith(".parquet") and Path(spec).expanduser().exists(),
        _load_parquet,
    ),
)
"""Every source, in the order in which they are asked whether a spec is theirs."""


def load_data(spec: str | Path, *, limit: int | None = None, fit: Fit | None = None) -> Examples:
    """Examples by name: ``digits``, ``signs``, ``hf:REPO[:SPLIT]``, a folder of images or a ``.parquet`` file;
    ``planted:PLANT:DATA`` for any of these with a plant.

    limit: at least 1; that many examples, spread over the source, those of a lower limit first. Their ids do not
    depend on it. None takes all, in the source's order.
    fit: size and colours that the network wants; None keeps the images' own size, which all must share.
    A folder called ``digits`` is ``./digits``. Raises BrittleError for a spec that names nothing, and for data that
    cannot be used.
    """
    spec = text("data", str(spec) if isinstance(spec, Path) else spec, "digits")
    chosen(0, limit)  # a bad limit is said before anything is opened or downloaded
    try:
        source = next((source for source in DATA_SOURCES if source.recognises(spec)), None)
    except (OSError, ValueError, RuntimeError) as error:  # names that no file can have, folders that may not be entered
        raise BrittleError(f"cannot open data {_short(spec)}: {getattr(error, 'strerror', None) or error}") from None
    if source is None:
        raise BrittleError(_unknown(spec))
    return source.load(spec, limit=limit, fit=fit)


def _unknown(spec: str) -> str:
    path = Path(spec).expanduser()
    forms = ", ".join(source.form for source in DATA_SOURCES)
    if spec and path.exists():
        hint = f"; give the folder {str(path.parent)!r}" if path.suffix.lower() in EXTENSIONS else ""
        return f"expected data as {forms}, got the file {spec!r}{hint}"
    what = "no file or folder is called" if path.suffix or "/" in spec else "unknown data"
    return f"{what} {_short(spec)}{_near(path, spec) or f'; expected {forms}'}"


def _short(spec: str) -> str:
    return repr(spec if len(spec) <= 200 else f"{spec[:200]}...")


def _near(path: Path, spec: str) -> str:
    """The name that was probably meant: a known word, or a folder or Parquet file beside the missing one."""
    names = {source.name: source.name for source in DATA_SOURCES if source.name == source.form}
    if path.parent.is_dir():
        beside = (entry for entry in path.parent.iterdir() if entry.is_dir() or entry.suffix == ".parquet")
        names |= {entry.name: str(entry) for entry in beside}
    near = difflib.get_close_matches(path.name or spec, names, n=1, cutoff=0.6)
    return f"; did you mean {names[near[0]]!r}?" if near else ""
