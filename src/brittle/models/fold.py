"""The fast path: the same network with every batch norm folded into the convolution before it, in channels_last."""

import copy
import operator

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from brittle.models.company import InCompany

_BEFORE = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def folded(net: nn.Module) -> nn.Module | None:
    """A frozen copy of ``net`` in eval mode that computes the same function faster; None where it cannot be made.

    None for networks that torch.fx cannot trace (control flow on data), that share or hook modules, or that do not
    copy. The caller compares the copy's logits with the plain network's before it trusts it.
    """
    if any(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks for module in net.modules()):
        return None
    try:
        return _folded(copy.deepcopy(net).eval().requires_grad_(False))
    except Exception:  # copying and tracing run the user's code: whatever it raises, the plain network still works
        return None


def _folded(net: nn.Module) -> nn.Module:
    traced = fx.symbolic_trace(net)
    modules = dict(traced.named_modules())
    for node in list(traced.graph.nodes):
        pair = _foldable(node, modules)
        if pair is None:
            continue
        _set(traced, str(node.args[0].target), _fused(*pair))
        modules = dict(traced.named_modules())
        node.replace_all_uses_with(node.args[0])
        traced.graph.erase_node(node)
    _relu_in_place(traced, modules)
    for name, module in list(traced.named_modules()):
        if type(module) is nn.Linear:
            _set(traced, name, InCompany(module))
    traced.graph.lint()
    traced.recompile()
    traced.delete_all_unused_submodules()
    return traced.requires_grad_(False).to(memory_format=torch.channels_last)


def _foldable(node: fx.Node, modules: dict[str, nn.Module]) -> tuple[nn.Module, nn.Module] | None:
    """(convolution, batch norm) when ``node`` is a batch norm that alone reads a convolution used once."""
    if node.op != "call_module" or not isinstance(modules[str(node.target)], _NORMS):
        return None
    source = node.args[0] if node.args else None
    if not isinstance(source, fx.Node) or source.op != "call_module" or len(source.users) != 1:
        return None
    before, norm = modules[str(source.target)], modules[str(node.target)]
    calls = [other for other in node.graph.nodes if other.op == "call_module"]
    used_once = all(sum(other.target == one.target for other in calls) == 1 for one in (source, node))
    exact = isinstance(before, _BEFORE) and getattr(norm, "running_mean", None) is not None
    return (before, norm) if used_once and exact else None


def _fused(before: nn.Module, norm: nn.Module) -> nn.Module:
    """One module that does what the two do, in eval mode."""
    assert isinstance(norm, nn.modules.batchnorm._BatchNorm)
    if isinstance(before, nn.Linear):
        return fuse_linear_bn_eval(before, norm)
    assert isinstance(before, nn.Conv1d | nn.Conv2d | nn.Conv3d)
    return fuse_conv_bn_eval(before, norm)


def _relu_in_place(traced: fx.GraphModule, modules: dict[str, nn.Module]) -> None:
    """ReLU may overwrite its input where a convolution or an addition made it and nothing else reads it.

    Neither keeps its output for the backward pass, so the gradient is the same and a pass over memory is saved.
    """
    for node in list(traced.graph.nodes):
        source = node.args[0] if node.args else None
        by_module = node.op == "call_module" and isinstance(modules.get(str(node.target)), nn.ReLU)
        by_function = node.op == "call_function" and node.target in (torch.relu, nn.functional.relu)
        if not isinstance(source, fx.Node) or len(source.users) != 1 or not (by_module or by_function):
            continue
        convolved = source.op == "call_module" and isinstance(modules.get(str(source.target)), _BEFORE)
        added = source.op == "call_function" and source.target in (operator.add, operator.iadd, torch.add)
        if convolved or added:
            with traced.graph.inserting_after(node):
                overwriting = traced.graph.call_function(nn.functional.relu, (source,), {"inplace": True})
            node.replace_all_uses_with(overwriting)
            traced.graph.erase_node(node)


def _set(root: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(root.get_submodule(parent), name, module)
