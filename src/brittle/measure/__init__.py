"""From records to numbers with intervals. Pure: no model, no disk."""

from brittle.measure.attack import rate
from brittle.measure.cases import Case, cases, hero_of
from brittle.measure.classes import classes
from brittle.measure.comparison import Side, comparison
from brittle.measure.curves import accuracy_at, curve, thin
from brittle.measure.defences import (
    JudgedAlone,
    JudgedDefence,
    JudgedDefences,
    JudgedDetector,
    every_sides,
    judge_defences,
    under_all,
)
from brittle.measure.definitions import COST, MEASURES
from brittle.measure.doubts import doubts
from brittle.measure.gate import Asked, Gate, Judgement
from brittle.measure.leaderboard import leaderboard
from brittle.measure.models import (
    AttackSummary,
    Budget,
    ClassSummary,
    Definition,
    Leaderboard,
    Measured,
    Standing,
    Summary,
)
from brittle.measure.outcomes import NORMS, judged
from brittle.measure.summary import OVERALL, summaries, summarize
from brittle.measure.sweeps import Family, families
from brittle.measure.told import Compared, Curve, Sized, Told
from brittle.measure.transfer import TransferCell, TransferMatrix, transfer_matrices
from brittle.measure.wording import headline

__all__ = [
    "COST",
    "MEASURES",
    "NORMS",
    "OVERALL",
    "Asked",
    "AttackSummary",
    "Budget",
    "Case",
    "ClassSummary",
    "Compared",
    "Curve",
    "Definition",
    "Family",
    "Gate",
    "JudgedAlone",
    "JudgedDefence",
    "JudgedDefences",
    "JudgedDetector",
    "Judgement",
    "Leaderboard",
    "Measured",
    "Side",
    "Sized",
    "Standing",
    "Summary",
    "Told",
    "TransferCell",
    "TransferMatrix",
    "accuracy_at",
    "cases",
    "classes",
    "comparison",
    "curve",
    "doubts",
    "every_sides",
    "families",
    "headline",
    "hero_of",
    "judge_defences",
    "judged",
    "leaderboard",
    "rate",
    "summaries",
    "summarize",
    "thin",
    "transfer_matrices",
    "under_all",
]
