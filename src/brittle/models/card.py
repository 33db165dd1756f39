"""What stands beside weights that were trained here: all that makes them a classifier, and how good it is."""

import hashlib
from collections.abc import Mapping

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Makings(_Plain):
    """What makes a classifier of weights; their file says it itself."""

    architecture: str
    class_names: list[str]
    channels: int
    height: int
    width: int
    mean: list[float]  # of the training images, which the network sees normalised
    std: list[float]


class Accuracy(_Plain):
    """Correctly classified test images, with Wilson's 95 % interval of the share."""

    value: float
    right: int
    of: int
    low: float
    high: float


class Card(_Plain):
    """One trained network."""

    makings: Makings
    weights: str  # sha256 of the tensors: see ``weights_digest``
    parameters: int  # trainable ones
    accuracy: Accuracy  # on the test data, in float32, as an audit grades
    recipe: str  # label: what makes it again, with
    seed: int
    data: str  # for people
    on: str  # "all", "half-1" or "half-2" of it
    images: int
    data_fingerprint: str  # of the images trained on
    test_data: str
    test_fingerprint: str
    epochs: int
    stopped: str | None = None  # why it ended before its last step
    precision: str  # "fp32" or "bf16"
    device: str
    gflops: float  # of one forward pass of one image; a multiplication and an addition count as two
    training_gflops: float  # three such passes for each image in each epoch
    seconds: float  # of training
    versions: dict[str, str]


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """sha256 hex over names, types, shapes and values, however a file stores them."""
    sha = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        sha.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        sha.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()
