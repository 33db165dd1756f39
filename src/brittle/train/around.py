"""Recipes around another recipe: what they leave as that one has it."""

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
