"""Minimal: the strongest minimal attack that brittle has for a norm, at its recommended settings."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from brittle.attacks.minimal.boundary_walk import BoundaryWalk
from brittle.attacks.minimal.fewest import fewest_pixels
from brittle.attacks.minimal.shrinking_ball import ShrinkingBall, descend
from brittle.attacks.parts.asking import Asking, asking_nearest
from brittle.attacks.parts.best import Nearest
from brittle.attacks.parts.contract import Outcome
from brittle.attacks.parts.rows import kept, rows_where
from brittle.attacks.parts.trim import trim
from brittle.catalog import option, register
from brittle.geometry.norms import L0, L1, L2, LINF, Lp, NormLike, norm_of
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images

_SETTINGS = {"l1": (20, 32, 36), "l2": (4, 16, 36), "linf": (7, 20, 24)}
"""Steps of the walk, of its polish, and of each descent from far away; in other norms 14, none and 36."""
_RING = 0.3  # first relative change of the radius on the way from L2 to L1


@register(
    "minimal",
    paper="doi:10.1016/0045-7949(78)90046-9",
    kind="minimal",
    cost="20 to 40 (F + B), in l1 120; where the boundary bends 150, in l1 200, and where few pixels change 200 to 400"
    " F more; in l0 some 200 F + 3 B, there 400 to 500 F + 10 B",
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Minimal:
    """The answer without the choice: the strongest minimal attack for the norm, which spends more where it must.

    In L0 see ``fewest.py``: a search from coarse to fine, and exchanges. In all other norms each image
    begins with a ``BoundaryWalk`` of 4 candidates and few steps. That is nearly all that ordinary networks need: where
    the walk ends, the boundary is much what it seemed to be from the image. Where it is not, because its normal has
    turned by more than 63 degrees, or it is far nearer or farther than the plane that was seen, as on networks that
    resist, or where the walk found nothing, ``ShrinkingBall`` follows from far away; the smaller of both is kept. In
    L1, where a walk jumps from pixel to pixel, all other images are descended to once more, from where a walk in L2
    ends.
    """

    norm: NormLike = option(L2, "norm to minimise: l0, l1, l2, linf or lP", among=(L0, L1, L2, LINF, Lp))

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        norm = norm_of(self.norm)
        asking = asking_nearest(classifier, images, goal, norm)
        if norm == L0:
            fewest_pixels(asking, rng)
            return asking.outcome()
        steps, polish, far = _SETTINGS.get(norm.name, (14, 0, 36))
        walk = BoundaryWalk(norm=norm, steps=steps, candidates=4, polish=polish)
        walked = walk.walk(asking)
        straight, bent = rows_where(~walked.bends), rows_where(walked.bends)
        walk.finish(asking, walked, straight)
        if norm == L1:
            _by_way_of_l2(asking, straight)
        ShrinkingBall(norm=norm, steps=far).down(asking, bent, rng)
        trim(asking, bent)
        return asking.outcome()


def _by_way_of_l2(asking: Asking[Nearest], rows: Tensor) -> None:
    """A second way to a local optimum in L1, whose walk jumps from pixel to pixel: from where that in L2 ends."""
    (rows,) = kept(asking.best.size[rows] > 0, rows)
    inner = asking_nearest(asking.classifier, asking.images[rows], asking.goal[rows], L2)
    BoundaryWalk(norm=L2, steps=_SETTINGS["l2"][0], candidates=4, polish=0).walk(inner)
    asking.add(rows, *inner.counts)
    rows, x = kept(inner.best.claimed, rows, inner.best.images)
    descend(asking, L1, rows, x, _SETTINGS["l1"][1], _RING, near=True)
    trim(asking, rows)
