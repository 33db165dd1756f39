"""Size and colours of the plainest JPEG and PNG files from their first bytes: a tenth of the time that Pillow takes.

Whatever is not quite plain (EXIF, colour profiles, text, palettes with odd depths, damage of any kind) gets no answer
here, and Pillow has the word; so there is one judge of what an image is. Markers as in ITU-T T.81, table B.1; chunks
as in the PNG specification (ISO/IEC 15948), 5.6 and 11.2.
"""

import struct
import zlib
from typing import NamedTuple

from PIL import Image

_GREY_BY_COLOUR_TYPE = {0: True, 2: False, 3: False, 4: True, 6: False}
_PNG_START = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_PNG_PLAIN = {b"PLTE", b"tRNS", b"gAMA", b"pHYs", b"sRGB", b"cHRM", b"bKGD", b"sBIT", b"tIME"}
_SEGMENT, _FRAME, _IMAGE = struct.Struct(">BBH"), struct.Struct(">BHHB"), struct.Struct(">IIBBBBB")
_QUANTISATION, _SCAN = 0xDB, 0xDA
_FRAMES = {0xC0, 0xC1, 0xC2}  # baseline, extended, progressive
_PASSED_OVER = {0xE0, 0xEE, 0xFE, 0xC4, 0xDD}  # APP0, APP14, comment, Huffman tables, restart interval
_TABLE = 65  # bytes of a quantisation table of 8 bits with its number


class Header(NamedTuple):
    """What a file says of its image before any pixel is decoded; the size is the upright one."""

    grey: bool
    width: int
    height: int


def plain_header(data: bytes) -> Header | None:
    """The header of an encoded image; None where Pillow should be asked."""
    found = _png(data) if data.startswith(_PNG_START) else _jpeg(data) if data.startswith(b"\xff\xd8\xff") else None
    if found is None:
        return None
    pixels, most = found.width * found.height, Image.MAX_IMAGE_PIXELS
    return found if pixels and (most is None or pixels <= most) else None


def _jpeg(data: bytes) -> Header | None:
    at, end, found = 2, len(data), None
    while at + 4 <= end:
        start, marker, length = _SEGMENT.unpack_from(data, at)
        body = at + 4
        at += 2 + length
        if start != 0xFF or length < 2 or at > end:
            return None
        if marker in _PASSED_OVER:
            continue
        if marker == _QUANTISATION:
            while body < at:
                if data[body] >= 16:
                    return None
                body += _TABLE
            if body != at:
                return None
        elif marker in _FRAMES:
            if length < 8:
                return None
            bits, height, width, layers = _FRAME.unpack_from(data, body)
            if bits != 8 or layers not in (1, 3) or length != 8 + 3 * layers:
                return None
            found = Header(layers == 1, width, height)
        else:
            return found if marker == _SCAN else None
    return None


def _png(data: bytes) -> Header | None:
    if not _is_whole(data, 12, 17):
        return None
    width, height, depth, colour, compression, filters, interlace = _IMAGE.unpack_from(data, 16)
    if colour not in _GREY_BY_COLOUR_TYPE or depth not in ((8,) if colour == 3 else (8, 16)):
        return None
    if compression or filters or interlace not in (0, 1) or width != height:  # an oblong one may be turned, which
        return None  # may be said behind the pixels
    at = 33
    while data[at + 4 : at + 8] != b"IDAT":
        length = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] not in _PNG_PLAIN or not _is_whole(data, at + 4, 4 + length):
            return None
        at += 12 + length
    return Header(_GREY_BY_COLOUR_TYPE[colour], width, height)


def _is_whole(data: bytes, start: int, length: int) -> bool:
    """Whether the checksum that follows a chunk's type and content is theirs."""
    stop = start + length
    return len(data) >= stop + 4 and zlib.crc32(data[start:stop]) == int.from_bytes(data[stop : stop + 4], "big")
