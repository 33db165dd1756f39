"""Randomness that belongs to an example: drawn from the run's seed, the example's id and a purpose alone."""

import hashlib
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
        return Rng(_hashed(f"{self.seed}\0{purpose}"), self.ids)

    def uniform(self, purpose: str, like: Tensor) -> Tensor:
        """Uniform in ``[0, 1)``, shaped, typed and placed as ``like`` (``[B, ...]``, ``B = len(ids)``)."""
        return self._draw(purpose, like, normal=False)

    def normal(self, purpose: str, like: Tensor) -> Tensor:
        """Standard normal, shaped, typed and placed as ``like`` (``[B, ...]``, ``B = len(ids)``)."""
        return self._draw(purpose, like, normal=True)

    def _draw(self, purpose: str, like: Tensor, *, normal: bool) -> Tensor:
        if len(like) != len(self.ids):
            raise ValueError(f"expected one row per id ({len(self.ids)}), got {len(like)} rows")
        out = torch.empty(like.shape, dtype=like.dtype)
        generator = torch.Generator()
        for row, name in zip(out, self.ids, strict=True):
            generator.manual_seed(_hashed(f"{self.seed}\0{name}\0{purpose}"))
            if normal:
                row.normal_(generator=generator)
            else:
                row.uniform_(generator=generator)
        return out.to(like.device)


def _hashed(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)
