"""Image classifiers as the transformers library keeps them: of the Hugging Face hub, or a folder of save_pretrained."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, final

from torch import Tensor, nn

from brittle.data.fit import Fit
from brittle.errors import BrittleError
from brittle.models.network import Network
from brittle.types import Images

_DOES = {"do_resize", "do_rescale", "do_normalize", "do_center_crop", "do_convert_rgb"}
_FILTERS: dict[int, Literal["bilinear", "bicubic"]] = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers
_SQUEEZED_FROM = 384  # ConvNeXt's processor: from this size on without a crop (Liu et al. 2022, arXiv:2201.03545)


def load_pretrained(name: str, path: Path | None) -> Network:
    """An image classifier of the hub, ``OWNER/NAME``, or of a folder, for which no network is needed.

    Its image processor becomes mean, std and ``fit``; its ``id2label`` the class names. Weights are read from
    safetensors only, and no code that comes with them is run. Raises BrittleError for what is not there, has no image
    processor, or has one that does what no ``Fit`` can.
    """
    if path is not None:
        raise BrittleError(f"hf:{name} comes with its weights: expected no --weights, got {path}")
    try:
        library: Any = importlib.import_module("transformers")
    except ImportError:
        raise BrittleError(
            "models called hf:REPO need the transformers library: pip install brittle[transformers]"
        ) from None
    here = Path(name).is_dir()
    bars = library.utils.logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()  # a library that is asked for one network has nothing to tell of it
    try:
        model = library.AutoModelForImageClassification.from_pretrained(
            name, local_files_only=here, use_safetensors=True, trust_remote_code=False
        )
        processor = library.AutoImageProcessor.from_pretrained(name, local_files_only=here, trust_remote_code=False)
    except Exception as error:  # no folder, no network, no such model, no safetensors: it raises anything
        place = "the folder" if here else "the hub, and no folder here is called so"
        raise BrittleError(
            f"could not load {name} from {place}: {' '.join(str(error).split())[:200] or type(error).__name__}"
        ) from None
    finally:
        if shown:
            bars.enable_progress_bar()
    told: Mapping[str, Any] = processor.to_dict()
    mean, std = _normalisation(told)
    return Network(
        _LogitsOnly(model),
        mean=mean,
        std=std,
        class_names=_names(model.config.id2label),
        name=f"hf:{name}",
        fit=_fit(told, getattr(model.config, "num_channels", 3), name),
    )


@final
class _LogitsOnly(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Images) -> Tensor:
        logits: Tensor = self.model(pixel_values=images).logits
        return logits


def _names(labels: Mapping[int, str]) -> list[str] | None:
    names = [str(labels[index]) for index in sorted(labels)]
    return None if names == [f"LABEL_{index}" for index in range(len(names))] else names


def _normalisation(told: Mapping[str, Any]) -> tuple[list[float] | None, list[float] | None]:
    """Mean and std for pixels up to 1; the processor's are for what it makes of pixels up to 255."""
    top = 255 * told["rescale_factor"] if told.get("do_rescale", True) else 255.0
    if told.get("do_normalize"):
        return [one / top for one in told["image_mean"]], [one / top for one in told["image_std"]]
    return (None, None) if top == 1 else ([0.0] * 3, [1 / top] * 3)


def _fit(told: Mapping[str, Any], channels: int, name: str) -> Fit | None:
    unknown = sorted(key for key, value in told.items() if key.startswith("do_") and value and key not in _DOES)
    if unknown or told.get("rescale_offset"):
        raise BrittleError(f"the image processor of {name} does what a fit cannot: {', '.join(unknown) or 'an offset'}")
    size = told.get("size") if told.get("do_resize") else None
    crop = told.get("crop_size") if told.get("do_center_crop") else None
    if size is None and crop is None:
        return None
    resize = None if size is None else _resize(size, told.get("crop_pct"), name)
    if crop is None:
        crop = size if size is not None and "height" in size else {"height": size["shortest_edge"]} if size else {}
    height = int(crop["height"])
    kind = _FILTERS.get(int(told.get("resample", 2)))
    if kind is None:
        raise BrittleError(f"expected bilinear or bicubic resizing by the processor of {name}, got another filter")
    return Fit(
        channels=channels, height=height, width=int(crop.get("width", height)), resize=resize, interpolation=kind
    )


def _resize(size: Mapping[str, int], crop_share: float | None, name: str) -> int | tuple[int, int]:
    if "height" in size and "width" in size:
        return size["height"], size["width"]
    if set(size) != {"shortest_edge"}:
        raise BrittleError(f"expected height and width, or shortest edge, from the processor of {name}, got {size}")
    edge = size["shortest_edge"]
    if crop_share is None:
        return edge
    return (edge, edge) if edge >= _SQUEEZED_FROM else int(edge / crop_share)
