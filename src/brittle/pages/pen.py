"""Text drawn on a picture, within the place it has."""

import unicodedata
from functools import cache
from typing import NamedTuple

from PIL import ImageDraw, ImageFont

_SPELT = str.maketrans({"×": "x", "–": "-", "—": "-", "→": "->", "ß": "ss", "ø": "o", "Ø": "O", "æ": "ae", "ł": "l"})


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


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # as it is for any size; every wheel of Pillow has FreeType
    return font


def length(text: str, size: int) -> float:
    """How wide a text is, in pixels."""
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
