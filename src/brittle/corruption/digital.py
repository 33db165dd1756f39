"""What files, screens and programs do."""

import io
import math

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from brittle.corruption.blur import blurred, side
from brittle.corruption.registry import corruption
from brittle.rng import Rng
from brittle.types import Images


@corruption("contrast", "digital", "share of the contrast that is lost", 0.4, 0.55, 0.7, 0.8, 0.9)
def contrast(images: Images, amount: float, rng: Rng) -> Images:
    """Towards the image's own mean, channel by channel."""
    mean = images.mean((2, 3), keepdim=True)
    return mean + (1 - amount) * (images - mean)


@corruption("pixelate", "digital", "size of the new pixels, as a share of the side", 0.045, 0.06, 0.08, 0.1, 0.14)
def pixelate(images: Images, amount: float, rng: Rng) -> Images:
    """Fewer and larger pixels."""
    height, width = images.shape[2:]
    few = [max(1, round(size / max(1.0, amount * side(images)))) for size in (height, width)]
    small = functional.interpolate(images, few, mode="area")
    return functional.interpolate(small, (height, width), mode="nearest-exact")


@corruption("jpeg", "digital", "100 less the quality of the file", 60, 75, 82, 88, 93)
def jpeg(images: Images, amount: float, rng: Rng) -> Images:
    """Saved and read again; images with other than three channels channel by channel, as grey."""
    return torch.stack([_saved(image, round(100 - amount)) for image in images.cpu()]).to(images)


def _saved(image: torch.Tensor, quality: int) -> torch.Tensor:
    levels = (image * 255).round().to(torch.uint8)
    if len(levels) != 3:
        return torch.cat([_read(Image.fromarray(one.numpy()), quality)[None] for one in levels]) / 255
    return _read(Image.fromarray(levels.permute(1, 2, 0).contiguous().numpy()), quality).permute(2, 0, 1) / 255


def _read(picture: Image.Image, quality: int) -> torch.Tensor:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(file)))


@corruption("posterize", "digital", "bits of each value that are lost", 3, 4, 5, 6, 7)
def posterize(images: Images, amount: float, rng: Rng) -> Images:
    """Fewer values, evenly spread from black to white."""
    most = math.pow(2, 8 - amount) - 1
    return (images * most).round() / most


@corruption("elastic", "digital", "way along each axis, as a share of the side", 0.012, 0.02, 0.03, 0.04, 0.055)
def elastic(images: Images, amount: float, rng: Rng) -> Images:
    """Pulled about smoothly, along each axis by root mean square that far (Simard et al. 2003)."""
    height, width = images.shape[2:]
    field = blurred(rng.normal("field", images.new_zeros(len(images), 2, height, width)), 0.06 * side(images))
    field = field / field.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-12)
    scale = torch.tensor([2 / width, 2 / height], device=images.device) * amount * side(images)
    still = functional.affine_grid(
        torch.eye(2, 3, device=images.device).expand(len(images), 2, 3), list(images.shape), align_corners=False
    )
    grid = still + field.permute(0, 2, 3, 1) * scale
    moved: Images = functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    return moved
