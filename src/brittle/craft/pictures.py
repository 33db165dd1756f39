"""Pictures to look at: the noise by itself, and original, noise and result side by side."""

import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

import torch
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin
from torch import Tensor

from brittle.craft import numbers
from brittle.craft.crafted import Crafted
from brittle.numbers import duration, percent

FACTORS = (1, 2, 5, 10, 20, 50, 100)
"""By which noise may be amplified."""
GREY = 128
PIXELATED = 96
"""Pictures up to this many pixels a side are enlarged without smoothing."""

_CUT_OFF = 1e-3  # of the values of a noise picture, at most, unless nothing is amplified
_WIDTH, _MARGIN, _GAP = 1500, 48, 36
_CELL = (_WIDTH - 2 * _MARGIN - 2 * _GAP) // 3
_TALLEST = 600
_ROW = 54
_PAPER, _INK, _MUTED, _RULE, _TRACK = "#faf9f6", "#1c1b19", "#67635b", "#d8d3c8", "#e9e5dc"
_WRONG, _BAR = "#b8321a", "#b3ac9e"
_SPELT = str.maketrans({"×": "x", "–": "-", "—": "-", "→": "->", "ß": "ss", "ø": "o", "Ø": "O", "æ": "ae", "ł": "l"})


def noise_picture(original: Tensor, perturbed: Tensor) -> tuple[Image.Image, int]:
    """The perturbation around grey 128, and how many times as strong as it is it is shown.

    Of uint8 ``[3, H, W]`` (or one channel). The factor is the largest of 1, 2, 5, ... 100 that cuts off at most one
    value in a thousand; 1 where nothing has changed. Where none is cut off, ``(picture - 128) / factor`` is the change
    to the level. ``info`` says so in words, and ``write_png`` writes it into the file.
    """
    change = perturbed.int() - original.int()
    allowed = int(_CUT_OFF * change.numel())
    levels = torch.arange(-255, 256)
    count = torch.bincount(change.flatten() - levels[0], minlength=len(levels))
    # Grey has 128 levels below it and 127 above.
    cut = {factor: (levels * factor < -GREY) | (levels * factor > 255 - GREY) for factor in FACTORS}
    fitting = [factor for factor in FACTORS if int(count[cut[factor]].sum()) <= allowed]
    factor = max(fitting, default=1) if bool(change.any()) else 1
    picture = _image((GREY + factor * change).clamp(0, 255))
    picture.info["Amplification"] = str(factor)
    picture.info["Description"] = f"The perturbation around grey {GREY}: change = (value - {GREY}) / {factor}"
    return picture, factor


def write_png(picture: Image.Image, path: Path | BinaryIO) -> None:
    """A PNG with the texts of ``info`` in it, which Pillow's own ``save`` leaves out."""
    texts = PngImagePlugin.PngInfo()
    for key, value in picture.info.items():
        if isinstance(key, str) and isinstance(value, str):
            # A file's name may hold bytes that are no text; Python keeps them as lone surrogates.
            texts.add_text(key, value.encode("utf-8", "replace").decode("utf-8"))
    picture.save(path, "PNG", pnginfo=texts)


def photograph(pixels: Tensor) -> Image.Image:
    """uint8 ``[3, H, W]`` as a picture."""
    return _image(pixels)


def shrunk(picture: Image.Image, width: int, height: int, *, smooth: bool) -> Image.Image:
    """The picture within these bounds, in its proportions; as it is where it fits.

    Noise is not smoothed: averaging neighbours would cancel it and belie the stated factor.
    """
    scale = min(width / picture.width, height / picture.height)
    if scale >= 1:
        return picture
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST)


def comparison(crafted: Crafted) -> Image.Image:
    """Original, noise and result side by side, 1500 pixels wide, with the five likeliest classes before and after."""
    noise, factor = noise_picture(crafted.original, crafted.perturbed)
    panels = [
        ("original", _to_cell(photograph(crafted.original), smooth=True)),
        (f"noise, {factor} times as strong as it is" if factor > 1 else "noise", _to_cell(noise, smooth=False)),
        ("result", _to_cell(photograph(crafted.perturbed), smooth=True)),
    ]
    top, tallest = 172, max(picture.height for _, picture in panels)
    below = top + tallest + 40
    height = below + 44 + _ROW * max(len(crafted.before), len(crafted.after), 5) + 60
    sheet = Image.new("RGB", (_WIDTH, height), _PAPER)
    pen = Pen(ImageDraw.Draw(sheet))
    _headline(pen, crafted)
    lefts = [_MARGIN + column * (_CELL + _GAP) for column in range(3)]
    for left, (name, picture) in zip(lefts, panels, strict=True):
        pen.text(left, top - 34, name, 21, _MUTED, _CELL)
        sheet.paste(picture, (left, top))
    aim = aimed(crafted)
    _classes(pen, lefts[0], below, "before", crafted.before, aim)
    _facts(pen, lefts[1], below, _seen(crafted))
    _classes(pen, lefts[2], below, "after", crafted.after, aim)
    how = f"{crafted.attack}, {crafted.passes:,} passes, {duration(crafted.seconds)}"
    pen.text(_MARGIN, height - 52, how, 18, _MUTED, _WIDTH - 2 * _MARGIN)
    sheet.info["Description"] = f"{crafted.photo}, {crafted.wish}: {how}; noise amplified {factor} times"
    return sheet


def aimed(crafted: Crafted) -> str:
    """The class that it is about: the target, or untargeted what the network says now."""
    return crafted.after[0][0] if crafted.target_name is None else crafted.target_name


class Pen(NamedTuple):
    """Draws text that fits."""

    draw: ImageDraw.ImageDraw

    def text(self, left: int, top: int, text: str, size: int, ink: str, width: float, *, right: bool = False) -> float:
        """Writes what fits into ``width``, and returns how wide that is; ``right``: ends at ``left + width``."""
        font = _font(size)
        written = fitted(text, size, width)
        length = font.getlength(written)
        self.draw.text((left + width - length if right else left, top), written, fill=ink, font=font)
        return length


def fitted(text: str, size: int, width: float) -> str:
    """As much of a text as fits, with an ellipsis for the rest, in letters that the font has."""
    written = _spelt(text)
    font = _font(size)
    if font.getlength(written) <= width:
        return written
    fits, long = 0, len(written)
    while fits < long:  # a photograph's name or a class's may be of any length
        middle = (fits + long + 1) // 2
        if font.getlength(written[:middle].rstrip() + "…") <= width:
            fits = middle
        else:
            long = middle - 1
    return written[:fits].rstrip() + "…"


def _headline(pen: Pen, crafted: Crafted) -> None:
    before, after = crafted.before[0][0], crafted.after[0][0]
    moved = before != after
    pieces = [(before, _INK), (" is now taken for " if moved else " is still taken for ", _MUTED), (after, _WRONG)]
    if not moved:
        pieces[2] = (after, _INK)
    wide = _WIDTH - 2 * _MARGIN
    size = next((size for size in (40, 34, 28) if sum(_length(text, size) for text, _ in pieces) <= wide), 28)
    room = (wide - _length(pieces[1][0], size)) / 2
    spare = max(room - min(_length(before, size), _length(after, size)), 0)  # what the shorter name leaves
    left: float = _MARGIN
    for text, ink in pieces:
        left += pen.text(round(left), 34 + (40 - size) // 2, text, size, ink, room + spare)
    asked = f"asked for {crafted.wish}" + (
        "" if crafted.target_name in (None, crafted.wish) else f" ({crafted.target_name})"
    )
    end = "reached" if crafted.reached else "not reached"
    line = f"{crafted.photo}: {asked} at {numbers.wanted(crafted.wanted)}, {end} with {_confidence(crafted)}"
    pen.text(_MARGIN, 88, line, 22, _INK if crafted.reached else _WRONG, wide)


def _confidence(crafted: Crafted) -> str:
    return numbers.sure(crafted.confidence, crafted.wanted)


def _classes(pen: Pen, left: int, top: int, when: str, classes: Sequence[tuple[str, float]], aim: str) -> None:
    """Horizontal bars with names and percentages; the class aimed at in colour."""
    pen.text(left, top, f"likeliest classes {when}", 21, _MUTED, _CELL)
    for row, (name, likely) in enumerate(classes):
        y = top + 44 + _ROW * row
        ink, bar = (_WRONG, _WRONG) if name == aim else (_INK, _INK if row == 0 else _BAR)
        said = pen.text(left, y, percent(likely), 21, ink, _CELL, right=True)
        pen.text(left, y, name, 21, ink, _CELL - said - 16)
        pen.draw.rectangle((left, y + 31, left + _CELL - 1, y + 37), fill=_TRACK)
        long = round(_CELL * min(max(likely, 0.0), 1.0))
        if long:
            pen.draw.rectangle((left, y + 31, left + long - 1, y + 37), fill=bar)


def _seen(crafted: Crafted) -> list[tuple[str, str]]:
    seen = crafted.visibility
    return [
        ("change of colour, mean", f"{numbers.colour(seen.colour_mean)} CIEDE2000"),
        ("in 1 of 100 pixels", f"over {numbers.colour(seen.colour_p99)} CIEDE2000"),
        ("structure kept (SSIM)", numbers.similarity(seen.ssim)),
        ("largest change", f"{seen.linf:.0f} of 255 grey levels"),
        ("pixels changed", percent(seen.changed)),
    ]


def _facts(pen: Pen, left: int, top: int, facts: Sequence[tuple[str, str]]) -> None:
    pen.text(left, top, "how visible (about 1 CIEDE2000 can just be seen)", 19, _MUTED, _CELL)
    for row, (name, value) in enumerate(facts):
        y = top + 44 + _ROW * row
        said = pen.text(left, y, value, 21, _INK, _CELL, right=True)
        pen.text(left, y, name, 21, _MUTED, _CELL - said - 16)
        pen.draw.line((left, y + 36, left + _CELL - 1, y + 36), fill=_RULE)


def _to_cell(picture: Image.Image, *, smooth: bool) -> Image.Image:
    """Shrunk into its place, or enlarged by a whole factor: every pixel keeps the size of its neighbours."""
    factor = min(_CELL // picture.width, _TALLEST // picture.height)
    if factor <= 1:
        return shrunk(picture, _CELL, _TALLEST, smooth=smooth)
    way = Image.Resampling.BICUBIC if smooth and max(picture.size) > PIXELATED else Image.Resampling.NEAREST
    return picture.resize((factor * picture.width, factor * picture.height), way)


def _image(pixels: Tensor) -> Image.Image:
    return Image.fromarray(pixels.expand(3, -1, -1).permute(1, 2, 0).byte().contiguous().numpy())


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # as it is for any size; every wheel of Pillow has FreeType
    return font


def _length(text: str, size: int) -> float:
    return _font(size).getlength(_spelt(text))


def _spelt(text: str) -> str:
    """The text in the letters that Pillow's font has: ``"é"`` as e, what cannot be spelt as a question mark.

    No line of a comparison has room for more than 1,000 letters.
    """
    plain = (
        mark for mark in unicodedata.normalize("NFKD", text[:1000].translate(_SPELT)) if not unicodedata.combining(mark)
    )
    return "".join(mark if _has(mark) else " " if mark.isspace() else "?" for mark in plain)


@cache
def _has(mark: str) -> bool:
    if mark == " ":
        return True
    font = _font(24)
    return mark.isprintable() and bytes(font.getmask(mark)) != bytes(font.getmask("\uffff"))
