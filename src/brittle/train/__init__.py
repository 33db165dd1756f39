"""Training: recipes, the loop, and the data as batches; what a network is trained for is a recipe's alone."""

from brittle.train.acgan import Acgan
from brittle.train.adversarial import Adversarial
from brittle.train.coding import Autoencoder, Variational
from brittle.train.decayed import Szegedy
from brittle.train.erm import Erm
from brittle.train.noisy import Noisy
from brittle.train.pools import Pools
from brittle.train.quantised import Quantised
from brittle.train.recipe import RECIPES, Move, Recipe, Stopped, Task
from brittle.train.standard import Standard
from brittle.train.synthesis import AnalysisBySynthesis
from brittle.train.trades import Trades

__all__ = [
    "RECIPES",
    "Acgan",
    "Adversarial",
    "AnalysisBySynthesis",
    "Autoencoder",
    "Erm",
    "Move",
    "Noisy",
    "Pools",
    "Quantised",
    "Recipe",
    "Standard",
    "Stopped",
    "Szegedy",
    "Task",
    "Trades",
    "Variational",
]
