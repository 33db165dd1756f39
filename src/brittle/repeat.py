"""Published experiments repeated: the steps of a recipe, each an ordinary run, and then its ledger and page."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple, final

from brittle import checks
from brittle.api import reported
from brittle.errors import BrittleError, did_you_mean
from brittle.measure.ledger import Ledger
from brittle.pages.files import replace_file
from brittle.recipes.arms import asked_for, at_hand, is_bare
from brittle.recipes.format import SCALES, Asked, Network, Recipe, Scale
from brittle.recipes.ledger import ledger_of
from brittle.recipes.load import Found, check, load_recipe
from brittle.recipes.steps import Step, steps_of
from brittle.records import MANIFEST
from brittle.report.ledger import listed, write_ledger
from brittle.run.executors import Workers
from brittle.run.progress import Bars
from brittle.run.spec import ModelSpec, Spec, parsed, read_spec, toml_of
from brittle.run.study import Watch
from brittle.studies.cached import trained_model
from brittle.studies.train import TrainSpec

RECIPE = "recipe.toml"
LEDGER = "claims.json"
PAGE = "index.html"


def study(
    recipe: str | Path,
    *,
    out: str | Path,
    scale: str | None = None,
    models: Sequence[ModelSpec] = (),
    weights: Mapping[str, str] | None = None,
    data: str | None = None,
    train_data: str | None = None,
    seed: int = 0,
    command: str | None = None,
    workers: Workers = 1,
    watch: Watch | None = None,
    progress: bool = False,
    on_step: Callable[[Step, int, int], None] | None = None,
) -> Ledger:
    """Repeats a published experiment, and holds what it claims against what is measured.

    recipe: the name of one, or a TOML file. scale: "smoke" (seconds, other networks), "cpu" (what two cores do, the
    default) or "paper". models: networks by the names of the recipe's arms, instead of those, or by others on top;
    weights: files for the recipe's own. train_data: what those that have none are trained on first, judged by the
    recipe's data; each is kept in this user's cache and found there again. They stand for what a recipe's own steps are
    to train on, too. Each step is a run directory below ``out``
    and resumes as such. ``out`` gets ``recipe.toml``, which repeats the whole, ``claims.json`` and ``index.html``.
    on_step: is told (step, its number, how many).

    Raises BrittleError before anything is written for what no recipe, network or data is.
    """
    made = prepared(
        recipe, out=out, scale=scale, models=models, weights=weights, data=data, seed=seed, train_data=train_data
    )
    if train_data is not None:
        asked = _trained(made.asked, made.found.recipe.training, train_data, watch, progress)
        made = _with_specs(made.found, asked, made.place)
    found, asked, place = made.found, made.asked, made.place
    content = found.recipe.model_copy(update={"asked": asked}).model_dump(mode="json", exclude_none=True)
    text = toml_of({"name": found.name, **content}, place).encode()
    begun = any((place / step.folder / MANIFEST).exists() for step, _ in made.steps)
    for number, (step, spec) in enumerate(made.steps, 1):
        if on_step is not None:
            on_step(step, number, len(made.steps))
        study = spec.open()
        if not begun:  # else only once the records there are of what is asked now
            place.mkdir(parents=True, exist_ok=True)
            replace_file(place / RECIPE, text)
            begun = True
        reported(study, place / step.folder, command, workers, Bars() if progress else watch)
    replace_file(place / RECIPE, text)
    return _written(found.name, found.recipe, asked, place)


@final
class Prepared(NamedTuple):
    """A recipe as it is going to be run. place: its directory. steps: in order, each with its spec.

    to_train: networks that are trained first, by name; no step has them yet.
    """

    found: Found
    asked: Asked
    place: Path
    steps: list[tuple[Step, Spec]]
    to_train: dict[str, Network]


def prepared(
    recipe: str | Path,
    *,
    out: str | Path | None,
    scale: str | None = None,
    models: Sequence[ModelSpec] = (),
    weights: Mapping[str, str] | None = None,
    data: str | None = None,
    seed: int = 0,
    train_data: str | None = None,
) -> Prepared:
    """What ``study`` would do, after every check that needs no network and no data; writes nothing.

    out: None where only the plan is asked for.
    """
    found = load_recipe(recipe)
    chosen = scale_of(scale or (found.recipe.asked.scale if found.recipe.asked else "cpu"))
    place = Path("DIR").absolute() if out is None else checks.place("out", out).absolute()
    if out is not None:
        _check_place(place, found)
    asked = _asked(found, chosen, models, weights or {}, data, train_data, seed)
    return _with_specs(found, asked, place)


def _with_specs(found: Found, asked: Asked, place: Path) -> Prepared:
    to_train = {name: one for name, one in asked.arms.items() if is_bare(one)}
    ready = {name: one for name, one in asked.arms.items() if name not in to_train}
    steps = steps_of(found.recipe, asked.model_copy(update={"arms": ready}), out=str(place)) if ready else []
    return Prepared(found, asked, place, [(step, step.spec(found.name)) for step in steps], to_train)


def is_study(directory: str | Path) -> bool:
    """Whether a directory is that of a repeated experiment."""
    return (Path(directory) / RECIPE).is_file()


def write_study(directory: str | Path) -> Path:
    """Judges the claims of a study again, from its directory alone, and writes its page; returns the page."""
    place = Path(directory).absolute()
    content, _ = read_spec(place / RECIPE)
    name = str(content.pop("name", place.name))
    recipe: Recipe = parsed(Recipe, content, str(place / RECIPE))
    if recipe.asked is None:
        raise BrittleError(
            f"expected [asked] in {str(place / RECIPE)!r}, which says how the study was run; run it again"
        )
    check(recipe, name)
    _written(name, recipe, recipe.asked, place)
    return place / PAGE


def _asked(
    found: Found,
    scale: Scale,
    models: Sequence[ModelSpec],
    weights: Mapping[str, str],
    data: str | None,
    train_data: str | None,
    seed: int,
) -> Asked:
    before, folder = found.recipe.asked, found.folder
    if before is not None and before.scale == scale and not (models or weights or data or train_data):
        arms = {name: _placed(one, folder) for name, one in before.arms.items()}
        placed = {"data": _found(before.data, folder), "train_data": _found(before.train_data, folder)}
        return before.model_copy(update={"arms": arms, **placed})
    hands = at_hand(found.recipe, scale, models, weights, trains=train_data is not None)
    arms = {name: _placed(one, folder) for name, one in hands.at.items()}
    own = asked_for(found.recipe, scale)
    chosen = {
        "data": data or _found(own.data, folder),
        "train_data": train_data or _found(own.train_data, folder),
        "arms": arms,
        "absent": hands.absent,
        "seed": seed,
    }
    return own.model_copy(update=chosen)


def _trained(asked: Asked, recipe: str, data: str, watch: Watch | None, progress: bool) -> Asked:
    """With a trained network in the place of each that has no weights."""
    arms = dict(asked.arms)
    for name, network in arms.items():
        if is_bare(network):
            spec = TrainSpec(
                architectures=[network.model], data=data, test_data=asked.data, recipe=recipe, seeds=[asked.seed]
            )
            bars = Bars() if progress else None
            with bars or nullcontext():
                arms[name] = network.model_copy(update={"model": f"run:{trained_model(spec, watch=bars or watch)}"})
    return asked.model_copy(update={"arms": arms})


def _placed(network: Network, folder: Path | None) -> Network:
    """A network whose weights may be named from the recipe's folder."""
    if network.weights is None:
        return network
    return network.model_copy(update={"weights": Path(_found(str(network.weights), folder))})


def _found(name: str, folder: Path | None) -> str:
    """A path from the folder where there is such a file; otherwise the name as it is."""
    return str((folder / name).resolve()) if folder is not None and name and (folder / name).exists() else name


def _written(name: str, recipe: Recipe, asked: Asked, place: Path) -> Ledger:
    ledger = ledger_of(name, recipe, asked, place)
    replace_file(place / LEDGER, (ledger.model_dump_json(indent=2) + "\n").encode())
    write_ledger(place / PAGE, ledger)
    return ledger


def scale_of(text: str) -> Scale:
    """A scale by name; BrittleError for any other."""
    for scale in SCALES:
        if text == scale:
            return scale
    raise BrittleError(f"expected scale as {', '.join(SCALES)}, got {text!r}{did_you_mean(text, SCALES)}")


def _check_place(place: Path, found: Found) -> None:
    """Refuses a directory of anything else."""
    if place.exists() and not place.is_dir():
        raise BrittleError(f"expected a directory for --out, got the file {str(place)!r}")
    if is_study(place):
        other = read_spec(place / RECIPE)[0].get("title")
        if other != found.recipe.title:
            raise BrittleError(f"{str(place)!r} holds another study ({other!r}); choose another --out directory")
    elif place.is_dir() and os.listdir(place):
        raise BrittleError(f"{str(place)!r} is not empty, and holds no study; choose another --out directory")


def pack(directories: Sequence[str | Path], out: str | Path) -> Path:
    """Small pages and the JSON of some studies, to be kept beside code; returns the folder's README.md, their list.

    Each is called as its directory, its data by the last two parts of their path, and networks trained elsewhere by the
    last one: the rest is this machine's. BrittleError before anything is written for what holds no study, and names
    that repeat.
    """
    places = [checks.place("a study", one).absolute() for one in directories]
    for place in places:
        if not (place / LEDGER).is_file():
            raise BrittleError(f"expected the directory of a study that has been run, got {str(place)!r}")
        if [one.name for one in places].count(place.name) > 1:
            raise BrittleError(f"expected studies in directories of different names, got {place.name!r} twice")
    folder = checks.place("out", out)
    folder.mkdir(parents=True, exist_ok=True)
    for place in places:
        ledger = _without_places((place / LEDGER).read_text(encoding="utf-8"))
        write_ledger(folder / f"{place.name}.html", ledger, place)
        replace_file(folder / f"{place.name}.json", (ledger.model_dump_json(exclude_none=True) + "\n").encode())
    kept = {path.stem: Ledger.model_validate_json(path.read_bytes()) for path in sorted(folder.glob("*.json"))}
    replace_file(folder / "README.md", listed(kept).encode())
    return folder / "README.md"


def _without_places(text: str) -> Ledger:
    """A ledger's JSON, read without what only this machine knows; verdicts name networks, too."""
    ledger = Ledger.model_validate_json(text)
    for arm in ledger.arms:
        kind, _, path = arm.model.partition(":")
        if kind == "run" and Path(path).is_absolute():
            text = text.replace(json.dumps(arm.model)[1:-1], f"run:{Path(path).name}")
    ledger = Ledger.model_validate_json(text)
    if Path(ledger.data).is_absolute():
        return ledger.model_copy(update={"data": "/".join(Path(ledger.data).parts[-2:])})
    return ledger
