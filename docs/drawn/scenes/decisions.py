"""HopSkipJump, which sees no more than on which side of the boundary a point is."""

from brittle.attacks import HopSkipJump
from brittle.geometry.norms import L2
from drawn import worlds
from drawn.canvas import Canvas
from drawn.scene import scene
from drawn.watched import watch


@scene
def hopskipjump() -> Canvas:
    """Back to the boundary, a guess of its normal from probes, a leap."""
    classifier, x = worlds.bent_two(), worlds.image(0.3, 0.36)
    canvas = Canvas("hopskipjump", "HopSkipJump: probes about the boundary, leaps, and ways back towards the image")
    canvas.regions(classifier)
    walk = watch(HopSkipJump(queries=400), classifier, x)
    canvas.say("The image.")
    others = 0
    step = canvas.say("Random images until one is of another class, and back along the line.")
    for asked in walk.asked:
        if len(asked.images) > 1:
            step = canvas.say(f"{len(asked.images)} probes: on which side is each? Their mean is the normal.")
            for one in asked.images:
                canvas.dot(one, kind="probe", step=step, until=step)
            others = 0
            continue
        if others == 0 and step > 1:
            step = canvas.say("A leap along it, and back towards the image until the boundary is met.")
        others += 1
        canvas.dot(asked.images[0], kind="ask", step=step)
    found = walk.outcome.images[0]
    canvas.ball(L2, x, float((found - x).norm()), kind="ball")
    canvas.dot(x, "x", kind="image", side="left")
    canvas.dot(found, "found", kind="found", side="above")
    return canvas
