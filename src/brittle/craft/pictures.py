"""The change made visible, and both photographs side by side with what the network makes of them."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from brittle.craft.crafted import Crafted

_FACTORS = (100, 50, 20, 10, 5, 2, 1)
_GREY = 128
_CLIPPED = 0.001  # of the values may leave the range when the change is amplified
_SIDE, _GAP, _MARGIN = 460, 30, 40
_PAPER, _INK, _QUIET, _TRACK, _WRONG = "#faf9f6", "#1c1b19", "#67635b", "#e9e5dc", "#b8321a"
_ROW = 34


def noise_picture(original: Tensor, perturbed: Tensor) -> tuple[Image.Image, int]:
    """The change around grey 128, and by how much it is amplified: the largest of 1, 2, 5, ... 100 that fits.

    original, perturbed: uint8 ``[3, H, W]``. Of the channels' values no more than one in a thousand is clipped.
    """
    change = perturbed.numpy().astype(np.int32) - original.numpy().astype(np.int32)
    factor = next(one for one in _FACTORS if one == 1 or _clipped(change * one) <= _CLIPPED)
    shown = np.clip(_GREY + factor * change, 0, 255).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(shown.transpose(1, 2, 0))), factor


def comparison(crafted: Crafted) -> Image.Image:
    """Original, noise and result side by side, the five likeliest classes below the first and the last."""
    noise, factor = noise_picture(crafted.original, crafted.perturbed)
    panels = [picture_of(crafted.original), noise, picture_of(crafted.perturbed)]
    scale = _SIDE / max(panels[0].size)
    size = (max(round(panels[0].width * scale), 1), max(round(panels[0].height * scale), 1))
    # Enlarged without smoothing, so that small images keep their pixels.
    filters = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    height = _MARGIN + 44 + size[1] + 24 + 5 * _ROW + _MARGIN
    page = Image.new("RGB", (2 * _MARGIN + 3 * _SIDE + 2 * _GAP, height), _PAPER)
    draw = ImageDraw.Draw(page)
    titles = ("the photograph", f"the change, {factor} times amplified" if factor > 1 else "the change", "the result")
    for column, (panel, title) in enumerate(zip(panels, titles, strict=True)):
        left = _MARGIN + column * (_SIDE + _GAP)
        draw.text((left, _MARGIN - 6), title, _INK, _font(22))
        page.paste(panel.resize(size, filters), (left, _MARGIN + 44))
    top = _MARGIN + 44 + size[1] + 24
    wanted = crafted.target_name or crafted.after[0][0]
    _bars(draw, crafted.before, wanted, _MARGIN, top)
    _facts(draw, crafted, _MARGIN + _SIDE + _GAP, top)
    _bars(draw, crafted.after, wanted, _MARGIN + 2 * (_SIDE + _GAP), top)
    return page


def picture_of(pixels: Tensor) -> Image.Image:
    """uint8 ``[3, H, W]`` as a Pillow image."""
    return Image.fromarray(np.ascontiguousarray(pixels.numpy().transpose(1, 2, 0)))


def _bars(draw: ImageDraw.ImageDraw, top_five: Sequence[tuple[str, float]], wanted: str, left: int, top: int) -> None:
    font = _font(18)
    for row, (name, likely) in enumerate(top_five):
        y = top + row * _ROW
        colour = _WRONG if name == wanted else _INK
        share = f"{100 * likely:.1f} %"
        draw.text((left, y), _fitting(draw, name, _SIDE - 90, font), colour, font)
        draw.text((left + _SIDE, y), share, colour, font, anchor="ra")
        draw.rectangle((left, y + 24, left + _SIDE, y + 27), _TRACK)
        if likely > 0.002:
            draw.rectangle((left, y + 24, left + round(_SIDE * likely), y + 27), colour)


def _facts(draw: ImageDraw.ImageDraw, crafted: Crafted, left: int, top: int) -> None:
    seen = crafted.visibility
    lines = (
        f"CIEDE2000: mean {seen.colour_mean:.2f}, 99th percentile {seen.colour_p99:.2f}",
        f"(1 is about what can just be seen); SSIM {seen.ssim:.4f}",
        f"{100 * seen.changed:.0f} % of pixels change, by {seen.linf:.0f} grey levels at the most",
        f"{crafted.attack}: {crafted.steps} steps",
    )
    font = _font(17)
    for row, line in enumerate(lines):
        draw.text((left, top + row * _ROW), _fitting(draw, line, _SIDE, font), _QUIET, font)


def _fitting(draw: ImageDraw.ImageDraw, text: str, width: int, font: ImageFont.FreeTypeFont) -> str:
    if draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength(f"{text}...", font) > width:
        text = text[:-1]
    return f"{text}..."


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("Pillow was built without FreeType")
    return font


def _clipped(change: np.ndarray) -> float:
    return float(((change < -_GREY) | (change > 255 - _GREY)).mean())
