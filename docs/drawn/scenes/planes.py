"""DeepFool, and what it and SparseFool rest on: planes in place of boundaries."""

from itertools import pairwise

import torch
from torch import Tensor

from brittle.attacks import DeepFool, SparseFool
from brittle.models.classifier import Classifier
from drawn import worlds
from drawn.canvas import Canvas, at
from drawn.scene import scene
from drawn.watched import watch

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def named(letter: str, number: int) -> str:
    """x₀, x₁ ..."""
    return letter + str(number).translate(_SUBSCRIPTS)


def tangent(classifier: Classifier, point: Tensor, label: int, other: int) -> tuple[Tensor, float]:
    """Normal w and gap of the plane ``<w, p> = gap`` where two logits, linearised at a point, are equal."""
    logits, slope = classifier.gradient(point.view(1, 1, 1, 2), lambda z: z[:, label] - z[:, other])
    lead = float(logits[0, label] - logits[0, other])
    w = slope.flatten()
    return w, float(w @ point.flatten()) - lead


@scene
def projection() -> Canvas:
    """A straight boundary, and the nearest point on it."""
    classifier, x = worlds.two(), worlds.image(0.27, 0.36)
    canvas = Canvas("projection", "The image x0 and its orthogonal projection onto a straight boundary")
    canvas.regions(classifier)
    found = watch(DeepFool(overshoot=0.0), classifier, x).outcome.images[0]
    w, gap = tangent(classifier, x, 0, 1)
    canvas.line(w, gap)
    canvas.arrow(x, found)
    a, b = at(x), at(found)
    out, turn = torch.tensor(b) - torch.tensor(a), torch.tensor([a[1] - b[1], b[0] - a[0]])
    corner = [torch.tensor(b) - 0.1 * out * s + 0.1 * turn * t for s, t in ((1, 0), (1, 1), (0, 1))]
    canvas.path([(float(p[0]), float(p[1])) for p in corner], kind="thin")
    canvas.dot(x, "x₀", kind="image", side="below")
    canvas.dot(found, "x₀ + r", side="right")
    canvas.text(((a[0] + b[0]) / 2, (a[1] + b[1]) / 2), "f(x₀) / ‖w‖", side="left")
    canvas.text((0.62, 0.18), "f(x) = 0", side="left")
    canvas.text((0.1, 0.1), "f > 0")
    canvas.text((0.78, 0.92), "f < 0")
    return canvas


@scene
def newton() -> Canvas:
    """A curved boundary and the plane that it seems to be from each iterate."""
    classifier, x = worlds.ellipse(), worlds.image(0.08, 0.12)
    canvas = Canvas("newton", "DeepFool's iterates towards a curved boundary, with the plane seen from each")
    canvas.regions(classifier)
    points = watch(DeepFool(), classifier, x).points(slope=True)
    canvas.say("The image x₀, inside.")
    canvas.dot(points[0], "x₀", kind="image", side="left")
    for number, (here, there) in enumerate(pairwise(points)):
        step = canvas.say(f"From {named('x', number)} the boundary looks like this plane.")
        w, gap = tangent(classifier, here, 0, 1)
        canvas.line(w, gap, kind="seen", step=step)
        step = canvas.say(f"{named('x', number + 1)} is the point of that plane nearest to {named('x', number)}.")
        canvas.arrow(here, there, step=step)
        canvas.dot(there, named("x", number + 1) if number < 3 else "", step=step, side="below")
    canvas.say("The class has changed.")
    return canvas


@scene
def profile() -> Canvas:
    """Newton's method: f along the way, and its tangents."""
    classifier, x = worlds.ellipse(), worlds.image(0.66, 0.05)  # below the centre: all gradients point upwards
    points = [at(one)[1] for one in watch(DeepFool(), classifier, x).points(slope=True)]

    def lead(up: float) -> float:
        logits = classifier.logits(worlds.image(0.66, up).unsqueeze(0))
        return float(logits[0, 0] - logits[0, 1])

    top = 1.12 * lead(points[0])
    canvas = Canvas("profile", "The graph of f along the way, and its tangents", low=(0.0, -0.25 * top),
                    high=(0.6, top), tall=300)  # fmt: skip
    canvas.path([(0.0, 0.0), (0.6, 0.0)], kind="thin")
    canvas.text((0.0, 0.0), "f = 0", side="right")
    canvas.path([(k / 200, lead(k / 200)) for k in range(121)], kind="edge")
    canvas.say("f along the way from x₀. Where it is 0, the class changes.")
    canvas.dot((points[0], lead(points[0])), "x₀", kind="image", side="right")
    for number, (here, there) in enumerate(pairwise(points)):
        step = canvas.say(f"The tangent at {named('x', number)}, and where it is 0: {named('x', number + 1)}.")
        canvas.path([(here, lead(here)), (there, 0.0)], kind="seen", step=step)
        canvas.path([(there, 0.0), (there, lead(there))], kind="thin", step=step)
        canvas.dot((there, lead(there)), named("x", number + 1) if number < 2 else "", step=step, side="right")
    return canvas


@scene
def polytope() -> Canvas:
    """Four affine classes: the fourth one's region, and its nearest face."""
    classifier, x = worlds.four(), worlds.image(0.5, 0.55)
    canvas = Canvas("polytope", "The polytope of class 4, and the projection of x0 onto its nearest face")
    canvas.regions(classifier)
    for other in range(3):
        canvas.line(*tangent(classifier, x, 3, other), kind="thin")
    found = watch(DeepFool(overshoot=0.0), classifier, x).outcome.images[0]
    canvas.arrow(x, found)
    canvas.dot(x, "x₀", kind="image", side="below")
    _classes(canvas)
    return canvas


@scene
def linearised() -> Canvas:
    """Four classes with bent boundaries: the polytope that their linearisations are, at each iterate."""
    classifier, x = worlds.discs(), worlds.image(0.5, 0.4)
    canvas = Canvas("linearised", "Bent boundaries of class 4 and the polytope that DeepFool sees from each iterate")
    canvas.regions(classifier)
    points = watch(DeepFool(), classifier, x).points(slope=True)
    canvas.say("The image x₀, of class 4. The boundaries are curves.")
    for number, (here, there) in enumerate(pairwise(points)):
        step = canvas.say(f"From {named('x', number)} they look like these planes.")
        for other in range(3):
            canvas.line(*tangent(classifier, here, 3, other), kind="seen", step=step, until=step + 1)
        step = canvas.say(f"{named('x', number + 1)} is the nearest point of the nearest plane.")
        canvas.arrow(here, there, step=step)
        canvas.dot(there, named("x", number + 1) if number < 2 else "", step=step, side=("above", "right")[number % 2])
    for other in range(3):
        canvas.line(*tangent(classifier, x, 3, other), kind="first")
    canvas.dot(x, "x₀", kind="image", side="below")
    _classes(canvas)
    return canvas


def _classes(canvas: Canvas) -> None:
    for name, place in (("class 1", (0.05, 0.88)), ("class 2", (0.72, 0.9)), ("class 3", (0.8, 0.2)),
                        ("class 4", (0.25, 0.2))):  # fmt: skip
        canvas.text(place, name)


@scene
def flat_boundary() -> Canvas:
    """The boundary near an image is much like the plane through the nearest boundary point."""
    classifier, x = worlds.disc(), worlds.image(0.3, 0.26)
    canvas = Canvas("flat-boundary", "The boundary near x and the plane through the boundary point found by DeepFool")
    canvas.regions(classifier)
    found = watch(DeepFool(overshoot=0.0), classifier, x).outcome.images[0]
    w, gap = tangent(classifier, found, 0, 1)
    canvas.line(w, gap, kind="seen")
    canvas.arrow(x, found)
    unit = -w / w.norm() * 0.2
    (a, b), (u, v) = at(found), at(unit)
    canvas.arrow(found, (a + u, b + v), kind="slope")
    canvas.text((a + u, b + v), "w")
    (c, d) = at(x)
    canvas.text(((a + c) / 2, (b + d) / 2), "v", side="below")
    canvas.dot(x, "x", kind="image", side="left")
    canvas.dot(found, "x + v", side="right")
    return canvas


@scene
def sparsefool() -> Canvas:
    """Up to the boundary in L2, a plane there, and to that plane along few pixels."""
    classifier, x = worlds.disc(), worlds.image(0.1, 0.22)
    canvas = Canvas("sparsefool", "SparseFool: DeepFool's way to the boundary, the plane there, a step along one pixel")
    canvas.regions(classifier)
    canvas.say("The image x⁰.")
    canvas.dot(x, "x⁰", kind="image", side="below")
    here, steps = x, 1
    while steps < 6:
        method = SparseFool(lam=1.0, trim=0, max_steps=steps)
        walk = watch(method, classifier, x)
        before = watch(SparseFool(lam=1.0, trim=0, max_steps=steps - 1), classifier, x) if steps > 1 else None
        asked = walk.points(slope=True)[len(before.points(slope=True)) if before else 0 :]
        near = [one for one in asked if not torch.equal(one, here)]
        there = walk.outcome.images[0]
        if torch.equal(there, here):
            break
        step = canvas.say(f"DeepFool goes from {_raised('x', steps - 1)} to the boundary, in L2.")
        for a, b in pairwise([here, *near]):
            canvas.arrow(a, b, kind="helper", step=step)
        foot = near[-1] if near else here
        canvas.line(*tangent(classifier, foot, 0, 1), kind="seen", step=step, until=step + 1)
        step = canvas.say(f"To that plane along the pixel that counts most: {_raised('x', steps)}.")
        canvas.arrow(here, there, step=step)
        canvas.dot(there, _raised("x", steps), step=step, side="below")
        if bool(walk.outcome.claimed[0]):
            break
        here, steps = there, steps + 1
    canvas.say("The class has changed.")
    return canvas


def _raised(letter: str, number: int) -> str:
    return letter + str(number).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
