"""The mean over several crops of an image (Graese et al. 2016, arXiv:1610.04256)."""

from dataclasses import dataclass
from typing import final

from brittle.catalog import option
from brittle.defend.crop_resize import cropped
from brittle.defend.defence import register_defence
from brittle.defend.views import Viewed
from brittle.models.classifier import Classifier
from brittle.types import Images


@register_defence("multi-crop", paper="arXiv:1610.04256", attacker="its own gradient, through all crops")
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class MultiCrop:
    """Answers by the mean logits of five crops, the corners and the middle, each enlarged to the image's size."""

    keep: float = option(0.85, "share of each side that a crop keeps", above=0, below=1)

    def around(self, classifier: Classifier, seed: int) -> Classifier:
        return Viewed(classifier, self)

    @property
    def count(self) -> int:
        return 5

    @property
    def drawn(self) -> int:
        return 0

    def answered(self, images: Images) -> list[Images]:
        """The five crops."""
        sides = images.shape[2:]
        height, width = (max(1, round(side * self.keep)) for side in sides)
        down, right = sides[0] - height, sides[1] - width
        places = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
        return [cropped(images, top, left, height, width) for top, left in places]

    def attacked(self, images: Images) -> list[Images]:
        """The same."""
        return self.answered(images)
