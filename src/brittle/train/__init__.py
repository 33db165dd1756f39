"""Training: recipes, the loop, and the data as batches; what a network is trained for is a recipe's alone."""

from brittle.train.adversarial import Adversarial
from brittle.train.recipe import RECIPES, Move, Recipe, Stopped, Task
from brittle.train.standard import Standard
from brittle.train.trades import Trades

__all__ = ["RECIPES", "Adversarial", "Move", "Recipe", "Standard", "Stopped", "Task", "Trades"]
