"""A small CNN for the bundled 8 x 8 digits, trained on the spot in a second or two: what the offline demo attacks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import final

import torch
from torch import nn
from torch.nn import functional

from brittle.types import Images, Labels, Logits

_BATCH = 64
_PEAK_RATE = 0.01


@final
class DigitsCNN(nn.Module):
    """Two convolutions and two linear layers. Grey images ``[B, 1, 8, 8]`` in [0, 1] -> logits ``[B, 10]``."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(32 * 4 * 4, 64), nn.ReLU(), nn.Linear(64, 10))

    def forward(self, images: Images) -> Logits:
        """Logits ``[B, 10]``."""
        logits: Logits = self.head(self.features(images))
        return logits


def train_digits_cnn(
    images: Images,
    labels: Labels,
    *,
    seed: int = 0,
    epochs: int = 8,
    progress: Callable[[int, int], None] | None = None,
) -> DigitsCNN:
    """A network trained on ``images`` (float ``[N, 1, 8, 8]`` in [0, 1]) with ``labels`` (int64 ``[N]``), in eval mode.

    Adam with a one-cycle learning rate. Same data and seed, same weights on a CPU; the global generator is untouched.
    ``progress(done, epochs)`` is called after each epoch.
    """
    generator = torch.Generator().manual_seed(seed)
    net = _initialised(generator)
    steps = epochs * -(-len(images) // _BATCH)
    optimiser = torch.optim.Adam(net.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _PEAK_RATE, total_steps=max(steps, 1))
    with _one_thread(), torch.enable_grad():
        for epoch in range(epochs):
            order = torch.randperm(len(images), generator=generator)
            for start in range(0, len(images), _BATCH):
                rows = order[start : start + _BATCH]
                optimiser.zero_grad()
                torch.autograd.backward(functional.cross_entropy(net(images[rows]), labels[rows]))
                optimiser.step()
                schedule.step()
            if progress is not None:
                progress(epoch + 1, epochs)
    return net.eval()


def _initialised(generator: torch.Generator) -> DigitsCNN:
    """He-initialised from ``generator``; the constructors' own draws are undone in the global one."""
    with torch.random.fork_rng(devices=[]):
        net = DigitsCNN()
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return net


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums over threads round differently for each number of threads; at this size one thread is as fast."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
