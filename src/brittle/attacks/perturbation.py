"""A universal perturbation that has been fitted, as an attack on any classifier."""

import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple, final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from brittle.attacks._contract import Outcome, require, require_budget, require_goal
from brittle.catalog import option, register
from brittle.errors import BrittleError, did_you_mean
from brittle.geometry.box import clip
from brittle.geometry.norms import Norm, norm_named
from brittle.goals import Goal, Untargeted
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images

SUFFIX = ".safetensors"
_KEY, _FORMAT = "perturbation", "brittle perturbation 1"


class _Content(NamedTuple):
    """values: float32 ``[C, H, W]`` on the CPU, never written to. about: how it was fitted, for people."""

    values: Tensor
    norm: Norm
    eps: float
    about: dict[str, str]


# What each digest stands for. An attack is a value that records and labels can name, so that a tensor is no field of
# it; as with interned texts, the few perturbations that a process meets stay with it.
_CONTENTS: dict[str, _Content] = {}


@register(
    "perturbation",
    paper="arXiv:1610.08401",
    kind="budget",
    norms=("l1", "l2", "linf", "lp"),
    goals=("untargeted",),
    access="decision",
    cost="F",
    looks=False,
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Perturbation:
    """Adds one perturbation to every image: what ``universal`` or ``universal-sgd`` has fitted.

    ``clip(x + v)``, with v from a file (``brittle fit``, ``save``) or from memory (what ``fit`` returns). It need not
    have been fitted on the classifier that it now attacks, and asks it for no gradient; images must have v's shape.
    An image that meets the goal as it is comes back unchanged.

    Another ``eps`` than the one that v was fitted for scales it: ``v * eps / fitted eps``.
    """

    fitted: ClassVar[bool] = True
    """It was made for some images, and promises nothing on others: no distance in closed form on any classifier."""

    file: str | None = option(None, "file that `brittle fit` has written")
    sha256: str | None = option(
        None, "first 16 digits of the perturbation's hash; given with a file, they are compared"
    )
    eps: float | None = option(None, "budget, to which the perturbation is scaled; default: what it was fitted for")

    def __post_init__(self) -> None:
        if self.file is not None:
            digest = _interned(_read(Path(self.file)))
            require(self.sha256 in (None, digest), f"the perturbation {self.sha256} in {self.file}", digest)
            object.__setattr__(self, "sha256", digest)  # frozen: while it is being made, the attack may still do this
        if self.file is None and self.sha256 is None:
            return  # nothing yet: whoever asks it for something is told so
        fitted_for = self._content.eps
        object.__setattr__(self, "eps", fitted_for if self.eps is None else self.eps)
        require_budget(self._eps, self.norm)
        require(fitted_for > 0 or self._eps == 0, "eps = 0, as the perturbation was fitted for", self._eps)

    @classmethod
    def of(cls, values: Tensor, *, norm: Norm, eps: float, about: Mapping[str, str] | None = None) -> "Perturbation":
        """One in memory: float values ``[C, H, W]`` of a size of at most ``eps`` in ``norm``, and how it was fitted."""
        kept = values.detach().to("cpu", torch.float32, copy=True).contiguous()
        content = _Content(kept, norm, float(eps), dict(about or {}))
        _check(content, "the perturbation")
        return cls(sha256=_interned(content))

    @classmethod
    def load(cls, path: str | Path) -> "Perturbation":
        """What ``save`` has written; a BrittleError for anything else."""
        return cls(file=str(path))

    def save(self, path: str | Path) -> None:
        """Writes it as safetensors, the whole file or none; raises BrittleError where that cannot be.

        One tensor, ``perturbation``: float32 ``[C, H, W]``, what is added to pixels in [0, 1]. Metadata, all text:
        ``format`` ("brittle perturbation 1"), ``norm`` ("l2"), ``eps`` (the budget in that norm), and what ``about``
        holds, which is for people: a file that another tool has made needs none of it.
        """
        target, content = Path(path), self._content
        require(target.suffix == SUFFIX, f"a file name that ends in {SUFFIX}", str(path))
        metadata = content.about | {"format": _FORMAT, "norm": self.norm.name, "eps": repr(self._eps)}
        temporary = target.with_name(f".writing-{target.name}")
        try:
            try:
                # Not by save_file, which leaves a file that only its owner may read.
                temporary.write_bytes(save({_KEY: self.values.contiguous()}, metadata))
                os.replace(temporary, target)
            finally:
                temporary.unlink(missing_ok=True)
        except (OSError, SafetensorError) as error:
            reason = getattr(error, "strerror", None) or " ".join(str(error).split())
            raise BrittleError(f"cannot write {str(target)!r}: {reason}") from None

    @property
    def values(self) -> Tensor:
        """What is added to an image: float32 ``[C, H, W]``, a tensor of one's own."""
        content = self._content
        return content.values * (self._eps / content.eps) if self._eps != content.eps else content.values.clone()

    @property
    def norm(self) -> Norm:
        """The norm that it was fitted in."""
        return self._content.norm

    @property
    def about(self) -> dict[str, str]:
        """How it was fitted: by which attack, on which network and data."""
        return dict(self._content.about)

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        require_goal(self, goal, Untargeted)
        values = self.values.to(images.device)
        require(
            images.shape[1:] == values.shape,
            f"images of {_shape(values.shape)} (channels x height x width), as the perturbation was fitted on",
            _shape(images.shape[1:]),
        )
        already = goal.is_surely_met(classifier.logits(images))
        once = torch.ones(len(images), dtype=torch.int64, device=images.device)
        return Outcome(
            images=torch.where(already.view(-1, 1, 1, 1), images, clip(images + values)),
            claimed=already,
            steps=(~already).long(),
            forwards=once,
            backwards=torch.zeros_like(once),
        )

    @property
    def _eps(self) -> float:
        return self._content.eps if self.eps is None else self.eps

    @property
    def _content(self) -> _Content:
        if self.sha256 is None:
            raise BrittleError("expected file=FILE for perturbation, one that `brittle fit` has written, got none")
        if self.sha256 not in _CONTENTS:
            if self.file is None:
                raise BrittleError(f"no perturbation {self.sha256} is in memory; give file=FILE")
            _interned(_read(Path(self.file)))
        return _CONTENTS[self.sha256]


def _interned(content: _Content) -> str:
    """The digest by which a content is known from here on."""
    head = f"{tuple(content.values.shape)}\0{content.norm.name}\0{content.eps!r}\0"
    digest = hashlib.sha256(head.encode() + content.values.numpy().tobytes()).hexdigest()[:16]
    _CONTENTS.setdefault(digest, content)
    return digest


def _check(content: _Content, what: str) -> None:
    values, norm, eps, _ = content
    require(values.ndim == 3 and values.numel() > 0, f"{what} as values [C, H, W]", _shape(values.shape))
    require(bool(values.isfinite().all()), f"finite values in {what}", "NaN or infinity")
    require(math.isfinite(eps) and eps >= 0, f"a finite eps >= 0 in {what}", eps)
    size = float(norm.measure(values.double().unsqueeze(0))[0])
    require(size <= eps * (1 + 1e-5), f"{what} within its eps of {eps:.6g} in {norm.name}", f"a size of {size:.6g}")


def _read(path: Path) -> _Content:
    """The content of a file that ``save`` has written."""
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
        content = _Content(values.float().contiguous(), norm_named(metadata["norm"]), float(metadata["eps"]), about)
    except (KeyError, ValueError):
        raise BrittleError(
            f"expected a perturbation that `brittle fit` has written, {path} holds something else"
        ) from None
    _check(content, f"the perturbation in {path}")
    return content


def _shape(sizes: Sequence[int]) -> str:
    return " x ".join(str(size) for size in sizes)
