"""A classifier in an ONNX file, run by onnxruntime: it gives scores and no gradients."""

import hashlib
import importlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
import torch

from brittle.data.fit import Fit
from brittle.errors import BrittleError, did_you_mean
from brittle.types import Access, Images, Logits

_BATCH = 64
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
_BYTES = "tensor(uint8)"
_RANGES = {"1": (1.0, 0.0), "255": (255.0, 0.0)}
# The standard's names for what an image's pixels are (ONNX, docs/MetadataProps.md).
_NOMINAL = {"Normalized_0_1": (1.0, 0.0), "NominalRange_0_255": (255.0, 0.0), "Normalized_1_1": (2.0, -1.0)}
_TURNED = {"Gray8": False, "Rgb8": False, "Bgr8": True}
_FORM = "onnx:FILE[,layout=nchw|nhwc][,range=1|255]"


class _Input(NamedTuple):
    """name, numpy type and shape of a file's input; None in the shape: any size."""

    name: str
    type: str
    shape: tuple[int | None, ...]


@final
class OnnxFile:
    """What an ONNX file answers: images ``[B, C, H, W]`` -> logits ``[B, K]``, its first output of floating-point rows.

    layout: "nchw" or "nhwc"; default: as the channels in the shape of its one input say. pixels: "1" or "255", what
    they go up to; default: as the input's type or the file's ``Image.NominalPixelRange`` says, else 1. Blue comes first
    where its ``Image.BitmapPixelFormat`` is Bgr8. A file for a fixed number of images is asked in batches of that, the
    last one filled up. Raises BrittleError for a file that is none, or takes or gives something else.
    """

    access: Access = "score"

    def __init__(self, path: Path, *, layout: str | None = None, pixels: str | None = None) -> None:
        self.path, self.layout, self.pixels = path.resolve(), layout, pixels
        self._session = _opened(self.path)
        self._input = _only_input(self._session, path)
        self.channels_last = _channels_last(self._input, layout)
        self._output, self.class_count = _first_scores(self._session, path)
        about = self._session.get_modelmeta().custom_metadata_map
        self._scale, self._offset = _range(self._input, pixels, about)
        self._turned = _known(_TURNED, about.get("Image.BitmapPixelFormat", "Rgb8"), "Image.BitmapPixelFormat")

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.path, self.layout, self.pixels)

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def class_names(self) -> None:
        """No standard says where a file would have them."""

    @property
    def batch_size(self) -> int:
        return self._input.shape[0] or _BATCH

    @property
    def channels(self) -> int | None:
        return self._input.shape[3 if self.channels_last else 1]

    @property
    def fit(self) -> Fit | None:
        """Its input's size, where that is fixed: the shorter side resized to it, and the centre cut out."""
        height, width = self._input.shape[1:3] if self.channels_last else self._input.shape[2:4]
        if height is None or width is None or self.channels not in (1, 3):
            return None
        return Fit(channels=self.channels, height=height, width=width, resize=max(height, width))

    def answers(self, images: Images) -> Logits:
        pixels = self._scale * images.detach().cpu() + self._offset
        if self._turned:
            pixels = pixels.flip(1)
        if self.channels_last:
            pixels = pixels.permute(0, 2, 3, 1)
        if self._input.type == _BYTES:
            rows = pixels.round().clamp(0, 255).to(torch.uint8).numpy()
        else:
            rows = pixels.numpy().astype(_TYPES[self._input.type])
        fixed = self._input.shape[0] or len(rows)
        parts = [self._asked(rows[start : start + fixed], fixed) for start in range(0, len(rows), fixed)]
        return torch.from_numpy(np.concatenate(parts).astype(np.float32))

    def digest(self) -> bytes:
        """sha256 of the file, of those beside it that hold its weights, and of how it is fed."""
        sha = hashlib.sha256(f"{self.channels_last} {self._scale} {self._offset} {self._turned}".encode())
        for one in sorted(self.path.parent.glob(f"{self.path.name}*")):  # large weights lie beside it: FILE.data
            with one.open("rb") as file:
                for block in iter(lambda file=file: file.read(1 << 20), b""):  # type: ignore[misc]
                    sha.update(block)
        return sha.digest()

    def _asked(self, rows: Any, count: int) -> Any:
        filled = np.concatenate([rows, np.repeat(rows[-1:], count - len(rows), axis=0)])
        (answers,) = self._session.run([self._output], {self._input.name: np.ascontiguousarray(filled)})
        return answers[: len(rows)]


def onnx_file(text: str) -> OnnxFile:
    """Of what follows ``onnx:``, a path and its options."""
    options: dict[str, str] = {}
    while found := re.search(r",(\w+)=([^,/]*)$", text):
        options[found[1]], text = found[2], text[: found.start()]
    for name, known in (("layout", ("nchw", "nhwc")), ("range", tuple(_RANGES))):
        if options.get(name, known[0]) not in known:
            raise BrittleError(f"expected {name}={' or '.join(known)}, got {options[name]!r}")
    unknown = sorted(set(options) - {"layout", "range"})
    if unknown:
        hint = did_you_mean(unknown[0], ["layout", "range"])
        raise BrittleError(f"expected {_FORM}, got the option {unknown[0]!r}{hint}")
    return OnnxFile(Path(text), layout=options.get("layout"), pixels=options.get("range"))


def _again(path: Path, layout: str | None, pixels: str | None) -> OnnxFile:
    return OnnxFile(path, layout=layout, pixels=pixels)


def _opened(path: Path) -> Any:
    try:
        runtime: Any = importlib.import_module("onnxruntime")
    except ImportError:
        raise BrittleError("models called onnx:FILE need onnxruntime: pip install brittle[onnx]") from None
    if not path.is_file():
        raise BrittleError(f"no ONNX file {path}; expected {_FORM}")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors are raised; what it remarks beside them is not for users
    try:
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common class
        raise BrittleError(f"onnxruntime cannot read {path}: {' '.join(str(error).split())[:200]}") from None


def _only_input(session: Any, path: Path) -> _Input:
    found = [_Input(one.name, one.type, tuple(_size(each) for each in one.shape)) for one in session.get_inputs()]
    if len(found) != 1 or len(found[0].shape) != 4 or found[0].type not in (*_TYPES, _BYTES):
        told = ", ".join(f"{one.name}: {one.type} of {len(one.shape)} dimensions" for one in found) or "none"
        raise BrittleError(f"expected one input of images, floats or bytes of 4 dimensions, in {path.name}, got {told}")
    return found[0]


def _size(dimension: object) -> int | None:
    return dimension if isinstance(dimension, int) and dimension > 0 else None


def _channels_last(given: _Input, layout: str | None) -> bool:
    if layout is not None:
        return layout == "nhwc"
    first, last = given.shape[1] in (1, 3), given.shape[3] in (1, 3)
    if first == last:
        sizes = " x ".join("?" if one is None else str(one) for one in given.shape)
        raise BrittleError(f"the input {given.name} is {sizes}: add ,layout=nchw (channels first) or ,layout=nhwc")
    return last


def _first_scores(session: Any, path: Path) -> tuple[str, int | None]:
    """The output's name, and K where the file says so."""
    outputs: Sequence[Any] = session.get_outputs()
    for one in outputs:
        if one.type in _TYPES and len(one.shape) == 2:
            classes = _size(one.shape[1])
            return one.name, None if classes is None else max(classes, 2)  # one score is that of two classes
    told = ", ".join(f"{one.name}: {one.type} {list(one.shape or ())}" for one in outputs)
    raise BrittleError(f"expected an output of scores [B, K] in {path.name}, got {told}")


def _range(given: _Input, pixels: str | None, about: dict[str, str]) -> tuple[float, float]:
    if pixels is not None:
        return _RANGES[pixels]
    if "Image.NominalPixelRange" in about:
        scale, offset = _known(_NOMINAL, about["Image.NominalPixelRange"], "Image.NominalPixelRange")
        return scale, offset
    return _RANGES["255" if given.type == _BYTES else "1"]


def _known(values: dict[str, Any], value: str, name: str) -> Any:
    if value not in values:
        raise BrittleError(f"expected the file's {name} as {', '.join(values)}, got {value!r}")
    return values[value]
