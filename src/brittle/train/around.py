"""Recipes around another recipe: what they leave as that one has it."""

from dataclasses import fields, replace
from typing import Any

from brittle.train.batches import Augmentation, Normalised, Pixels
from brittle.train.recipe import Recipe


class AroundRecipe:
    """The parts of a ``Recipe`` that one around another leaves as they are; each is a final frozen dataclass with the
    option ``recipe``, and says what its task is."""

    __slots__ = ()
    recipe: Recipe

    @property
    def epochs(self) -> int:
        return self.recipe.epochs

    @property
    def batch(self) -> int:
        return self.recipe.batch

    @property
    def augmentation(self) -> Augmentation:
        return self.recipe.augmentation

    def normalised(self, pixels: Pixels) -> Normalised:
        return self.recipe.normalised(pixels)


def unwatched(recipe: Recipe) -> Recipe:
    """The same without a watch, neither its own nor that of a recipe within: a watch looks some times an epoch, which
    on a few images is after each step."""
    has: Any = {one.name: getattr(recipe, one.name) for one in fields(recipe)}  # type: ignore[arg-type]
    others: dict[str, Any] = {"recipe": unwatched(has["recipe"])} if "recipe" in has else {}
    if "watch" in has:
        others["watch"] = False
    unwatching: Recipe = replace(recipe, **others)  # type: ignore[type-var]
    return unwatching
