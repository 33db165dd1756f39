"""One HTML file with networks and images in it, which are attacked where it is read."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from brittle.errors import BrittleError
from brittle.explain.inside import network_of
from brittle.models.classifier import Classifier
from brittle.pages.html import LIMIT, page
from brittle.pages.pictures import CUT_OFF, FACTORS, GREY, LOSSY, PIXELATED
from brittle.types import Images, Labels
from brittle.web.layers import sequence_of
from brittle.web.written import images_written, layers_written

HERE = Path(__file__).parent
MATHS = ("draws.js", "network.js", "attacks.js", "pictures.js")
"""What computes; they know nothing of a page."""
RULE = {"factors": FACTORS, "cutOff": CUT_OFF, "lossy": LOSSY, "grey": GREY}
"""Of amplification."""
SHOWS = ("drawing.js", "explorer.js")


@final
@dataclass(frozen=True, slots=True)
class Known:
    """What Python has found by one attack, of each image in order: whether it was fooled, and how far it went.

    attack, options: as the page calls them. size: in the attack's norm. steps: of the attack.
    """

    label: str
    attack: str
    options: dict[str, Any]
    fooled: Sequence[bool]
    size: Sequence[float]
    steps: Sequence[int]


@final
@dataclass(frozen=True, slots=True)
class Exhibit:
    """A network with images ``[n, C, H, W]`` in [0, 1], on the CPU, their labels and ids; known: found in Python."""

    name: str
    classifier: Classifier
    images: Images
    labels: Labels
    ids: Sequence[str]
    class_names: Sequence[str]
    known: Sequence[Known] = field(default=())


def explorer_page(exhibits: Sequence[Exhibit], data: str, *, seed: int = 0) -> str:
    """The page, at most 5 MB. data: what the images are called. seed: of what attacks draw, as in Python.

    BrittleError for what is no network of a few known layers, and for what does not fit into a page.
    """
    written = [_written(one) for one in exhibits]
    context = {
        "networks": [one.name for one in exhibits],
        "images": min(len(one.images) for one in exhibits),
        "known": any(one.known for one in exhibits),
        "data": data,
        "content": {"networks": written, "seed": seed, "rule": RULE, "pixelated": PIXELATED},
    }
    scripts = [(HERE / name).read_text(encoding="utf-8") for name in (*MATHS, *SHOWS)]
    made = page(HERE, "explorer.html.j2", context, styles=("explorer.css",), scripts=scripts)
    size = len(made.encode("utf-8"))
    if size > LIMIT:
        names = ", ".join(one.name for one in exhibits)
        raise BrittleError(
            f"expected a page of at most {LIMIT / 1e6:.1f} MB, got {size / 1e6:.1f} MB for {names}; export an audit of"
            " smaller networks, or of fewer"
        )
    return made


def _written(one: Exhibit) -> dict[str, Any]:
    network = network_of(one.classifier)
    if network.reject is not None:
        raise BrittleError(f"expected a network without a reject class, got {one.name!r}; no page can attack it yet")
    some = one.images[:2] if len(one.images) > 1 else one.images.expand(2, -1, -1, -1)
    return {
        "name": one.name,
        "classes": list(one.class_names),
        "shape": list(one.images.shape[1:]),
        "layers": layers_written(sequence_of(network, some), some[:1]),
        "images": images_written(one.images),
        "labels": one.labels.tolist(),
        "ids": list(one.ids),
        "known": [
            {
                "label": known.label,
                "attack": known.attack,
                "options": known.options,
                "fooled": list(known.fooled),
                "size": list(known.size),
                "steps": list(known.steps),
            }
            for known in one.known
        ],
    }
