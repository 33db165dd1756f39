"""From the steps of a recipe to specs of ordinary studies, each with a run directory of its own."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, final

from brittle.errors import BrittleError
from brittle.recipes.format import Network, Recipe
from brittle.recipes.templates import at_scale, combined, put_in, written
from brittle.records.manifest import slugs_of
from brittle.run.spec import Spec
from brittle.studies import spec_of

OWN = ("name", "over", "per_arm", "seeds", "arms")
"""Keys of a step that are not its study's."""


@final
class Step(NamedTuple):
    """A step as it is run. key: what quantities of it begin with; folder: of its run, below the study's."""

    key: str
    folder: str
    content: dict[str, Any]

    def spec(self, where: str) -> Spec:
        """The spec, checked."""
        return spec_of(self.content, f"{where}: step {self.key!r}")  # type: ignore[no-any-return]


def steps_of(
    recipe: Recipe, scale: str, arms: Mapping[str, Network], data: str, *, seed: int = 0, out: str = ""
) -> list[Step]:
    """All steps, in order, with what depends on the scale chosen and names in braces filled in.

    A step has the keys of its study's spec but for models, which are the networks at hand (arms: only some of them),
    and these: name; over: variables, once for each of whose values it is run; per_arm: once for each network; seeds:
    once for each. ``{dir}`` is the study's directory, so that a step can read the files of an earlier one.
    """
    found = []
    for number, raw in enumerate(recipe.steps):
        if not isinstance(raw.get("name"), str) or not raw["name"] or "/" in raw["name"]:
            raise BrittleError(
                f"step {number + 1} of the recipe: expected a name without slashes, got {raw.get('name')!r}"
            )
        found += list(_runs(at_scale(raw, scale), arms, data, seed, out))
    folders = slugs_of([step.folder for step in found])
    return [step._replace(folder=folder) for step, folder in zip(found, folders, strict=True)]


def _runs(raw: Mapping[str, Any], arms: Mapping[str, Network], data: str, seed: int, out: str) -> Iterator[Step]:
    mine = {name: arms[name] for name in raw.get("arms", arms) if name in arms}
    if arms and not mine:  # none of those that the step is about is at hand
        return
    groups = [{name: one} for name, one in mine.items()] if raw.get("per_arm") else [mine]
    for values in combined(raw.get("over", {})):
        key = str(raw["name"])
        if values:
            key += f"({', '.join(f'{name}={written(value)}' for name, value in values.items())})"
        for group in groups or [{}]:
            for number in raw.get("seeds", [seed]):
                alone = next(iter(group), "") if raw.get("per_arm") else ""
                folder = " ".join([key, *([alone] if alone else []), *([f"seed {number}"] if "seeds" in raw else [])])
                content = {name: value for name, value in raw.items() if name not in OWN}
                content = {"data": data, "seed": number, **content}
                content = put_in(content, {**values, "arm": alone, "dir": out})
                content["models"] = [_model(name, one) for name, one in group.items()]
                yield Step(key, folder, content)


def _model(name: str, network: Network) -> dict[str, Any]:
    kept = network.model_dump(mode="json", exclude_none=True, exclude={"same"})
    return {**kept, "name": name}
