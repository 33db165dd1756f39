"""Original, noise and result side by side, as one picture to look at."""

from collections.abc import Sequence

from PIL import Image, ImageDraw

from brittle.crafting.crafted import Crafted
from brittle.pages.pen import Pen, length
from brittle.pages.pictures import PIXELATED, noise_picture, photograph, shrunk
from brittle.text import colour, percent, similarity, sure, wanted

_WIDTH, _MARGIN, _GAP = 1500, 48, 36
_CELL = (_WIDTH - 2 * _MARGIN - 2 * _GAP) // 3
_TALLEST = 600
_ROW = 54
_PAPER, _INK, _MUTED, _RULE, _TRACK = "#faf9f6", "#1c1b19", "#67635b", "#d8d3c8", "#e9e5dc"
_WRONG, _BAR = "#b8321a", "#b3ac9e"


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
    how = f"{crafted.attack}, {crafted.passes:,} passes"  # no time: the same run makes the same picture
    pen.text(_MARGIN, height - 52, how, 18, _MUTED, _WIDTH - 2 * _MARGIN)
    sheet.info["Description"] = f"{crafted.photo}, {crafted.wish}: {how}; noise amplified {factor} times"
    return sheet


def aimed(crafted: Crafted) -> str:
    """The class that it is about: the target, or untargeted what the network says now."""
    return crafted.after[0][0] if crafted.target_name is None else crafted.target_name


def _headline(pen: Pen, crafted: Crafted) -> None:
    before, after = crafted.before[0][0], crafted.after[0][0]
    moved = before != after
    pieces = [(before, _INK), (" is now taken for " if moved else " is still taken for ", _MUTED), (after, _WRONG)]
    if not moved:
        pieces[2] = (after, _INK)
    wide = _WIDTH - 2 * _MARGIN
    size = next((size for size in (40, 34, 28) if sum(length(text, size) for text, _ in pieces) <= wide), 28)
    room = (wide - length(pieces[1][0], size)) / 2
    spare = max(room - min(length(before, size), length(after, size)), 0)  # what the shorter name leaves
    left: float = _MARGIN
    for text, ink in pieces:
        left += pen.text(round(left), 34 + (40 - size) // 2, text, size, ink, room + spare)
    asked = f"asked for {crafted.wish}" + (
        "" if crafted.target_name in (None, crafted.wish) else f" ({crafted.target_name})"
    )
    end = "reached" if crafted.reached else "not reached"
    line = (
        f"{crafted.photo}: {asked} at {wanted(crafted.wanted)}, {end} with {sure(crafted.confidence, crafted.wanted)}"
    )
    pen.text(_MARGIN, 88, line, 22, _INK if crafted.reached else _WRONG, wide)


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
        ("change of colour, mean", f"{colour(seen.colour_mean)} CIEDE2000"),
        ("in 1 of 100 pixels", f"over {colour(seen.colour_p99)} CIEDE2000"),
        ("structure kept (SSIM)", similarity(seen.ssim)),
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
