"""Lipschitz constants of small networks: LipSDP with one multiplier a unit, without a solver, and the product."""

from typing import NamedTuple

import torch
from torch import Tensor

from brittle.explain.chain import Chain

STEPS = 200  # of networks with 16 hidden units, 100 come within 1 in 1,000 of 3,000
MOST_UNITS = 512
"""Hidden units of all layers together, up to which it is a matter of seconds or a few minutes."""

_SLOPES = {"relu": 1.0, "tanh": 1.0, "sigmoid": 0.25}


class Multipliers(NamedTuple):
    """What proves a constant. squared: ``[P]``, of each pair; layers: the multipliers ``[P, n_k]`` of each layer."""

    squared: Tensor
    layers: tuple[Tensor, ...]


def lipsdp(chain: Chain) -> Tensor:
    """``[K, K]``: L2 Lipschitz constants of the difference of each two logits, for all images.

    LipSDP-Neuron (Fazlyab et al. 2019, arXiv:1906.04893, theorem 1 and section 4): the smallest rho for which a block
    tridiagonal matrix of rho, the weights, and a diagonal of multipliers is positive semidefinite. Here it is solved
    without a solver of cones. Schur complements from the output to the pixels turn the constraint into one eigenvalue:
    for any multipliers T, brought to a length at which every complement is positive, rho is the largest eigenvalue of
    ``W0' T1 S1^-1 T1 W0``, and the network's constant is at most its root. So every step of a descent on T has a valid
    certificate, the first of them the product of the norms, and nothing rests on a tolerance of convergence.
    """
    pairs = torch.combinations(torch.arange(len(chain.biases[-1])))
    ends = (chain.weights[-1][pairs[:, 0]] - chain.weights[-1][pairs[:, 1]]).unsqueeze(1)
    classes = len(chain.biases[-1])
    found = torch.zeros(classes, classes, dtype=torch.float64)
    squared = solved(chain, ends).squared.sqrt().cpu()
    found[pairs[:, 0], pairs[:, 1]] = squared
    return found + found.T


def product_constant(chain: Chain) -> float:
    """The product of the norms and slopes, of all logits together; of a difference of two it allows sqrt(2) times it
    (Tsuzuku et al. 2018, arXiv:1802.04034)."""
    value = torch.ones((), dtype=torch.float64)
    for weight in chain.weights:
        value = value * torch.linalg.matrix_norm(weight, 2)
    for activation in chain.activations:
        value = value * _SLOPES[activation]
    return float(value)


def solved(chain: Chain, ends: Tensor, steps: int = STEPS) -> Multipliers:
    """The same with its proof, of some last matrices ``[P, rows, n]``; the slopes are part of the weights."""
    slopes = [_SLOPES[one] for one in chain.activations]
    if not slopes:  # the last matrix is the only one
        return Multipliers(torch.linalg.matrix_norm(ends, 2).square(), ())
    weights = [chain.weights[0], *(w * s for w, s in zip(chain.weights[1:-1], slopes, strict=False))]
    ends = ends * slopes[-1]
    gram = weights[0] @ weights[0].T
    sizes = [len(one) for one in weights]
    shapes = [torch.zeros(len(ends), size, dtype=torch.float64, device=gram.device).requires_grad_() for size in sizes]
    lengths = [torch.zeros(len(ends), dtype=torch.float64, device=gram.device).requires_grad_() for _ in sizes]
    optimiser = torch.optim.Adam([*shapes, *lengths], lr=0.1)
    best = Multipliers(torch.full((len(ends),), torch.inf, dtype=torch.float64, device=gram.device), ())
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 0.1 * (1 - step / steps) + 1e-3
        with torch.inference_mode(False), torch.enable_grad():
            now = _certificate(weights[1:], gram, ends, shapes, lengths)
            gradients = torch.autograd.grad(now.squared.log().sum(), [*shapes, *lengths])
        for one, gradient in zip([*shapes, *lengths], gradients, strict=True):
            one.grad = gradient
        optimiser.step()
        better = now.squared.detach() < best.squared
        layers = tuple(one.detach() for one in now.layers)
        kept = best.layers or layers
        best = Multipliers(
            torch.where(better, now.squared.detach(), best.squared),
            tuple(torch.where(better.unsqueeze(1), one, other) for one, other in zip(layers, kept, strict=True)),
        )
    return best


def _certificate(
    inner: list[Tensor], gram: Tensor, ends: Tensor, shapes: list[Tensor], lengths: list[Tensor]
) -> Multipliers:
    """What some multipliers prove. shapes: their logarithms; lengths: how far beyond the least that is allowed.

    From the output on: with Q what the layers behind ask for, T is made so long that ``2 T - Q`` is positive definite.
    """
    asked = ends.transpose(1, 2) @ ends
    layers = list[Tensor]()
    for number in reversed(range(len(shapes))):
        shape = shapes[number].exp()
        root = shape.rsqrt()
        least = torch.linalg.eigvalsh(root.unsqueeze(2) * asked * root.unsqueeze(1))[:, -1].clamp_min(1e-12) / 2
        layer = shape * (least * (1 + lengths[number].exp())).unsqueeze(1)
        layers.insert(0, layer)
        factor = torch.linalg.cholesky(2 * torch.diag_embed(layer) - asked)
        if number:
            half = torch.linalg.solve_triangular(factor, layer.unsqueeze(2) * inner[number - 1], upper=False)
            asked = half.transpose(1, 2) @ half
    half = torch.linalg.solve_triangular(factor, torch.diag_embed(layers[0]), upper=False)
    squared = torch.linalg.eigvalsh(half @ gram @ half.transpose(1, 2))[:, -1]
    return Multipliers(squared, tuple(layers))
