"""FGSM, the fast gradient sign method, in any norm (Goodfellow et al. 2015, arXiv:1412.6572, section 4)."""

from dataclasses import dataclass
from typing import Literal, final

from brittle.attacks.parts.asking import asking_first
from brittle.attacks.parts.contract import Outcome
from brittle.attacks.parts.losses import logit_of
from brittle.catalog import option, register
from brittle.geometry import l1_budget
from brittle.geometry.box import clip, room
from brittle.geometry.norms import L1, LINF, NormLike, norm_of
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images


@register("fgsm", paper="arXiv:1412.6572", kind="budget", cost="F + B", looks=False)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class FGSM:
    """One step of size eps in the direction that raises the loss fastest.

    ``x + eps * steepest(gradient of the loss)``; in L-infinity the step is the gradient's sign, as in the paper; in
    other norms it is the unit step with the largest inner product with the gradient. Untargeted it climbs the
    cross-entropy of the label, targeted it descends that of the target.

    In L1 that would be all in one channel of one pixel, of which the box leaves at most 1. So there it is the best step
    within the box: the largest gradients first, each to its wall, until eps is spent.

    The loss is the log-odds against the label: its gradient is the cross-entropy's up to a positive factor, so the
    step is the paper's, but it does not round to zero where the classifier is very sure. ``loss="logit"`` looks at the
    logit of the label or target alone, and not at what the others do: that is what a negative log-likelihood becomes
    when it is given logits for log-probabilities, as in code that many results come from. It is weaker.
    """

    norm: NormLike = option(LINF, "norm of the step")
    eps: float = option(8 / 255, "size of the step, in pixels of [0, 1]", at_least=0)
    box: bool = option(True, "clip to [0, 1]; without, pixels may leave the range of images")
    loss: Literal["log-odds", "logit"] = option("log-odds", "what to raise; logit: that of the label alone, negated")

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        ask = asking_first(classifier, images, goal)
        logits, gradient = ask.gradient(ask.everyone, images, logit_of(goal) if self.loss == "logit" else None)
        rows = (~ask.note(ask.everyone, images, logits)).nonzero().squeeze(1)
        if self.box and norm_of(self.norm) == L1:
            stepped = clip(images + l1_budget.spend(gradient, self.eps, room(images)))
        else:
            stepped = images + self.eps * norm_of(self.norm).steepest(gradient)
            stepped = clip(stepped) if self.box else stepped
        ask.stepped(rows)
        ask.best.leave(rows, stepped[rows])
        return ask.outcome()
