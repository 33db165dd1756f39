"""Universal perturbations: one vector, pushed out of one region after another."""

from functools import partial

import torch
from torch import Tensor, nn

from brittle.attacks import DeepFool, Universal
from brittle.attacks.universal.pool import Pool
from brittle.data import examples_of
from brittle.geometry.box import clip
from brittle.geometry.norms import L2
from brittle.models.network import Network
from brittle.types import Images, Logits
from drawn import worlds
from drawn.canvas import Canvas
from drawn.scene import scene

_NAMES = ("x₁", "x₂", "x₃")


class _Moved(nn.Module):
    """What a network says of an image, as a function of what is added to that image less the middle of the plane."""

    def __init__(self, inner: Network, image: Tensor) -> None:
        super().__init__()
        self.inner, self.image = inner, image

    def forward(self, images: Images) -> Logits:
        return self.inner.logits(self.image + images)


@scene
def universal() -> Canvas:
    """Three images on top of each other: v leaves the region of each in turn."""
    classifier, seed = worlds.four(), 0
    images = torch.stack([worlds.image(0.6, 0.39), worlds.image(0.53, 0.79), worlds.image(0.23, 0.63)])
    method = Universal(eps=0.3, rate=1.0, passes=2, batch=1, attack=DeepFool(overshoot=0.1))
    canvas = Canvas("universal", "The perturbation v, pushed out of the regions of three images in turn",
                    low=(-0.4, -0.4), high=(0.4, 0.4))  # fmt: skip
    own = classifier.logits(images).argmax(1).tolist()
    for number, (one, label) in enumerate(zip(images, own, strict=True), start=1):
        moved = worlds.network(_Moved(classifier, one))
        canvas.level(moved, partial(_lead, label=label), kind=f"rim c{number}")
    canvas.ball(L2, (0.0, 0.0), method.eps)
    canvas.say("v = 0. Each coloured line is where v takes one of the images out of its class.")
    for row, start, end in _ways(classifier, images, method, seed):
        step = canvas.say(f"{_NAMES[row]} + v is still of its class: v goes out of that region.")
        canvas.arrow(start, end, kind=f"way c{row + 1}", step=step)
    canvas.say("All three images have left their class.")
    canvas.dot((0.0, 0.0), "v = 0", kind="image", side="below")
    return canvas


def _lead(logits: Tensor, label: int) -> Tensor:
    others = logits.clone()
    others[:, label] = -torch.inf
    return logits[:, label] - others.amax(1)


def _ways(classifier: Network, images: Images, method: Universal, seed: int) -> list[tuple[int, Tensor, Tensor]]:
    """Of each image that v did not fool when its turn came: its row, v before, and v after.

    A fit says what it has come to, not how. So its steps are gone once more, and must end where it has.
    """
    examples = examples_of(images)
    pool, v, ways = Pool(classifier, examples, seed), torch.zeros_like(images[:1]), list[tuple[int, Tensor, Tensor]]()
    for number in range(method.passes):
        for row in pool.order(f"universal order {number}"):
            x = clip(images[row] + v)
            if int(classifier.logits(x).argmax(1)) != int(pool.predicted[row]):
                continue
            found = method.attack(classifier, x, pool.goal([row]), rng=pool.rng[torch.tensor([row])])
            after = L2.project(v + found.images - x, method.eps)
            ways.append((row, v, after))
            v = after
        if pool.fooled(v) >= method.rate:
            break
    fitted = method.fit(classifier, examples, seed=seed).values
    assert torch.allclose(v[0], fitted, atol=1e-6), "what is drawn is not what was fitted"
    return ways
