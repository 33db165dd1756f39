"""Minimal attacks: how they come to the nearest point of a boundary."""

from itertools import pairwise

import torch

from brittle.attacks import FMN, LBFGS, BoundaryWalk, ShrinkingBall, SuperDeepFool
from brittle.attacks.parts.contract import Attack
from brittle.geometry.norms import L2
from brittle.models.network import Network
from drawn import worlds
from drawn.canvas import Canvas, at
from drawn.scene import scene
from drawn.watched import Walk, watch


def _end(canvas: Canvas, walk: Walk, x: torch.Tensor, label: str = "found", side: str = "above") -> None:
    """The image, what was found, and the ball around the one that the other lies on."""
    found = walk.outcome.images[0]
    canvas.ball(L2, x, float((found - x).norm()), kind="ball")
    canvas.dot(x, "x", kind="image", side="left")
    canvas.dot(found, label, kind="found", side=side)


@scene
def fmn() -> Canvas:
    """A budget that follows the boundary."""
    classifier, x = worlds.discs(), worlds.image(0.5, 0.46)
    canvas = Canvas("fmn", "FMN: steps projected to a ball that shrinks and grows about the boundary")
    canvas.regions(classifier)
    walk = watch(FMN(), classifier, x)
    points = walk.points(slope=True)[:31]
    canvas.say("The image.")
    for number, (here, there) in enumerate(pairwise(points), start=1):
        size = float((there - x).norm())
        step = canvas.say(f"Step {number}: at a distance of {size:.3f}.")
        canvas.ball(L2, x, size, kind="seen", step=step, until=step)
        canvas.arrow(here, there, step=step)
    _end(canvas, walk, x)
    return canvas


@scene
def boundary_walk() -> Canvas:
    """To the plane's nearest point to the image, and along the boundary."""
    classifier, x = worlds.ellipse(), worlds.image(0.3, 0.24)
    canvas = Canvas("boundary-walk", "The boundary walk: each step towards the point of the plane nearest to the image")
    canvas.regions(classifier)
    walk = watch(BoundaryWalk(polish=0), classifier, x)
    points = walk.points(slope=True)[:9]
    canvas.say("The image.")
    for number, (here, there) in enumerate(pairwise(points), start=1):
        step = canvas.say(f"Step {number}: towards the point of this plane that is nearest to x.")
        logits, slope = classifier.gradient(here.unsqueeze(0), lambda z: z[:, 0] - z[:, 1])
        gap = float(slope.flatten() @ here.flatten()) - float(logits[0, 0] - logits[0, 1])
        canvas.line(slope.flatten(), gap, kind="seen", step=step, until=step)
        canvas.arrow(here, there, step=step)
    _end(canvas, walk, x)
    return canvas


@scene
def lbfgs() -> Canvas:
    """Minima of distance and loss, for weights between them that are bracketed."""
    classifier, x = worlds.ellipse(), worlds.image(0.3, 0.24)
    canvas = Canvas("lbfgs", "L-BFGS: all points asked about, and the minima for one weight after another")
    canvas.regions(classifier)
    canvas.say("The image.")
    before = 0
    for tried in range(1, 7):
        walk = watch(LBFGS(search=tried), classifier, x)
        points = walk.points(slope=True)[before:]
        before += len(points)
        step = canvas.say(f"Weight {tried}: {len(points)} points on the way to its minimum.")
        if points:
            canvas.path([x, *points] if tried == 1 else points, kind="thin", step=step)
        for one in points:
            canvas.dot(one, kind="ask", step=step)
    _end(canvas, walk, x)
    return canvas


def _trace(name: str, tells: str, method: Attack, classifier: Network, x: torch.Tensor) -> Canvas:
    """Every point that was asked about, ten questions a step."""
    canvas = Canvas(name, tells)
    canvas.regions(classifier)
    walk = watch(method, classifier, x)
    points = [one for asked in walk.asked for one in asked.images]
    canvas.say("The image.")
    for start in range(0, len(points), 10):
        some = points[start : start + 10]
        step = canvas.say(f"{start + len(some)} points asked about.")
        for one in some:
            canvas.dot(one, kind="ask", step=step)
    _end(canvas, walk, x)
    return canvas


@scene
def shrinking_ball() -> Canvas:
    """Climbs to far away, and down again."""
    return _trace(
        "shrinking-ball",
        "The shrinking ball: points asked about, far away at first and then about the boundary",
        ShrinkingBall(),
        worlds.bent_four(),
        worlds.image(0.5, 0.42),
    )


@scene
def superdeepfool() -> Canvas:
    """Steps to the boundary, and onto its normal through the image."""
    classifier, x = worlds.ellipse(), worlds.image(0.3, 0.24)
    canvas = Canvas("superdeepfool", "SuperDeepFool: to the boundary, then along it to where its normal meets x")
    canvas.regions(classifier)
    walk = watch(SuperDeepFool(), classifier, x)
    points = walk.points(slope=True)[:13]
    canvas.say("The image.")
    for number, (here, there) in enumerate(pairwise(points), start=1):
        step = canvas.say(f"Step {number}.")
        canvas.arrow(here, there, step=step)
    _end(canvas, walk, x)
    return canvas


@scene
def nearest() -> Canvas:
    """What a minimal attack looks for: the largest ball without a change of class."""
    classifier, x = worlds.discs(), worlds.image(0.5, 0.46)
    canvas = Canvas("nearest", "An image, the nearest point of another class, and the ball between them")
    canvas.regions(classifier)
    walk = watch(BoundaryWalk(), classifier, x)
    canvas.arrow(x, walk.outcome.images[0])
    (a, b), (c, d) = at(x), at(walk.outcome.images[0])
    canvas.text(((a + c) / 2, (b + d) / 2), "r", side="below")
    _end(canvas, walk, x, "x + r", side="right")
    return canvas
