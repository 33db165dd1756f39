"""Expectation: an attack on a classifier's average behaviour (Athalye et al. 2018, arXiv:1707.07397)."""

from dataclasses import dataclass
from typing import final

from brittle.attacks.budget.pgd import PGD
from brittle.attacks.parts.asking import asking_first
from brittle.attacks.parts.contract import Outcome
from brittle.attacks.parts.seen import seen_of
from brittle.catalog import ATTACKS, Method, option, register, traits_of
from brittle.goals import Goal
from brittle.models.averaged import Averaged
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images


@register(
    "expectation", paper="arXiv:1707.07397", kind="wrapper", access="decision", cost="samples * the attack's + 2 F"
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Expectation:
    """Expectation over transformation: the attack sees logits and gradients averaged over several passes.

    For classifiers that answer at random (random resizing, dropout left on, noise): one draw of the gradient says
    little, and an attack that follows it overestimates robustness. With ``noise`` the average is also over Gaussian
    noise on the pixels, as in attacks on smoothed classifiers. That noise is drawn once, so that the average is one
    function, which line searches need. An attack fits the draws that it sees: what shall survive fresh noise needs 64
    samples rather than 8.

    A claim is checked on one more pass of the classifier itself.
    """

    attack: Method = option(PGD(), "the attack that sees the average", of=ATTACKS)
    samples: int = option(8, "passes to average over", at_least=1)
    noise: float = option(0.0, "standard deviation of noise added to the pixels before each pass", at_least=0)

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        ask = asking_first(classifier, images, goal)
        met, _ = ask.look(ask.everyone, images)
        rows = (~met).nonzero().squeeze(1)
        if len(rows):
            average = Averaged(classifier, samples=self.samples, noise=self.noise, seed=rng.seed)
            run: Outcome = self.attack(average, images[rows], goal[rows], rng=rng[rows])
            run = seen_of(self.attack, classifier, images[rows], run)
            ask.add(rows, run.steps, self.samples * run.forwards, self.samples * run.backwards)
            claimed = goal[rows].is_surely_met(ask.logits(rows, run.images))
            if traits_of(self.attack).looks:  # else no claim means nothing
                claimed &= run.claimed
            ask.best.leave(rows, run.images, claimed)
        return ask.outcome()
