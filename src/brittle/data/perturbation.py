"""One perturbation for many images: a value that holds it, and the file that keeps it."""

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from brittle.errors import BrittleError, did_you_mean
from brittle.geometry.norms import Norm, norm_named

SUFFIX = ".safetensors"
_KEY, _SAYS, _FORMAT = "perturbation", "brittle", "brittle perturbation 2"


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


def content_of(perturbation: Perturbation) -> bytes:
    """The content of its file: the same perturbation, the same bytes.

    Safetensors with one tensor, ``perturbation``: float32 ``[C, H, W]``, what is added to pixels in [0, 1]. Metadata:
    one key, ``brittle``, a JSON object of texts: ``format`` ("brittle perturbation 2"), ``norm`` ("l2"), ``eps`` (the
    budget in that norm), and what ``about`` holds, which is for people.
    """
    says = {"format": _FORMAT, "norm": perturbation.norm.name, "eps": repr(perturbation.eps)}
    # One key, as safetensors writes several in an order that changes from process to process.
    return save({_KEY: perturbation.values}, {_SAYS: json.dumps({**perturbation.about, **says}, sort_keys=True)})


def write_perturbation(perturbation: Perturbation, path: str | Path) -> None:
    """Writes its file, whole or not at all; BrittleError where that cannot be."""
    target = Path(path)
    if target.suffix != SUFFIX:
        raise BrittleError(f"expected a file name that ends in {SUFFIX}, got {path}")
    temporary = target.with_name(f".writing-{target.name}")
    try:
        try:
            temporary.write_bytes(content_of(perturbation))
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise BrittleError(f"cannot write {str(target)!r}: {error.strerror or error}") from None


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
        return perturbation_in(path.read_bytes(), str(path))
    except OSError as error:
        raise BrittleError(f"cannot read {str(path)!r}: {error.strerror}") from None


def perturbation_in(content: bytes, name: str) -> Perturbation:
    """The perturbation that a file of this content holds; name: of the file, for errors."""
    try:
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    except (SafetensorError, ValueError) as error:
        raise BrittleError(f"expected a perturbation file, got {name}: {' '.join(str(error).split())}") from None
    try:
        says = json.loads(header["__metadata__"][_SAYS])
        if says["format"] != _FORMAT:
            raise KeyError(_FORMAT)
        values, norm, eps = tensors[_KEY], norm_named(says["norm"]), float(says["eps"])
    except (KeyError, ValueError, TypeError):
        raise BrittleError(
            f"expected a perturbation that `brittle fit` has written, {name} holds something else"
        ) from None
    about = {key: text for key, text in says.items() if key not in ("format", "norm", "eps")}
    return _checked(values, norm, eps, about, f"the perturbation in {name}")


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
