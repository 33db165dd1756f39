"""One algorithm, one file. Importing this package registers every attack in the catalog."""

from brittle.attacks._contract import Attack, Outcome
from brittle.attacks.deepfool import DeepFool
from brittle.attacks.fgsm import FGSM
from brittle.attacks.pgd import PGD

__all__ = ["FGSM", "PGD", "Attack", "DeepFool", "Outcome"]
