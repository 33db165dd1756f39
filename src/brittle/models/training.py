"""How the networks of the zoo that come without weights are trained, on the spot."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import nn
from torch.nn import functional

from brittle.data.examples import Examples

Net = TypeVar("Net", bound=nn.Module)

_BATCH = 64


def trained(
    build: Callable[[], Net],
    examples: Examples,
    *,
    peak_rate: float,
    epochs: int,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Net:
    """The network that ``build`` makes, trained on labelled examples that fit it, in eval mode.

    Adam with a one-cycle learning rate. Same examples and seed, same weights on a CPU; the global generator is
    untouched. ``progress(done, epochs)`` is called after each epoch.
    """
    if examples.labels is None:
        raise ValueError(f"expected labelled examples to train on, {examples.source} has none")
    generator = torch.Generator().manual_seed(seed)
    net = _initialised(build, generator)
    steps = epochs * -(-len(examples) // _BATCH)
    optimiser = torch.optim.Adam(net.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, peak_rate, total_steps=max(steps, 1))
    with _one_thread(), torch.enable_grad():
        for epoch in range(epochs):
            order = torch.randperm(len(examples), generator=generator)
            for rows in torch.split(order, _BATCH):
                optimiser.zero_grad()
                logits = net(examples.read(rows.tolist()))
                torch.autograd.backward(functional.cross_entropy(logits, examples.labels[rows]))
                optimiser.step()
                schedule.step()
            if progress is not None:
                progress(epoch + 1, epochs)
    return net.eval()


def _initialised(build: Callable[[], Net], generator: torch.Generator) -> Net:
    """He-initialised from ``generator``; the constructors' own draws are undone in the global one."""
    with torch.random.fork_rng(devices=[]):
        net = build()
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return net


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums over threads round differently for each number of threads; at these sizes one is nearly as fast."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
