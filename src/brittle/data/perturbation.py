"""One perturbation for many images: a value that holds it, and the file that keeps it."""

import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from brittle.errors import BrittleError, did_you_mean
from brittle.geometry.norms import Norm, norm_named

SUFFIX = ".safetensors"
_KEY, _FORMAT = "perturbation", "brittle perturbation 1"


@final
@dataclass(frozen=True, eq=False, slots=True)
class Perturbation:
    """What is added to each image, and the budget that it keeps to; two of equal content are equal.

    values: float32 ``[C, H, W]`` on the CPU, not to be written to. norm, eps: its size is at most ``eps`` in ``norm``.
    about: how it was fitted, for people. digest: 16 hex digits, of all but ``about``. Made by ``Perturbation.of``.
    """

    values: Tensor
    norm: Norm
    eps: float
    about: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""

    @classmethod
    def of(cls, values: Tensor, *, norm: Norm, eps: float, about: Mapping[str, str] | None = None) -> "Perturbation":
        """Of float values ``[C, H, W]``, which are copied; BrittleError where they are no perturbation within eps."""
        return _checked(values.detach(), norm, float(eps), dict(about or {}), "the perturbation")

    def scaled(self, eps: float) -> "Perturbation":
        """Its values times ``eps / self.eps``; BrittleError where that is no budget, or nothing to be scaled."""
        if eps == self.eps:
            return self
        if not self.eps > 0:
            raise BrittleError(f"expected eps = 0, as the perturbation was fitted for, got {eps}")
        return Perturbation.of(self.values * (eps / self.eps), norm=self.norm, eps=eps, about=self.about)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Perturbation) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __str__(self) -> str:
        return f"sha256:{self.digest}"

    def __repr__(self) -> str:
        return f"Perturbation({self}, {_shape(self.values.shape)}, {self.norm.name}, eps={self.eps:.6g})"


def perturbation_of(given: "Perturbation | str | Path") -> Perturbation:
    """The perturbation itself, or the one in a file."""
    return given if isinstance(given, Perturbation) else read_perturbation(given)


def write_perturbation(perturbation: Perturbation, path: str | Path) -> None:
    """Writes it as safetensors, the whole file or none; BrittleError where that cannot be.

    One tensor, ``perturbation``: float32 ``[C, H, W]``, what is added to pixels in [0, 1]. Metadata, all text:
    ``format`` ("brittle perturbation 1"), ``norm`` ("l2"), ``eps`` (the budget in that norm), and what ``about``
    holds, which is for people: a file that another tool has made needs none of it.
    """
    target = Path(path)
    if target.suffix != SUFFIX:
        raise BrittleError(f"expected a file name that ends in {SUFFIX}, got {path}")
    says = {"format": _FORMAT, "norm": perturbation.norm.name, "eps": repr(perturbation.eps)}
    temporary = target.with_name(f".writing-{target.name}")
    try:
        try:
            # Not by save_file, which leaves a file that only its owner may read.
            temporary.write_bytes(save({_KEY: perturbation.values}, {**perturbation.about, **says}))
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise BrittleError(f"cannot write {str(target)!r}: {reason}") from None


def read_perturbation(file: str | Path) -> Perturbation:
    """What ``write_perturbation`` has written; a BrittleError for anything else."""
    path = Path(file)
    if not path.is_file():
        beside = [one.name for one in path.parent.glob(f"*{SUFFIX}")] if path.parent.is_dir() else []
        what = f"the directory {path}" if path.is_dir() else f"no file {path}"
        raise BrittleError(
            f"expected a perturbation file, got {what}{did_you_mean(path.name, beside) if beside else ''}"
        )
    try:
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
            values = opened.get_tensor(_KEY) if _KEY in set(opened.keys()) else None
    except (OSError, SafetensorError) as error:
        raise BrittleError(f"expected a perturbation file, got {path}: {' '.join(str(error).split())}") from None
    about = {key: text for key, text in metadata.items() if key not in ("format", "norm", "eps")}
    try:
        if values is None or metadata["format"] != _FORMAT:
            raise KeyError(_KEY)
        norm, eps = norm_named(metadata["norm"]), float(metadata["eps"])
    except (KeyError, ValueError):
        raise BrittleError(
            f"expected a perturbation that `brittle fit` has written, {path} holds something else"
        ) from None
    return _checked(values, norm, eps, about, f"the perturbation in {path}")


def _checked(values: Tensor, norm: Norm, eps: float, about: dict[str, str], what: str) -> Perturbation:
    kept = values.to("cpu", torch.float32, copy=True).contiguous()
    if kept.ndim != 3 or not kept.numel():
        raise BrittleError(f"expected {what} as values [C, H, W], got {_shape(kept.shape)}")
    if not kept.isfinite().all():
        raise BrittleError(f"expected finite values in {what}, got NaN or infinity")
    if not 0 <= eps < math.inf:
        raise BrittleError(f"expected a finite eps >= 0 in {what}, got {eps}")
    size = float(norm.measure(kept.double().unsqueeze(0))[0])
    if size > eps * (1 + 1e-5):
        raise BrittleError(f"expected {what} within its eps of {eps:.6g} in {norm.name}, got a size of {size:.6g}")
    head = f"{tuple(kept.shape)}\0{norm.name}\0{eps!r}\0"
    digest = hashlib.sha256(head.encode() + kept.numpy().tobytes()).hexdigest()[:16]
    return Perturbation(kept, norm, eps, about, digest)


def _shape(sizes: Sequence[int]) -> str:
    return " x ".join(str(size) for size in sizes)
