"""From the steps of a recipe to specs of ordinary studies, each with a run directory of its own."""

from collections.abc import Iterator
from typing import Any, NamedTuple, final

from brittle.errors import BrittleError
from brittle.recipes.format import Asked, Network, Recipe
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


def steps_of(recipe: Recipe, asked: Asked, *, out: str = "") -> list[Step]:
    """All steps, in order, with what depends on the scale chosen and names in braces filled in.

    A step has the keys of its study's spec but for models, which are the networks at hand (arms: only some of them),
    and these: name; over: variables, once for each of whose values it is run, where "arms" are the names of the
    networks at hand; per_arm: once for each network; seeds: once for each. ``{dir}`` is the study's directory, so that
    a step can read the files of an earlier one, as a network that it has trained; ``{data}`` its data, ``{train_data}``
    what networks are trained on, ``{seed}`` that of the step, in the names of networks too. A step that trains has no
    models.
    """
    found = []
    for number, raw in enumerate(recipe.steps):
        if not isinstance(raw.get("name"), str) or not raw["name"] or "/" in raw["name"]:
            raise BrittleError(
                f"step {number + 1} of the recipe: expected a name without slashes, got {raw.get('name')!r}"
            )
        chosen = at_scale(raw, asked.scale)
        every = list(asked.arms or recipe.arms)
        over = {name: every if one == "arms" else one for name, one in chosen.get("over", {}).items()}
        found += list(_runs({**chosen, "over": over}, asked, out))
    folders = slugs_of([step.folder for step in found])
    return [step._replace(folder=folder) for step, folder in zip(found, folders, strict=True)]


def _runs(raw: dict[str, Any], asked: Asked, out: str) -> Iterator[Step]:
    arms, trains = asked.arms, raw.get("study") == "train"
    mine = {name: arms[name] for name in raw.get("arms", arms) if name in arms}
    if arms and not mine:  # none of those that the step is about is at hand
        return
    groups = [{name: one} for name, one in mine.items()] if raw.get("per_arm") else [mine]
    given = {"dir": out, "data": asked.data, "train_data": asked.train_data}
    for values in combined(raw["over"]):
        key = str(raw["name"])
        if values:
            key += f"({', '.join(f'{name}={written(value)}' for name, value in values.items())})"
        for group in groups or [{}]:
            for number in raw.get("seeds", [asked.seed]):
                alone = next(iter(group), "") if raw.get("per_arm") else ""
                folder = " ".join([key, *([alone] if alone else []), *([f"seed {number}"] if "seeds" in raw else [])])
                content = {name: value for name, value in raw.items() if name not in OWN}
                if trains:
                    content = {"data": asked.train_data, "seeds": [number], **content}
                else:
                    models = [_model(name, one) for name, one in group.items()]
                    content = {"data": asked.data, "seed": number, **content, "models": models}
                yield Step(key, folder, put_in(content, {**given, **values, "arm": alone, "seed": number}))


def _model(name: str, network: Network) -> dict[str, Any]:
    kept = network.model_dump(mode="json", exclude_none=True, exclude={"same"})
    return {**kept, "name": name}
