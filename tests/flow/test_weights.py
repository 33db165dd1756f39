"""Weights from files: what loads, and the one line that each unusable file gets."""

import argparse
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from brittle.errors import BrittleError
from brittle.models.weights import class_counts, load_weights, read_state


def small_net(classes: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, classes))


def seeded_state(classes: int = 3) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    state = small_net(classes).state_dict()
    return {
        name: torch.rand(tensor.shape, generator=generator) if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }


def bits(net: nn.Module) -> list[Tensor]:
    return [tensor.clone() for tensor in net.state_dict().values()]


def same(left: list[Tensor], right: list[Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(left, right, strict=True))


def prefixed(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


STATE = seeded_state()
GOOD: dict[str, Any] = {
    "plain": STATE,
    "under state_dict": {"epoch": 3, "state_dict": STATE},
    "under model, under state_dict": {"model": {"state_dict": STATE}},
    "under net": {"net": STATE, "acc": 91.7},
    "DataParallel": prefixed(STATE, "module."),
    "compiled inside DataParallel": prefixed(STATE, "module._orig_mod."),
    "half precision": {name: tensor.half() if tensor.ndim else tensor for name, tensor in STATE.items()},
    "before num_batches_tracked": {name: tensor for name, tensor in STATE.items() if "num_batches" not in name},
}


@pytest.mark.parametrize("form", GOOD)
def test_usual_forms_of_checkpoint_load(form: str, tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    torch.save(GOOD[form], path)
    net = small_net()
    load_weights(net, path)
    for name, tensor in net.state_dict().items():
        assert torch.allclose(tensor, STATE[name], atol=1e-3 if form == "half precision" else 0), name


@pytest.mark.parametrize("file", ["net.safetensors", "net.bin"])
def test_safetensors_load_by_suffix_and_by_content(file: str, tmp_path: Path) -> None:
    save_file(STATE, tmp_path / file)
    net = small_net()
    load_weights(net, tmp_path / file)
    assert same(bits(net), list(STATE.values()))


class Spy:
    """Leaves a trace if anything unpickles it."""

    ran = False

    def __reduce__(self) -> tuple[Callable[[], object], tuple[()]]:
        return _leave_trace, ()


def _leave_trace() -> object:
    Spy.ran = True
    return object()


def truncated_safetensors(path: Path) -> None:
    save_file(STATE, path)
    path.write_bytes(path.read_bytes()[:-40])


def truncated_torch(path: Path) -> None:
    torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[:-700])


def write(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def saved(value: object) -> Callable[[Path], object]:
    return lambda path: torch.save(value, path)


def changed(name: str, tensor: Tensor) -> dict[str, Tensor]:
    return {**STATE, name: tensor}


def scripted(path: Path) -> None:
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), path)


CONVERT = r"load it yourself and torch\.save\(net\.state_dict\(\), FILE\), or save \.safetensors$"
BAD: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "missing": (
        "net.pt",
        lambda path: (path.parent / "nets.pt").write_bytes(b"x"),
        r"no weights file \S+net\.pt; did you"
        r" mean '\S+nets\.pt'\?$",
    ),
    "missing, nothing near": ("net.pt", lambda path: None, r"no weights file \S+; \S+ has no file of a like name$"),
    "missing directory": ("no/net.pt", lambda path: None, r"no weights file \S+; there is no directory \S+no$"),
    "directory": ("net.pt", lambda path: path.mkdir(), r"expected a weights file, got the directory \S+net\.pt"),
    "empty": ("net.pt", write(b""), r"the weights file \S+ is empty \(0 bytes\)"),
    "web page": ("net.pt", write(b"\n<!DOCTYPE html><html>Not found</html>"), r"is a saved web page \(HTML\)"),
    "git lfs": (
        "net.safetensors",
        write(b"version https://git-lfs.github.com/spec/v1\noid sha256:0"),
        "Git LFS pointer",
    ),
    "text": ("net.safetensors", write("naïve notes\n".encode() * 80), "is a text file, not weights"),
    "garbage": (
        "net.pt",
        write(bytes(range(256))),
        "is no weights file that can be read without running code; expected",
    ),
    "garbage safetensors": ("net.safetensors", write(bytes(range(256))), "got 256 bytes in .* truncated or damaged"),
    "truncated safetensors": (
        "net.safetensors",
        truncated_safetensors,
        "expected a whole safetensors file, got .* bytes",
    ),
    "truncated torch file": ("net.pt", truncated_torch, "is truncated or damaged, or no weights file"),
    "pickled network": (
        "net.pt",
        saved(small_net()),
        r"refused to unpickle .* it asks for torch\.nn\.\S+ .*" + CONVERT,
    ),
    "pickled arguments": (
        "net.pt",
        saved({"args": argparse.Namespace(lr=1), "state_dict": STATE}),
        r"it asks for argparse\.Namespace to be imported or called, and such a file can run any code; .*" + CONVERT,
    ),
    "code": ("net.pt", saved(Spy()), r"refused to unpickle .* it asks for \S+_leave_trace to be imported or called"),
    "torchscript": ("net.pt", scripted, "is a TorchScript archive, which holds code"),
    "a list": ("net.pt", saved([1, 2]), r"expected a state dict \(name -> tensor\) in \S+, got list$"),
    "a dict of numbers": ("net.pt", saved({"loss": 1, "step": 2}), r"got a dict without tensors: loss, step$"),
    "an empty dict": ("net.pt", saved({}), "got a dict without tensors: no entries$"),
    "missing keys": (
        "net.pt",
        saved({name: STATE[name] for name in list(STATE)[2:]}),
        r"another model's: 2 of the model's 9 tensors are missing \(0\.weight, 0\.bias\)$",
    ),
    "other keys": (
        "net.pt",
        saved(prefixed(STATE, "x.")),
        r"8 of the model's 9 tensors are missing \(0\.weight, 0\.bias, 1\.weight, \.\.\.\) and 9 of the file's 9 are"
        r" not the model's \(x\.0\.weight, x\.0\.bias, x\.1\.weight, \.\.\.\)$",
    ),
    "classes": ("net.pt", saved(seeded_state(100)), r"the checkpoint \S+ has 100 classes, the model 3$"),
    "shapes": (
        "net.pt",
        saved(changed("0.weight", torch.zeros(4, 3, 3, 3))),
        r"expected shape \(4, 1, 3, 3\) for '0\.weight', got \(4, 3, 3, 3\) in \S+ \(1 of 9 tensors differ\)",
    ),
    "nan": (
        "net.pt",
        saved(changed("3.bias", torch.tensor([0.0, torch.nan, torch.inf]))),
        r"got NaN or infinity in 2 of 3 values of '3\.bias'",
    ),
}


@pytest.mark.parametrize("fault", BAD)
def test_unusable_files_get_one_line_and_leave_the_network_alone(fault: str, tmp_path: Path) -> None:
    name, make, message = BAD[fault]
    path = tmp_path / name
    if fault == "torchscript":
        with warnings.catch_warnings():  # torch would rather not have such files made
            warnings.simplefilter("ignore")
            make(path)
    else:
        make(path)
    net = small_net()
    before = bits(net)
    with pytest.raises(BrittleError, match=message) as caught:
        load_weights(net, path)
    assert "\n" not in str(caught.value)
    assert same(bits(net), before)
    assert not Spy.ran


def test_failure_after_the_first_copies_is_undone(tmp_path: Path) -> None:
    """The missing keys are noticed when the other tensors have been copied already."""
    path = tmp_path / "net.pt"
    torch.save({name: tensor for name, tensor in STATE.items() if name != "3.bias"}, path)
    net = small_net()
    before = bits(net)
    with pytest.raises(BrittleError, match=re.escape("1 of the model's 9 tensors are missing (3.bias)")):
        load_weights(net, path)
    assert same(bits(net), before)


def test_class_counts_only_where_nothing_else_differs() -> None:
    net = small_net()
    assert class_counts(net, seeded_state(7)) == (7, 3)
    assert class_counts(net, prefixed(seeded_state(7), "module.")) == (7, 3)
    assert class_counts(net, STATE) is None
    assert class_counts(net, {**STATE, "3.weight": torch.zeros(7, 17), "3.bias": torch.zeros(7)}) is None
    assert class_counts(net, changed("0.weight", torch.zeros(5, 1, 3, 3))) is None


def test_reading_keeps_only_tensors(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    torch.save({**STATE, "epoch": 3}, path)
    assert read_state(path).keys() == STATE.keys()
