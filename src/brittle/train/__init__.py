"""Training: recipes, the loop, and the data as batches; what a network is trained for is a recipe's alone."""

from brittle.train import standard  # for its registration
from brittle.train.recipe import RECIPES, Move, Recipe, Task

_ = standard

__all__ = ["RECIPES", "Move", "Recipe", "Task"]
