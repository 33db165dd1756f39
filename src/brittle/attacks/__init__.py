"""One algorithm, one file. An import here registers it and makes it a name of this package; no other list knows it."""

from brittle.attacks import foreign as _foreign  # noqa: F401 - it welcomes those of other libraries
from brittle.attacks.black_box.few_pixel import FewPixel as FewPixel
from brittle.attacks.black_box.hopskipjump import HopSkipJump as HopSkipJump
from brittle.attacks.black_box.pixel_search import PixelSearch as PixelSearch
from brittle.attacks.black_box.sparse_rs import SparseRS as SparseRS
from brittle.attacks.black_box.square import Square as Square
from brittle.attacks.budget.apgd import APGD as APGD
from brittle.attacks.budget.fgsm import FGSM as FGSM
from brittle.attacks.budget.pgd import PGD as PGD
from brittle.attacks.budget.standard import Standard as Standard
from brittle.attacks.faint.craft import Craft as Craft
from brittle.attacks.faint.penalised import Penalised as Penalised
from brittle.attacks.minimal.boundary_walk import BoundaryWalk as BoundaryWalk
from brittle.attacks.minimal.deepfool import DeepFool as DeepFool
from brittle.attacks.minimal.fmn import FMN as FMN
from brittle.attacks.minimal.lbfgs import LBFGS as LBFGS
from brittle.attacks.minimal.pixel_greedy import PixelGreedy as PixelGreedy
from brittle.attacks.minimal.shrinking_ball import ShrinkingBall as ShrinkingBall
from brittle.attacks.minimal.sigma_zero import SigmaZero as SigmaZero
from brittle.attacks.minimal.sparsefool import SparseFool as SparseFool
from brittle.attacks.minimal.strongest import Minimal as Minimal
from brittle.attacks.minimal.superdeepfool import SuperDeepFool as SuperDeepFool
from brittle.attacks.parts.contract import Attack as Attack
from brittle.attacks.parts.contract import Outcome as Outcome
from brittle.attacks.universal.adding_up import Universal as Universal
from brittle.attacks.universal.by_gradient import UniversalSGD as UniversalSGD
from brittle.attacks.universal.perturbation import AddPerturbation as AddPerturbation
from brittle.attacks.wrap.best_of import BestOf as BestOf
from brittle.attacks.wrap.eight_bit import EightBit as EightBit
from brittle.attacks.wrap.expectation import Expectation as Expectation
from brittle.attacks.wrap.restarts import Restarts as Restarts
