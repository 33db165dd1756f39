"""One algorithm, one file. Importing this package registers every attack in the catalog."""

from brittle.attacks._contract import Attack, Outcome
from brittle.attacks.best_of import BestOf
from brittle.attacks.deepfool import DeepFool
from brittle.attacks.expectation import Expectation
from brittle.attacks.fgsm import FGSM
from brittle.attacks.pgd import PGD
from brittle.attacks.restarts import Restarts

__all__ = ["FGSM", "PGD", "Attack", "BestOf", "DeepFool", "Expectation", "Outcome", "Restarts"]
