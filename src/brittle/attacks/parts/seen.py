"""What of a change a classifier sees: where small changes are compared, the rest has no place in them."""

from brittle.attacks.parts.contract import Attack, Outcome
from brittle.catalog import entry_of
from brittle.models.classifier import Classifier
from brittle.models.front import taken_back
from brittle.types import Images


def seen_of(attack: Attack, classifier: Classifier, images: Images, outcome: Outcome) -> Outcome:
    """What a minimal attack has made, rid of what the classifier does not see of it; what others have, as it is.

    Neither that of another library is changed, nor that of a wrapper or of one that promises more than a small norm.
    """
    entry = entry_of(attack)
    if entry.kind != "minimal" or ":" in entry.name:
        return outcome
    return outcome._replace(images=taken_back(classifier, images, outcome.images))
