"""Whether gradients lead anywhere at all: with no budget but the box, a plain descent must fool every image."""

from brittle.errors import Flag
from brittle.geometry.box import clip
from brittle.goals import Untargeted
from brittle.models.classifier import Classifier
from brittle.text import counted
from brittle.types import Images, Labels, Logits

_IMAGES = 16
_STEPS, _SIZE = 20, 0.1  # measured: networks trained to be robust are fooled after 9 steps at most, others after 4
_SHARE = 0.1  # of the images: so many may withstand


def unbroken_flag(
    classifier: Classifier, images: Images, labels: Labels, logits: Logits, gradient: Images
) -> Flag | None:
    """A flag where signed gradient steps in the whole box leave more than a tenth of the images with their class.

    Only images that are classified as their labels say are tried, 16 at the most; at eps = 1 any image is allowed, so
    that one of another class is, too. logits, gradient: at the images, so that the first step takes no pass.
    """
    rows = (logits.argmax(1) == labels).nonzero().squeeze(1)[:_IMAGES]
    x, slope, goal, of = images[rows], gradient[rows], Untargeted(labels[rows]), len(rows)
    for _ in range(_STEPS - 1):
        x = _moved(x, slope)
        if not len(x):
            return None
        seen, slope = classifier.gradient(x, goal.loss)
        left = ~goal.is_met(seen)
        x, slope, goal = x[left], slope[left], goal[left]
    withstand = int((~goal.is_met(classifier.logits(_moved(x, slope)))).sum()) if len(x) else 0
    if withstand <= _SHARE * of:
        return None
    return Flag(
        "unbroken-at-eps-1",
        f"{withstand} of {counted(of, 'image')} withstand {_STEPS} gradient steps that may change every pixel"
        f" as they like: no"
        " network is robust to that, so its gradients do not lead where it fails, and gradient attacks understate how"
        " easily it does",
    )


def _moved(x: Images, slope: Images) -> Images:
    return clip(x + _SIZE * slope.nan_to_num().sign())
