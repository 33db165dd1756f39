"""Attacks under a budget: how they climb within a ball."""

from itertools import pairwise

from torch import Tensor

from brittle.attacks import APGD, FGSM, PGD, Attack
from brittle.geometry.norms import L2, LINF
from brittle.goals import Untargeted
from brittle.models.network import Network
from drawn import worlds
from drawn.canvas import Canvas, at
from drawn.scene import scene
from drawn.watched import watch

_SEEN = 0.004  # shorter steps would be dots


def _loss(classifier: Network, x: Tensor, canvas: Canvas) -> None:
    """Level lines of the loss, at even steps."""
    goal = Untargeted(classifier.logits(x.unsqueeze(0)).argmax(1))
    low, high = -12, 12
    for value in range(low, high + 1, 2):
        canvas.level(
            classifier,
            lambda z: Untargeted(goal.labels.expand(len(z))).loss(z),
            float(value),
            kind="edge" if value == 0 else "level",
        )


@scene
def fgsm() -> Canvas:
    """One step to the corner that the gradient's signs point at."""
    classifier, x, eps = worlds.bent_two(), worlds.image(0.36, 0.34), 0.22
    canvas = Canvas("fgsm", "FGSM: from x to the corner of the budget that the gradient's signs point at")
    canvas.regions(classifier)
    _loss(classifier, x, canvas)
    walk = watch(FGSM(eps=eps), classifier, x)
    goal = Untargeted(classifier.logits(x.unsqueeze(0)).argmax(1))
    _, slope = classifier.gradient(x.unsqueeze(0), goal.loss)
    canvas.say("The image, its budget, and level lines of the loss.")
    canvas.ball(LINF, x, eps)
    step = canvas.say("The gradient: across the level lines.")
    (a, b), (u, v) = at(x), at(slope / slope.norm() * 0.17)
    canvas.arrow(x, (a + u, b + v), kind="slope", step=step)
    canvas.text((a + u, b + v), "∇ loss", step=step, side="below" if v < u else "above")
    step = canvas.say("Its signs: to a corner, eps in every pixel.")
    canvas.arrow(x, walk.outcome.images[0], step=step)
    canvas.dot(walk.outcome.images[0], "x + ε sign(∇)", step=step, side="above")
    canvas.dot(x, "x", kind="image", side="left")
    return canvas


def _climb(canvas: Canvas, method: Attack, classifier: Network, x: Tensor, kind: str, seed: int = 0) -> None:
    points = watch(method, classifier, x, seed=seed).points(slope=True)
    canvas.dot(points[0], kind="ask", step=1)
    for number, (here, there) in enumerate(pairwise(points), start=1):
        canvas.arrow(here, there, kind=kind, step=number)


@scene
def pgd() -> Canvas:
    """Small steps, each brought back into the ball."""
    classifier, x, eps = _hidden()
    canvas = Canvas("pgd", "PGD from three random starts: small steps that end within the budget")
    canvas.regions(classifier)
    _loss(classifier, x, canvas)
    canvas.ball(LINF, x, eps)
    canvas.say("The image, and the budget around it.")
    for number in range(1, 13):
        canvas.say(f"Step {number} of three runs, each from a random point of the budget.")
    for seed, kind in ((1, "way c1"), (4, "way c2"), (6, "way c3")):
        _climb(canvas, PGD(eps=eps, steps=12, step_size=0.05, random_start=True), classifier, x, kind, seed)
    canvas.dot(x, "x", kind="image", side="left")
    return canvas


@scene
def apgd() -> Canvas:
    """Two times eps at first, halved where that does not help."""
    classifier, x, eps = _hidden()
    canvas = Canvas("apgd", "APGD: long steps first, halved by checkpoints, from the best point so far")
    canvas.regions(classifier)
    _loss(classifier, x, canvas)
    canvas.ball(L2, x, eps)
    points = watch(APGD(norm="l2", eps=eps, steps=30), classifier, x, seed=3).points(slope=True)
    canvas.say("The image, the budget around it, and a random start at its rim.")
    canvas.dot(points[0], "start", side="above")
    for number, (here, there) in enumerate(pairwise(points), start=1):
        if float((there - here).norm()) > _SEEN:
            canvas.arrow(here, there, step=canvas.say(f"Step {number}."))
    canvas.dot(x, "x", kind="image", side="left")
    return canvas


def _hidden() -> tuple[Network, Tensor, float]:
    """A world in which the way to the boundary turns, an image and a budget that the boundary just does not reach."""
    return worlds.discs(), worlds.image(0.45, 0.36), 0.2
