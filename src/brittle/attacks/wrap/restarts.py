"""Restarts: the same attack again with other random draws."""

from dataclasses import dataclass
from typing import final

from brittle.attacks.budget.pgd import PGD
from brittle.attacks.parts.asking import asking_nearest
from brittle.attacks.parts.contract import Outcome
from brittle.attacks.parts.rows import kept
from brittle.attacks.parts.seen import seen_of
from brittle.attacks.wrap.norms import check_norms
from brittle.catalog import ATTACKS, Method, option, register, traits_of
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images


@register("restarts", paper="arXiv:1706.06083", kind="wrapper", access="decision", cost="times * the attack's")
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Restarts:
    """Runs an attack several times with other random draws, and keeps the best result of each image.

    Of a minimal attack the smallest perturbation is kept. Under a budget the first success is as good as any, so an
    image leaves at its first. The first run has the draws that the attack would have alone. Made for attacks that draw
    at random: any other does the same each time.

    Restarts are how Madry et al. 2018 (section 5) made sure that their PGD had not just been unlucky.
    """

    attack: Method = option(PGD(random_start=True), "the attack; one that draws at random", of=ATTACKS)
    times: int = option(5, "runs, the first included", at_least=1)

    def __post_init__(self) -> None:
        check_norms(self, self.attack)

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        traits = traits_of(self.attack)
        ask = asking_nearest(classifier, images, goal, traits.norm)
        rows = ask.everyone
        for run in range(self.times):
            if not len(rows):
                break
            draws = rng[rows] if run == 0 else rng[rows].another(f"restart {run}")
            found = ask.outcome_of(self.attack, rows, images[rows], draws)
            found = seen_of(self.attack, classifier, images[rows], found)
            ask.best.offer(rows, found.images, found.claimed)
            # Nothing is smaller than no perturbation at all; and under a budget one success is enough.
            done = ask.best.claimed[rows] if traits.kind == "budget" else ask.best.size[rows] == 0
            (rows,) = kept(~done, rows)
        return ask.outcome()
