"""Weights from files that cannot run code: safetensors, or ``torch.load(weights_only=True)``; all or nothing."""

import difflib
import pickle
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from brittle.errors import BrittleError

_NESTED_UNDER = ("state_dict", "model_state_dict", "model", "net")
_PREFIXES = ("module.", "_orig_mod.", "model.")  # left by DataParallel, torch.compile and Lightning


def load_weights(net: nn.Module, path: Path) -> None:
    """Load the state dict in ``path`` into ``net``: every tensor of it, or BrittleError and ``net`` as it was."""
    load_state(net, read_state(path), path)


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict (name -> finite CPU tensor) in a file.

    It may be nested under "state_dict", "model_state_dict", "model" or "net". Raises BrittleError for whatever is not
    a readable file of finite weights, and for a file that could only be read by running code in it.
    """
    head = _head(path)
    is_safetensors = path.suffix == ".safetensors" or head[8:9] == b"{"  # 8 bytes of length, then JSON
    state = _state_in(_read_safetensors(path) if is_safetensors else _read_torch(path), path)
    for name, tensor in state.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            bad = int((~tensor.isfinite()).sum())
            raise BrittleError(
                f"expected finite weights in {path}, got NaN or infinity in {bad} of {tensor.numel()} values of"
                f" {name!r}; the training diverged or the file is damaged"
            )
    return state


def load_state(net: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Load a state dict that came from ``path``: every tensor of it, or BrittleError and ``net`` as it was."""
    own = net.state_dict()
    state = _without_prefix(state, own)
    _check_shapes(own, state, path)
    before = {name: tensor.detach().clone() for name, tensor in own.items()}
    try:
        # Here, and not before, keys can be compared: modules accept and rename older keys of theirs while loading.
        missing, unexpected = net.load_state_dict(state, strict=False)
        if missing or unexpected:
            raise BrittleError(_key_message(path, own, state, missing, unexpected))
    except (BrittleError, RuntimeError) as error:
        with torch.no_grad():
            for name, tensor in net.state_dict().items():
                tensor.copy_(before[name])
        if isinstance(error, BrittleError):
            raise
        raise BrittleError(f"the weights in {path} do not load: {_one_line(error)}") from None


def class_counts(net: nn.Module, state: Mapping[str, Tensor]) -> tuple[int, int] | None:
    """(the checkpoint's, the network's) number of classes where the two differ in nothing but that, otherwise None."""
    own = net.state_dict()
    return _class_counts(own, _mismatched(own, _without_prefix(state, own)))


def _head(path: Path) -> bytes:
    """The first bytes of a file that can be weights; BrittleError for what plainly cannot."""
    if not path.exists():
        raise BrittleError(f"no weights file {path}{_nearest_file(path)}")
    if path.is_dir():
        raise BrittleError(f"expected a weights file, got the directory {path}; pass a file in it")
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise BrittleError(f"cannot read the weights file {path}: {error.strerror}") from None
    if not head:
        raise BrittleError(f"the weights file {path} is empty (0 bytes); copy or download it again")
    if re.match(rb"\s*<(!doctype|html|\?xml|head|body)", head, re.IGNORECASE):
        raise BrittleError(f"{path} is a saved web page (HTML), not weights; download the file the page links to")
    if head.startswith(b"version https://git-lfs"):
        raise BrittleError(f"{path} is a Git LFS pointer, not the weights; fetch them with 'git lfs pull'")
    if _is_text(head):
        raise BrittleError(f"{path} is a text file, not weights; expected .safetensors or a file made by torch.save")
    return head


def _nearest_file(path: Path) -> str:
    if not path.parent.is_dir():
        return f"; there is no directory {path.parent}"
    names = [other.name for other in path.parent.iterdir() if other.is_file()]
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.5)
    return f"; did you mean {str(path.parent / near[0])!r}?" if near else f"; {path.parent} has no file of a like name"


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        text = head[: error.start].decode() if error.start > len(head) - 4 else "\0"  # a character cut in two is text
    return all(character.isprintable() or character.isspace() for character in text)


def _read_safetensors(path: Path) -> object:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise BrittleError(
            f"expected a whole safetensors file, got {path.stat().st_size} bytes in {path} that are truncated or"
            f" damaged ({_one_line(error)}); copy or download it again"
        ) from None


def _read_torch(path: Path) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch remarks on odd files, the errors below say once
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
        if wanted is None:
            raise BrittleError(
                f"{path} is no weights file that can be read without running code; {_EXPECTED}"
            ) from None
        raise BrittleError(
            f"refused to unpickle {path}: it asks for {wanted[1]} to be imported or called, and such a file can run any"
            " code; where you trust it, load it yourself and torch.save(net.state_dict(), FILE), or save .safetensors"
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        if "TorchScript" in str(error):
            raise BrittleError(
                f"{path} is a TorchScript archive, which holds code; save its state_dict() with torch.save instead"
            ) from None
        raise BrittleError(
            f"{path} is truncated or damaged, or no weights file ({_one_line(error)}); {_EXPECTED}"
        ) from None


_EXPECTED = "expected .safetensors or a file made by torch.save(net.state_dict(), FILE)"


def _state_in(loaded: object, path: Path) -> dict[str, Tensor]:
    """The state dict in what a file held, out of its nest."""
    if not isinstance(loaded, Mapping):
        raise BrittleError(f"expected a state dict (name -> tensor) in {path}, got {type(loaded).__name__}")
    state = {str(name): value for name, value in loaded.items() if isinstance(value, Tensor)}
    if state:
        return state
    for key in _NESTED_UNDER:
        if isinstance(loaded.get(key), Mapping):
            return _state_in(loaded[key], path)
    keys = _some(loaded) or "no entries"
    raise BrittleError(f"expected a state dict (name -> tensor) in {path}, got a dict without tensors: {keys}")


def _without_prefix(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict without a wrapper's prefix that all its names have and the network's lack."""
    named = dict(state)
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in named) and not any(name.startswith(prefix) for name in own):
            named = {name.removeprefix(prefix): tensor for name, tensor in named.items()}
    return named


Mismatch = tuple[str, torch.Size, torch.Size]


def _mismatched(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> list[Mismatch]:
    """(name, the network's shape, the checkpoint's shape) where they differ."""
    shared = [name for name in own if name in state]
    return [(name, own[name].shape, state[name].shape) for name in shared if own[name].shape != state[name].shape]


def _class_counts(own: Mapping[str, Tensor], mismatched: list[Mismatch]) -> tuple[int, int] | None:
    """The last layer, and at most layers like it, differ in their first size only: that is the number of classes."""
    if not mismatched or mismatched[-1][0] != list(own)[-1]:
        return None
    if any(len(ours) != len(theirs) or ours[1:] != theirs[1:] for _, ours, theirs in mismatched):
        return None
    counts = {(theirs[0], ours[0]) for _, ours, theirs in mismatched}
    return counts.pop() if len(counts) == 1 else None


def _check_shapes(own: Mapping[str, Tensor], state: Mapping[str, Tensor], path: Path) -> None:
    mismatched = _mismatched(own, state)
    if not mismatched:
        return
    counts = _class_counts(own, mismatched)
    if counts is not None:
        raise BrittleError(f"the checkpoint {path} has {counts[0]} classes, the model {counts[1]}")
    name, ours, theirs = mismatched[0]
    raise BrittleError(
        f"expected shape {tuple(ours)} for {name!r}, got {tuple(theirs)} in {path} ({len(mismatched)} of {len(own)}"
        " tensors differ); the file belongs to another architecture"
    )


def _key_message(
    path: Path, own: Mapping[str, Tensor], state: Mapping[str, Tensor], missing: list[str], unexpected: list[str]
) -> str:
    parts = []
    if missing:
        parts.append(f"{len(missing)} of the model's {len(own)} tensors are missing ({_some(missing)})")
    if unexpected:
        parts.append(f"{len(unexpected)} of the file's {len(state)} are not the model's ({_some(unexpected)})")
    return f"the weights in {path} are another model's: {' and '.join(parts)}"


def _some(names: Iterable[object]) -> str:
    listed = [str(name) for name in names]
    return ", ".join(listed[:3]) + (", ..." if len(listed) > 3 else "")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
