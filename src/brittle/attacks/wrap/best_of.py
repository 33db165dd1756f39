"""BestOf: several attacks, and of each image the best result."""

from dataclasses import dataclass
from typing import final

from brittle.attacks.minimal.deepfool import DeepFool
from brittle.attacks.parts.asking import asking_nearest
from brittle.attacks.parts.contract import Outcome
from brittle.attacks.parts.rows import kept
from brittle.attacks.parts.seen import seen_of
from brittle.attacks.wrap.norms import check_norms
from brittle.catalog import ATTACKS, Method, label_of, option, register, traits_of
from brittle.errors import BrittleError
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images


@register("best-of", paper="-", kind="wrapper", access="decision", cost="the sum of the attacks'")
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class BestOf:
    """Runs several attacks of one norm and keeps the best result of each image.

    Of minimal attacks the smallest perturbation is kept. Budget attacks, which must share one eps, run in the order
    given, each on the images that the ones before it have not fooled. Results that an attack has not itself seen to
    succeed, such as FGSM's, are looked at.
    """

    attacks: tuple[Method, ...] = option(
        (DeepFool(), DeepFool(candidates=1)), "the attacks, of one kind and norm", of=ATTACKS
    )

    def __post_init__(self) -> None:
        check_norms(self, *self.attacks)
        first, *others = self.attacks
        for other in others:
            if _words(other) != _words(first):
                raise BrittleError(
                    f"expected attacks of one kind, norm and eps ({label_of(first)} is {_words(first)}), got"
                    f" {label_of(other)}, which is {_words(other)}"
                )

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        traits = traits_of(self)
        ask = asking_nearest(classifier, images, goal, traits.norm)
        rows = ask.everyone
        for attack in self.attacks:
            if not len(rows):
                break
            found = seen_of(attack, classifier, images[rows], ask.outcome_of(attack, rows, images[rows], rng[rows]))
            ask.best.offer(rows, found.images, found.claimed)
            done = ask.best.claimed[rows] if traits.kind == "budget" else ask.best.size[rows] == 0
            (rows,) = kept(~done, rows)
        return ask.outcome()


def _words(attack: Method) -> str:
    """What must be the same in all of them."""
    traits = traits_of(attack)
    return f"{traits.kind} {traits.norm}" + ("" if traits.eps is None else f" with eps {traits.eps:.9g}")
