"""Few pixels: lines through an image, and squares of one."""

from brittle.attacks import FewPixel
from drawn import worlds
from drawn.canvas import Canvas, at
from drawn.scene import scene
from drawn.watched import watch


@scene
def few_pixel() -> Canvas:
    """One of two pixels may change: candidates are on a cross."""
    classifier, x = worlds.disc(), worlds.image(0.3, 0.56)
    canvas = Canvas("few-pixel", "One-pixel candidates lie on the two lines through x that are parallel to the axes")
    canvas.regions(classifier)
    a, b = at(x)
    canvas.path([(0.0, b), (1.0, b)], kind="thin")
    canvas.path([(a, 0.0), (a, 1.0)], kind="thin")
    walk = watch(FewPixel(population=40, generations=4, levels=256, stop_below=1e-6), classifier, x)
    canvas.say("The image, and all images that differ from it in one pixel.")
    for number, asked in enumerate(walk.asked[1:]):
        step = canvas.say(f"Block {number % 5 + 1} of generation {number // 5}.")
        for one in asked.images:
            canvas.dot(one, kind="ask", step=step)
    canvas.dot(x, "x", kind="image", side="above")
    canvas.dot(walk.outcome.images[0], "best", kind="found", side="above")
    return canvas
