"""Randomness that belongs to an example: drawn from the run's seed, the example's id and a purpose alone."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor


@final
@dataclass(frozen=True, slots=True)
class Rng:
    """Keyed random draws, one stream per example.

    A draw is a pure function of ``(seed, id, purpose)``: there is no state to advance, so an example gets the same
    numbers in any batch, order, worker or subset, and the global generator is never touched.
    """

    seed: int
    ids: tuple[str, ...]

    def __getitem__(self, rows: Tensor | slice) -> "Rng":
        """The streams of some rows, in that order; ``rows`` indexes (or masks, or slices) as it would a tensor."""
        picked = torch.arange(len(self.ids))[rows.cpu() if isinstance(rows, Tensor) else rows]
        return Rng(self.seed, tuple(self.ids[row] for row in picked.tolist()))

    def another(self, purpose: str) -> "Rng":
        """The same examples with draws of their own, for a part that asks for the same purposes again."""
        return Rng(hashed(f"{self.seed}\0{purpose}"), self.ids)

    def uniform(self, purpose: str, like: Tensor) -> Tensor:
        """Uniform in ``[0, 1)``, shaped, typed and placed as ``like`` (``[B, ...]``, ``B = len(ids)``)."""
        return self._draw(purpose, like, normal=False)

    def normal(self, purpose: str, like: Tensor) -> Tensor:
        """Standard normal, shaped, typed and placed as ``like`` (``[B, ...]``, ``B = len(ids)``)."""
        return self._draw(purpose, like, normal=True)

    def bytes(self, purpose: str, like: Tensor) -> Tensor:
        """Uniform over the odd numbers from -255 to 255, at a fraction of what normal ones cost, placed as ``like``."""
        numbers = like[:1].numel()
        out = torch.empty(len(like), -(-numbers // 8), dtype=torch.int64)
        for row, generator in self._generators(purpose, out):
            row.random_(-(2**63), None, generator=generator)
        signed = out.view(torch.int8)[:, :numbers].reshape(like.shape)
        return signed.to(like).mul_(2).add_(1)

    def _draw(self, purpose: str, like: Tensor, *, normal: bool) -> Tensor:
        out = torch.empty(like.shape, dtype=like.dtype)
        for row, generator in self._generators(purpose, out):
            if normal:
                row.normal_(generator=generator)
            else:
                row.uniform_(generator=generator)
        return out.to(like.device)

    def _generators(self, purpose: str, out: Tensor) -> Iterator[tuple[Tensor, torch.Generator]]:
        if len(out) != len(self.ids):
            raise ValueError(f"expected one row per id ({len(self.ids)}), got {len(out)} rows")
        generator = torch.Generator()
        for row, name in zip(out, self.ids, strict=True):
            generator.manual_seed(hashed(f"{self.seed}\0{name}\0{purpose}"))
            yield row, generator


def hashed(text: str) -> int:
    """A seed of its own for every text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)
