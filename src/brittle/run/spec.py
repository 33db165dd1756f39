"""Specs: a run as a TOML file. A command line only makes one, and the manifest holds it."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from brittle.errors import BrittleError, did_you_mean

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = "folder"
"""The key of the folder that relative paths start from, itself relative to the file; by default the file's own."""


class Keys(BaseModel):
    """A table of a TOML file; a key that is not known is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Spec(Keys):
    """What a run of one kind of study is asked to do."""

    study: str

    @property
    def announced(self) -> bool:
        """Whether a run begins by saying what it does and how long that takes, as nobody has named its parts."""
        return False

    def open(self) -> Any:
        """The study, with all that it names loaded."""
        raise NotImplementedError

    def toml(self) -> dict[str, Any]:
        """What a TOML file says; values that are the defaults are left out, but for the study."""
        return {"study": self.study, **self.model_dump(mode="json", exclude_defaults=True, exclude_none=True)}


class ModelSpec(Keys):
    """A classifier by name: what ``--model`` and the options beside it say.

    name: what records call it; default: the spec. mean, std: instead of those published with the network.
    reject: name or index of the class that means: no answer. trained_on: what its training images are called.
    defences: what stands before it, in this order. defence_data: clean images that some of these are fitted on, other
    than those that are attacked.
    """

    model: str
    name: str | None = None
    weights: Path | None = None
    mean: list[float] | None = None
    std: list[float] | None = None
    reject: str | None = None
    trained_on: str | None = None
    defences: list[str] = Field(default=[])
    defence_data: str | None = None


def read_spec(path: Path) -> tuple[dict[str, Any], Path]:
    """What a spec file says, and where its relative paths start; BrittleError where it cannot be read."""
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        raise BrittleError(f"cannot read {str(path)!r}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BrittleError(f"expected a TOML file, got {str(path)!r}: {error}") from None
    folder = content.pop(FOLDER, ".")
    if not isinstance(folder, str) or not (path.parent / folder).is_dir():
        raise BrittleError(f"expected {FOLDER} of {str(path)!r} as that of its relative paths, got {folder!r}")
    return content, path.parent / folder


@contextmanager
def standing_in(folder: Path) -> Iterator[None]:
    """Inside, relative paths start from a folder, as those of its spec do, and modules are found there."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def parsed(kind: type[BaseModel], content: Mapping[str, Any], where: str) -> Any:
    """The spec of this kind that a file's content is; a BrittleError in one line, with the nearest key."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise BrittleError(f"{where}: {_reason(kind, error)}") from None


def toml_of(content: Mapping[str, Any], directory: Path) -> str:
    """The text of a spec file in a directory, whose relative paths start from where this process stands now."""
    try:
        folder = os.path.relpath(Path.cwd(), directory)
    except ValueError:  # on another drive
        folder = str(Path.cwd())
    return tomli_w.dumps({FOLDER: folder, **content})


def _table_at(kind: type[BaseModel], place: Sequence[str | int]) -> type[BaseModel]:
    """The kind of the table at a place within one."""
    hint: Any = kind
    for key in place:
        if isinstance(hint, type) and issubclass(hint, BaseModel):
            hint = hint.model_fields[str(key)].annotation
        else:  # a list, or a dictionary
            hint = get_args(hint)[-1]
        if get_origin(hint) in (Union, UnionType):
            hint = next(part for part in get_args(hint) if part is not type(None))
    return hint if isinstance(hint, type) and issubclass(hint, BaseModel) else kind


def _reason(kind: type[BaseModel], error: ValidationError) -> str:
    first = error.errors()[0]
    *above, key = list(first["loc"]) or [""]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _table_at(kind, above).model_fields
        return f"unknown key {place!r}{did_you_mean(str(key), known)}"
    if first["type"] == "missing":
        return f"expected a value for {place!r}, got none"
    message = first["msg"].removeprefix("Value error, ")
    return f"{place}: {message}, got {first['input']!r:.80}"
