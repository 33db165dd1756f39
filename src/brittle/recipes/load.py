"""Recipes by name or by file, and every mistake in one that can be seen without running it."""

from collections.abc import Collection, Iterator
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple, final

from brittle.catalog import attacks_from, label_of
from brittle.catalog.grammar import split
from brittle.defend import defences_from
from brittle.errors import BrittleError, did_you_mean
from brittle.measure.claims import FACTORS
from brittle.measure.convention import NAMES
from brittle.measure.defended import ALONE, INSIDE, SIDES, is_within
from brittle.measure.definitions import MEASURES
from brittle.measure.expressions import names_in
from brittle.measure.quantities import BY_IMAGE
from brittle.measure.transfer import ERRORS, UNDONE
from brittle.models.zoo import check_model
from brittle.recipes.claims import target_of
from brittle.recipes.facts import REGISTRY, check_fact
from brittle.recipes.format import SCALES, Arm, Asked, Network, Plot, Recipe, Said, Table
from brittle.recipes.steps import steps_of
from brittle.recipes.templates import at_scale, filled, names_of
from brittle.run.spec import parsed, read_spec

SUFFIX = ".toml"


@final
class Found(NamedTuple):
    """A recipe that was read. folder: where its relative paths start; None of one that comes with brittle."""

    name: str
    recipe: Recipe
    folder: Path | None


def names() -> list[str]:
    """The recipes that come with brittle."""
    return sorted(path.name.removesuffix(SUFFIX) for path in _own().iterdir() if path.name.endswith(SUFFIX))


def load_recipe(name: str | Path) -> Found:
    """A recipe by its name, or from a TOML file; BrittleError in one line for what is none."""
    text = str(name)
    if text.endswith(SUFFIX):
        content, folder = read_spec(Path(text))
        recipe: Recipe = parsed(Recipe, content, text)
        check(recipe, text)
        return Found(recipe.name or Path(text).stem, recipe, folder)
    if text not in names():
        raise BrittleError(f"unknown recipe {text!r}{did_you_mean(text, names())}; a file ends in {SUFFIX}")
    content, _ = read_spec(Path(str(_own() / f"{text}{SUFFIX}")))
    own: Recipe = parsed(Recipe, content, text)
    check(own, text)
    return Found(text, own, None)


def check(recipe: Recipe, where: str) -> None:
    """Refuses names of steps, networks, attacks, measures and units that there are not."""
    for name, arm in recipe.arms.items():
        for network in (arm.smoke, arm.cpu, arm.paper):
            if network is not None:
                _check_network(network, f"{where}: arm {name!r}")
        _check_of(arm, recipe, f"{where}: arm {name!r}")
    for table in recipe.tables:
        _check_table(table, where)
    ids = [*(table.id for table in recipe.tables), *(claim.id for claim in recipe.claims)]
    for one in ids:
        if ids.count(one) > 1:
            raise BrittleError(f"{where}: expected an id of its own for each table and claim, got {one!r} twice")
    for claim in recipe.claims:
        _check_claim(claim, recipe, where)
    labels = _labels(recipe)
    for plot in recipe.plots:
        _check_plot(plot, where, labels)
    for beside in recipe.besides:
        for head, unit in beside.units.items():
            if head not in beside.columns or unit not in FACTORS:
                raise BrittleError(
                    f"{where}: numbers {beside.title!r}: expected units of its columns, each one of {list(FACTORS)},"
                    f" got {head} = {unit!r}"
                )
    for place, text in _texts(recipe):
        for name in names_in(text):
            _check_name(name, recipe, labels, f"{where}: {place}")


def _own() -> Path:
    return Path(str(files("brittle.recipes")))


def _check_network(network: Network, at: str) -> None:
    try:
        check_model(network.model)
    except BrittleError as error:
        raise BrittleError(f"{at}: {error}") from None


def _check_of(arm: Arm, recipe: Recipe, at: str) -> None:
    """Refuses an arm of another that there is not, that is itself of another, or with a network of its own."""
    if (arm.of is None) != (not arm.defences):
        raise BrittleError(f"{at}: expected of, another arm, and defences, or neither")
    if arm.of is None:
        return
    if arm.of not in recipe.arms:
        raise BrittleError(f"{at}: no arm is called {arm.of!r}{did_you_mean(arm.of, recipe.arms)}")
    if recipe.arms[arm.of].of is not None:
        raise BrittleError(f"{at}: expected of as an arm with networks of its own, got {arm.of!r}")
    if any((arm.smoke, arm.cpu, arm.paper)):
        raise BrittleError(f"{at}: expected of, or networks of its own, got both")
    for scale in SCALES:
        for text in arm.behind(scale):
            try:
                defences_from([text])
            except BrittleError as error:
                raise BrittleError(f"{at}: {error}") from None


def _check_table(table: Table, where: str) -> None:
    at = f"{where}: table {table.id!r}"
    for name, column in table.columns.items():
        if name not in table.heads:
            raise BrittleError(f"{at}: no head is called {name!r}{did_you_mean(name, table.heads)}")
        if column.unit not in FACTORS:
            raise BrittleError(f"{at}: expected unit as one of {list(FACTORS)}, got {column.unit!r}")
    for row in table.rows:
        if len(row) != len(table.heads):
            raise BrittleError(f"{at}: expected {len(table.heads)} cells in each row, got {len(row)} in {row}")
        for head, cell in zip(table.heads, row, strict=True):
            if head in table.columns and isinstance(cell, str) and cell:
                raise BrittleError(f'{at}: expected a number under {head!r}, or "" for none, got {cell!r}')
    for text in (table.quantity, table.taken, table.noise):
        for name in names_of(text or ""):
            if name not in table.heads and name != "measure":
                raise BrittleError(f"{at}: {{{name}}} is no head{did_you_mean(name, [*table.heads, 'measure'])}")


def _check_claim(claim: Said, recipe: Recipe, where: str) -> None:
    at = f"{where}: claim {claim.id!r}"
    unknown = [arm for arm in claim.arms if arm not in recipe.arms]
    if unknown:
        raise BrittleError(f"{at}: no arm is called {unknown[0]!r}{did_you_mean(unknown[0], recipe.arms)}")
    if claim.arms and not any("arm" in names_of(text) for text in [claim.quantity or "", *claim.quantities]):
        raise BrittleError(f"{at}: expected arms where its quantities have {{arm}}")
    if (claim.quantity is None) == (not claim.quantities):
        raise BrittleError(f"{at}: expected either quantity or quantities")
    if claim.quantity is not None and claim.kind not in ("existence", "value"):
        chosen = [at_scale(claim.over, scale) for scale in SCALES]
        if not claim.over or any(sum(len(values) > 1 for values in one.values()) > 1 for one in chosen):
            raise BrittleError(f"{at}: expected over, with the one variable of several values that its quantity has")
    for name in claim.over:
        if name not in names_of(claim.quantity or ""):
            raise BrittleError(
                f"{at}: {{{name}}} is not in its quantity{did_you_mean(name, names_of(claim.quantity or ''))}"
            )
    if claim.unit not in FACTORS:
        raise BrittleError(f"{at}: expected unit as one of {list(FACTORS)}, got {claim.unit!r}")
    wants = {
        "value": (bool(claim.published), "published"),
        "curve": (bool(claim.published), "published"),
        "existence": (claim.above is not None or claim.below is not None, "above or below"),
        "ordering": (claim.relation not in ("constant", "always"), "relation as an order"),
        "invariant": (
            claim.relation in ("rising", "falling", "constant", "always"),
            "relation as rising, falling, constant or always",
        ),
    }
    given, wanted = wants[claim.kind]
    if not given:
        raise BrittleError(f"{at}: expected {wanted} for kind {claim.kind!r}")


def _check_plot(plot: Plot, where: str, steps: Collection[str]) -> None:
    at = f"{where}: plot {plot.title!r}"
    if (plot.told is None) == (not plot.quantity):
        raise BrittleError(f"{at}: expected either quantity, over one variable, or told")
    if plot.told is None and len(plot.over) != 1:
        raise BrittleError(f"{at}: expected over, with the one variable that its quantity has in braces")
    if plot.told is not None and plot.told not in steps:
        raise BrittleError(f"{at}: no step is called {plot.told!r}{did_you_mean(plot.told, steps)}")
    if plot.unit not in FACTORS:
        raise BrittleError(f"{at}: expected unit as one of {list(FACTORS)}, got {plot.unit!r}")


def _texts(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """(where, expression) of all that names quantities."""
    for table in recipe.tables:
        for text in (table.quantity, table.taken, table.noise):
            if text:
                yield f"table {table.id!r}", text
        if table.quantity.startswith(f"{REGISTRY}/"):
            for row in table.rows:
                cells = dict(zip(table.heads, row, strict=True))
                for head, column in table.columns.items():
                    yield f"table {table.id!r}", filled(table.quantity, {**cells, "measure": column.measure or head})
        heads = [row[table.heads.index("arm")] for row in table.rows] if "arm" in table.heads else []
        for arm in dict.fromkeys(map(str, heads)):
            yield f"table {table.id!r}", table.quantity.replace("{arm}", arm)
    for claim in recipe.claims:
        for text in (*([claim.quantity] if claim.quantity else []), *claim.quantities, *claim.taken):
            yield f"claim {claim.id!r}", text
            for arm in claim.over.get("arm", ()):
                yield f"claim {claim.id!r}", text.replace("{arm}", str(arm))
    for plot in recipe.plots:
        if plot.told is None:
            yield f"plot {plot.title!r}", plot.quantity
    for beside in recipe.besides:
        for text in beside.columns.values():
            yield f"numbers {beside.title!r}", text


def _labels(recipe: Recipe) -> dict[str, set[str]]:
    """The labels of the attacks of each audit, at any scale."""
    found: dict[str, set[str]] = {}
    for scale in SCALES:
        asked = Asked(scale=scale, data="", arms=dict.fromkeys(recipe.arms, Network(model="")))
        for step in steps_of(recipe, asked, out="{dir}"):
            if step.content["study"] == "audit":
                texts = at_scale(step.content.get("attacks", []), scale)
                found.setdefault(step.key, set()).update(one for text in texts for one in _called(text))
            else:
                found.setdefault(step.key, set())
    return found


def _called(text: str) -> list[str]:
    """What quantities call attacks; of one that reads the file of an earlier step, its name alone."""
    return [text.partition(",")[0]] if "{dir}" in text else [label_of(one) for one in attacks_from(text)]


def _check_name(name: str, recipe: Recipe, labels: dict[str, set[str]], at: str) -> None:
    parts = split(name, "/")
    if len(parts) < 3:
        raise BrittleError(f"{at}: expected a quantity as STEP/ARM/.../MEASURE, got {name!r}")
    step, arm, *inner, measure = parts
    if step == REGISTRY:
        check_fact("/".join(parts[1:]), at)
        return
    if "{" not in step and step not in labels:
        raise BrittleError(f"{at}: no step is called {step!r}{did_you_mean(step, labels)}")
    if "{" not in arm and arm not in recipe.arms:
        raise BrittleError(f"{at}: no arm is called {arm!r}{did_you_mean(arm, recipe.arms)}")
    target = target_of(inner[-1]) if inner else None
    if target is not None:
        if "{" not in target and target not in recipe.arms:
            raise BrittleError(f"{at}: no arm is called {target!r}{did_you_mean(target, recipe.arms)}")
        inner = inner[:-1]
    known = labels.get(step)
    if inner and is_within(inner[-1]):
        known = known and {inner[-1]}
        measures = set(SIDES)
    elif target is None:
        measures = {*MEASURES, *NAMES, *BY_IMAGE, *ALONE, *INSIDE, "clean_error"}
    else:
        measures = {*ERRORS, UNDONE}
    if known and inner and "{" not in inner[-1] and inner[-1] not in known:
        raise BrittleError(f"{at}: no attack of {step!r} is called {inner[-1]!r}{did_you_mean(inner[-1], known)}")
    if known and "{" not in measure and measure not in measures:
        raise BrittleError(f"{at}: no measure is called {measure!r}{did_you_mean(measure, measures)}")
