"""From the bytes of an image file to a PIL image in 8 bits, upright, grey or RGB; hostile files included."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from brittle.data.peek import Header, plain_header
from brittle.errors import BrittleError

EXTENSIONS = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
"""Names that an image file may end with, in any case."""

# A closed list: some of Pillow's other readers start programs (EPS runs Ghostscript), whatever the file is called.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N", "I")
_ORIENTATION = 0x0112  # the EXIF tag; values 5 to 8 turn the image by a quarter
_GREY = ("1", "L", "LA", "La", "F", *_SIXTEEN_BIT)


def read_header(data: bytes, name: str) -> Header:
    """Size and colours of an encoded image. Raises BrittleError, naming the image, where it is not one."""
    if plain := plain_header(data):
        return plain
    with _failures_named(name):
        image = _opened(data)
        width, height = image.size
        # Orientation matters to the size of an oblong image only, and looking for it costs a decode in some PNGs.
        # Pillow's TIFF reader gives the upright size by itself.
        quarter_turn = width != height and image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
        if quarter_turn and image.format != "TIFF":
            width, height = height, width
        return Header(image.mode in _GREY, width, height)


def decoded(data: bytes, name: str, channels: int) -> Image.Image:
    """The image as people see it: mode ``L`` (channels 1) or ``RGB`` (channels 3), 8 bits, EXIF orientation applied.

    16-bit grey is scaled and rounded to 8 bits, transparency lies over white, palettes and CMYK become RGB, colour
    becomes grey by ITU-R 601 luma, animations give their first frame. Raises BrittleError, naming the image, where the
    bytes are not an image, are cut short, or describe more pixels than Pillow's decompression-bomb limit.
    """
    with _failures_named(name):
        image = _opened(data)
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode in _SIXTEEN_BIT:
            image = _eight_bit(image)
        if image.has_transparency_data:
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
        mode = "L" if channels == 1 else "RGB"
        return image if image.mode == mode else image.convert(mode)


def _opened(data: bytes) -> Image.Image:
    if not data:
        raise OSError("it is empty")
    image = Image.open(BytesIO(data), formats=_FORMATS)
    if image.mode == "F":
        raise OSError("its pixels are floats, whose range nothing tells; save it with 8 or 16 bits")
    return image


def _eight_bit(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise OSError("its pixels need more than 16 bits; save it with 8 or 16 bits")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


@contextmanager
def _failures_named(name: str) -> Iterator[None]:
    """Turn whatever Pillow raises into one line that names the image."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # complaints about metadata, which has no bearing on the pixels
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split(", ")[0].split())
        raise BrittleError(f"{name} is too large to decode: {reason}; make it smaller first") from None
    except Exception as error:  # a damaged file makes Pillow's readers raise nearly anything
        reason = "" if isinstance(error, UnidentifiedImageError) else " ".join(str(error).split())[:160]
        raise BrittleError(f"{name} is not an image or is truncated{reason and f': {reason}'}") from None
