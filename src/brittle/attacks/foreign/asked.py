"""A classifier as a module that other libraries can differentiate; what they draw at random, drawn from our seeds."""

import contextlib
import io
import random
from collections.abc import Iterator
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from brittle.models.classifier import Classifier
from brittle.types import Images, Logits


@final
class Asked(nn.Module):
    """Maps images to logits by asking the classifier, which counts each pass; gradients are its pull-backs.

    place: a parameter that nobody trains, by which libraries find the device.
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier
        self.place = nn.Parameter(torch.zeros((), device=classifier.device), requires_grad=False)
        self.eval()

    def forward(self, images: Images) -> Logits:
        pixels = images.float()
        if torch.is_grad_enabled() and pixels.requires_grad and self.classifier.access == "gradient":
            parts = [_Pass.apply(pixels[rows], self.classifier) for rows in self.classifier.chunks(len(pixels))]
            return torch.cat(parts)
        return self.classifier.logits(pixels.detach())


class _Pass(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Images, classifier: Classifier) -> Logits:
        logits, ctx.pullback = classifier.linearize(images.detach())
        return logits

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor, None]:
        return ctx.pullback(cotangents[0], more=True), None


@contextlib.contextmanager
def alone(seed: int) -> Iterator[None]:
    """Inside, every global generator starts from the seed, and nothing is printed; outside, none has moved."""
    states = np.random.get_state(), random.getstate()
    heard = io.StringIO()
    with torch.random.fork_rng(), contextlib.redirect_stdout(heard), contextlib.redirect_stderr(heard):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(states[0])
            random.setstate(states[1])
