"""The largest singular value of a linear map that is given by its products alone."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

_TOLERANCE = 1e-6  # of the largest eigenvalue: float32 products give no more
_MOST = 300  # products with the map and its transpose, each


def largest_singular_value(gram: Callable[[Tensor], Tensor], start: Tensor) -> float:
    """The largest singular value of A, from products ``x -> A^T A x`` (or ``A A^T x``) that start at any vector.

    That is power iteration, with all its products used: Lanczos' three-term recurrence (Golub and Kahan 1965,
    doi:10.1137/0702016; Paige 1971 on why the largest value is right without keeping vectors orthogonal). It ends where
    the residual says that an eigenvalue lies within a millionth of the largest; what is returned includes the residual,
    as bounds are made of it. start: float32, of the shape of x; the result is of its direction only where that is
    orthogonal to what is looked for, which a random one is not.
    """
    now = start / start.norm().clamp_min(torch.finfo(start.dtype).tiny)
    before, beta = torch.zeros_like(now), 0.0
    alphas, betas = list[float](), list[float]()
    value = residual = 0.0
    for _ in range(_MOST):
        after = gram(now)
        alphas.append(float((after.double() * now.double()).sum()))
        after = after - alphas[-1] * now - beta * before
        beta = float(after.double().norm())
        values, vectors = torch.linalg.eigh(_tridiagonal(alphas, betas))
        value, residual = float(values[-1]), beta * abs(float(vectors[-1, -1]))
        if residual <= _TOLERANCE * value or not math.isfinite(value):
            break
        betas.append(beta)
        before, now = now, after / beta
    return math.sqrt(max(value + residual, 0.0))


def linear_norm(function: Callable[[Tensor], Tensor], at: Tensor) -> float:
    """The L2 operator norm of what is linear in an affine function of tensors like ``at``, by autograd's adjoint."""
    start = torch.randn(at.shape, generator=torch.Generator().manual_seed(0)).to(at.device)

    def gram(vector: Tensor) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            leaf = vector.clone().requires_grad_()
            moved = function(leaf) - offset
            (back,) = torch.autograd.grad(moved, leaf, moved.detach())
        return back

    with torch.no_grad():
        offset = function(torch.zeros_like(start))
    return largest_singular_value(gram, start)


def jacobian_norm(function: Callable[[Tensor], Tensor], image: Tensor) -> float:
    """The largest singular value of the Jacobian of a function at ``[1, ...]``: below any Lipschitz constant in L2.

    One forward pass; products with the Jacobian's transpose are backward passes (vjp), those with the Jacobian the
    derivative of these in their cotangent (jvp). They start at the outputs: of K of them there are K products at most.
    """
    with torch.inference_mode(False), torch.enable_grad():
        leaf = image.detach().clone().requires_grad_()
        output = function(leaf)
        if not output.requires_grad:
            return 0.0
        dummy = torch.zeros_like(output).requires_grad_()
        (back,) = torch.autograd.grad(output, leaf, dummy, create_graph=True)

        def gram(cotangent: Tensor) -> Tensor:
            (pulled,) = torch.autograd.grad(output, leaf, cotangent, retain_graph=True)
            (pushed,) = torch.autograd.grad(back, dummy, pulled, retain_graph=True)
            return pushed

        start = torch.randn(output.shape, generator=torch.Generator().manual_seed(0)).to(output.device)
        return largest_singular_value(gram, start)


def _tridiagonal(alphas: list[float], betas: list[float]) -> Tensor:
    off = torch.tensor(betas, dtype=torch.float64)
    return torch.diag(torch.tensor(alphas, dtype=torch.float64)) + torch.diag(off, 1) + torch.diag(off, -1)
