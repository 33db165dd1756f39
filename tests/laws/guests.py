"""Classifiers of other libraries, small and random, saved as those libraries save them."""

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from laws.worlds import MEAN, STD, SmallCNN

NAMES = ("tench", "ostrich", "espresso", *"abcdefg")
FOLDER = Path(tempfile.mkdtemp(prefix="brittle-guests-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)


def saved_onnx(
    net: nn.Module,
    path: Path,
    *,
    shape: tuple[Any, ...] = ("images", 1, 8, 8),
    kind: str = "FLOAT",
    nhwc: bool = False,
    about: dict[str, str] | None = None,
) -> Path:
    """A SmallCNN with its normalisation, written operator by operator; ``shape`` and ``kind``: of its input."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    assert isinstance(net, SmallCNN)
    conv, norm, head = net.features[0], net.features[1], net.head[2]
    values = {
        "mean": torch.tensor(MEAN).view(1, 1, 1, 1),
        "std": torch.tensor(STD).view(1, 1, 1, 1),
        "w": conv.weight,
        "b": conv.bias,
        "scale": norm.weight,
        "shift": norm.bias,
        "centre": norm.running_mean,
        "spread": norm.running_var,
        "hw": head.weight,
        "hb": head.bias,
    }
    node = helper.make_node
    nodes = [node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT)]
    nodes.append(node("Transpose", ["floats"], ["x"], perm=[0, 3, 1, 2] if nhwc else [0, 1, 2, 3]))
    nodes += [
        node("Sub", ["x", "mean"], ["centred"]),
        node("Div", ["centred", "std"], ["normal"]),
        node("Conv", ["normal", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["c", "scale", "shift", "centre", "spread"], ["n"], epsilon=1e-5),
        node("Relu", ["n"], ["r"]),
        node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["p"], ["f"]),
        node("Gemm", ["f", "hw", "hb"], ["logits"], transB=1),
    ]
    given = helper.make_tensor_value_info("pixels", getattr(TensorProto, kind), shape)
    gives = helper.make_tensor_value_info("logits", TensorProto.FLOAT, (shape[0], 10))
    stored = [numpy_helper.from_array(_array(value), name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "small", [given], [gives], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, about or {})
    onnx.save(model, str(path))
    return path


def _array(value: Any) -> Any:
    return value.detach().numpy().astype(np.float32)


def saved_vit(folder: Path, *, seed: int = 0, **options: Any) -> Path:
    """A ViT of one layer for 8 x 8 grey images in ten classes, with a processor that resizes to that."""
    import transformers

    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=8,
        patch_size=4,
        num_channels=1,
        id2label=dict(enumerate(NAMES)),
        initializer_range=0.5,
    )
    settings = {"size": {"height": 8, "width": 8}, "image_mean": [0.4], "image_std": [0.2], **options}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformers.ViTForImageClassification(config).save_pretrained(folder)
    transformers.ViTImageProcessor(**settings).save_pretrained(folder)
    return folder
