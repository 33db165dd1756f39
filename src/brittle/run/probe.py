"""The probe: what a network answers on a few fixed images. Weights and text alone do not tell its function, which an
attribute that ``forward`` reads, or another ``forward``, changes."""

import base64
import math

import numpy as np
import torch
from torch import Tensor

from brittle.data.examples import Examples
from brittle.devices import seed_draws
from brittle.models.classifier import Classifier
from brittle.records import Probe
from brittle.types import Images

_SYNTHETIC, _FROM_DATA = 4, 4
_SAME = (
    1e-4  # of the logits' size: far above what other kernels round differently, far below what another function does
)
_OFTEN = 4  # times its own noise that a network may differ from itself: the noise is a largest value of few draws


def take_probe(classifier: Classifier, examples: Examples, shape: tuple[int, int, int]) -> Probe:
    """The plain network's logits on synthetic images and on the data's first, and how repeatable they are.

    shape: C, H, W. The same network on the same machine gives the same, whatever its batch size and number of threads,
    within the tolerance of ``change_between``. The global random generators are left as they were.
    """
    images = torch.cat([_synthetic(shape), examples.images(0, _FROM_DATA).cpu()]).to(classifier.device)
    devices = [classifier.device] if classifier.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        # Twice in one batch: there are networks that do not run on one image, and kernels of their own for it.
        alone = torch.cat([_logits(classifier, image.repeat(2, 1, 1, 1))[:1] for image in images])
        together = _logits(classifier, images.flip(0)).flip(0)
    rounding = 2 * classifier.unit * float(alone.abs().amax())
    return Probe(
        classes=alone.shape[1],
        logits=base64.b64encode(alone.numpy().astype("<f4").tobytes()).decode("ascii"),
        noise=max(rounding, float((alone - together).abs().amax())),
    )


def change_between(stored: Probe, now: Probe, *, synthetic_only: bool = False) -> float | None:
    """How much two networks' answers differ, as a share of their size; None where it may be the same network.

    A network that differs from itself (random, dependent on the batch, in half precision) may differ as much from what
    is stored. synthetic_only: for data of which the first images may have changed.
    """
    rows = slice(0, _SYNTHETIC if synthetic_only else None)
    before, after = _answers(stored)[rows], _answers(now)[rows]
    if before.shape != after.shape:
        return math.inf
    size = float((before - before.mean(1, keepdim=True)).abs().amax())  # an offset common to all classes says nothing
    change = float((after - before).abs().amax())
    allowed = _SAME * size + _OFTEN * max(stored.noise, now.noise)
    return None if change <= allowed else change / max(size, torch.finfo(torch.float32).tiny)


def _logits(classifier: Classifier, images: Images) -> Tensor:
    """Under the same seed each time, so that a network that is random now and then is so at the same places."""
    seed_draws(classifier.device, 0)
    return classifier.logits(images, plain=True).cpu().nan_to_num()


def _answers(probe: Probe) -> Tensor:
    values = np.frombuffer(base64.b64decode(probe.logits), "<f4").copy()
    return torch.from_numpy(values).reshape(-1, probe.classes)


def _synthetic(shape: tuple[int, int, int]) -> Images:
    """Gratings across the image, without any symmetry, and not of 8 bits: what is done to pixels shows on them."""
    channels, height, width = shape
    down = torch.arange(height, dtype=torch.float64).view(1, height, 1) / height
    across = torch.arange(width, dtype=torch.float64).view(1, 1, width) / width
    channel = torch.arange(channels, dtype=torch.float64).view(channels, 1, 1)
    images = [
        0.5 + 0.5 * torch.sin(2 * math.pi * ((k + 1) * across + (1.7 * k + 0.6) * down**2 + 0.23 * channel + 0.11 * k))
        for k in range(_SYNTHETIC)
    ]
    return torch.stack(images).float()
