"""One algorithm, one file. Importing this package registers every attack in the catalog."""

from brittle.attacks._contract import Attack, Outcome
from brittle.attacks.apgd import APGD
from brittle.attacks.best_of import BestOf
from brittle.attacks.boundary_walk import BoundaryWalk
from brittle.attacks.craft import Craft
from brittle.attacks.deepfool import DeepFool
from brittle.attacks.expectation import Expectation
from brittle.attacks.few_pixel import FewPixel
from brittle.attacks.fgsm import FGSM
from brittle.attacks.fmn import FMN
from brittle.attacks.hopskipjump import HopSkipJump
from brittle.attacks.lbfgs import LBFGS
from brittle.attacks.minimal import Minimal
from brittle.attacks.penalised import Penalised
from brittle.attacks.perturbation import Perturbation
from brittle.attacks.pgd import PGD
from brittle.attacks.pixel_greedy import PixelGreedy
from brittle.attacks.pixel_search import PixelSearch
from brittle.attacks.restarts import Restarts
from brittle.attacks.shrinking_ball import ShrinkingBall
from brittle.attacks.sigma_zero import SigmaZero
from brittle.attacks.sparse_rs import SparseRS
from brittle.attacks.sparsefool import SparseFool
from brittle.attacks.square import Square
from brittle.attacks.standard import Standard
from brittle.attacks.superdeepfool import SuperDeepFool
from brittle.attacks.universal import Universal
from brittle.attacks.universal_sgd import UniversalSGD

__all__ = [
    "APGD",
    "FGSM",
    "FMN",
    "LBFGS",
    "PGD",
    "Attack",
    "BestOf",
    "BoundaryWalk",
    "Craft",
    "DeepFool",
    "Expectation",
    "FewPixel",
    "HopSkipJump",
    "Minimal",
    "Outcome",
    "Penalised",
    "Perturbation",
    "PixelGreedy",
    "PixelSearch",
    "Restarts",
    "ShrinkingBall",
    "SigmaZero",
    "SparseFool",
    "SparseRS",
    "Square",
    "Standard",
    "SuperDeepFool",
    "Universal",
    "UniversalSGD",
]
