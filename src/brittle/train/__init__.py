"""Training: recipes, the loop, and the data as batches; what a network is trained for is a recipe's alone."""

from brittle.train.acgan import Acgan
from brittle.train.coding import Autoencoder, Variational
from brittle.train.decayed import Szegedy
from brittle.train.recipe import RECIPES, Move, Recipe, Task
from brittle.train.standard import Standard

__all__ = ["RECIPES", "Acgan", "Autoencoder", "Move", "Recipe", "Standard", "Szegedy", "Task", "Variational"]
