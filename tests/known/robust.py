"""A network that resists: trained against PGD, so that climbs and walks from the image are misled."""

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from brittle.data import digits_split

COUNT = 60


@cache
def trained() -> tuple[nn.Module, Tensor, Tensor]:
    """A small network after 100 steps against PGD at 0.2, and test images that it gets right."""
    train, test = digits_split()
    images, labels, wanted = train.images(0, len(train)), train.labels, test.labels
    assert labels is not None
    assert wanted is not None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(
            *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 10)),
        )
        optimiser = torch.optim.Adam(net.parameters(), lr=0.005)
        for step in range(100):
            rows = torch.randint(len(images), (64,))
            eps = 0.2 * min(1.0, step / 50)
            x, delta = images[rows], eps * (2 * torch.rand(64, 1, 8, 8) - 1)
            for _ in range(4):
                delta.requires_grad_()
                loss = functional.cross_entropy(net((x + delta).clamp(0, 1)), labels[rows])
                (gradient,) = torch.autograd.grad(loss, delta)
                delta = (delta.detach() + eps / 2 * gradient.sign()).clamp(-eps, eps)
            optimiser.zero_grad()
            torch.autograd.backward(functional.cross_entropy(net((x + delta).clamp(0, 1)), labels[rows]))
            optimiser.step()
        held_out = test.images(0, 2 * COUNT)
        right = (net(held_out).argmax(1) == wanted[: 2 * COUNT]).nonzero().squeeze(1)[:COUNT]
    return net.eval().requires_grad_(False), held_out[right], wanted[right]
