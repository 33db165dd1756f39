"""Attacks that see bfloat16 beside the same in float32, on a processor that multiplies both; float32 grades all."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from bench.clock import Timed, interleaved
from bench.networks import setting_of
from bench.report import Check, Section, Table
from bench.setting import Setting, Skipped
from brittle.attacks import APGD, PGD
from brittle.geometry.norms import norm_named
from brittle.goals import Untargeted
from brittle.models.bfloat16 import quick_precision
from brittle.models.classifier import Settings
from brittle.rng import Rng
from brittle.run.attack import Found, attack_graded
from brittle.text import size

COUNT, TIMES, APART = 512, 1.4, 1  # the goals: so many times faster, robust accuracy within so many images
BUDGETS: dict[str, dict[str, tuple[float, float]]] = {
    "resnet20": {"linf": (1 / 255, 2 / 255), "l2": (0.05, 0.1)},
    "resnet4b-adv": {"linf": (2 / 255, 4 / 255), "l2": (0.25, 0.5)},
}
TIMED: dict[str, tuple[Any, int]] = {"PGD, 10 steps": (PGD(steps=10), 3), "APGD, 10 steps": (APGD(steps=10), 3)}
