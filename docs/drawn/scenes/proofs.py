"""What is proven around an image, within what an attack has found."""

from brittle.attacks import Minimal
from brittle.explain.chain import chain_of
from brittle.geometry.norms import L2
from brittle.studies.certify import Proofs
from drawn import worlds
from drawn.canvas import Canvas
from drawn.scene import scene
from drawn.watched import watch

_KINDS = {"product": "c4", "ibp": "c1", "lipsdp": "c2", "crown": "c3"}


@scene
def proven() -> Canvas:
    """Radii by four proofs, and the distance of the nearest adversarial example known."""
    classifier, x = worlds.learnt(), worlds.image(0.42, 0.38)
    canvas = Canvas("proven", "Balls around x that four proofs certify, within the ball of the nearest image found")
    canvas.regions(classifier)
    found = watch(Minimal(), classifier, x).outcome.images[0]
    distance = float((found - x).norm())
    label = int(classifier.logits(x.unsqueeze(0)).argmax(1))
    radii = Proofs(chain_of(classifier, x.unsqueeze(0)), "l2").radii(x.double().flatten(), label, distance)
    for line, (name, radius) in enumerate(sorted(radii.items(), key=lambda one: one[1])):
        assert radius <= distance, f"{name} is no proof"
        canvas.ball(L2, x, radius, kind=f"ball {_KINDS[name]}")
        canvas.path([(0.67, 0.24 - 0.06 * line), (0.72, 0.24 - 0.06 * line)], kind=f"rim {_KINDS[name]}")
        canvas.text((0.72, 0.24 - 0.06 * line), f"{name} {radius:.3f}")
    canvas.ball(L2, x, distance)
    canvas.dot(x, "x", kind="image", side="below")
    canvas.dot(found, f"found {distance:.3f}", kind="found", side="above")
    return canvas
