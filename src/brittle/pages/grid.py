"""Some images as one picture, in rows of four."""

from PIL import Image

from brittle.pages.pictures import Pixels, photograph, shrunk

_COLUMNS, _LEAST, _MOST, _GAP = 4, 48, 96, 2  # images in a row; pixels of a side of each, and between them
_PAPER = (128, 128, 128)


def grid_picture(images: Pixels) -> Image.Image:
    """Images ``[K, C, H, W]``; small ones are enlarged by a whole number, large ones shrunk."""
    tiles = [_tile(photograph(one)) for one in images]  # type: ignore[union-attr]
    width, height = tiles[0].width + _GAP, tiles[0].height + _GAP
    rows = -(-len(tiles) // _COLUMNS)
    whole = Image.new("RGB", (width * min(len(tiles), _COLUMNS) - _GAP, height * rows - _GAP), _PAPER)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, _COLUMNS)
        whole.paste(tile, (column * width, row * height))
    return whole


def _tile(picture: Image.Image) -> Image.Image:
    small = shrunk(picture, _MOST, _MOST, smooth=True)
    times = -(-_LEAST // max(small.size))
    return small.resize((times * small.width, times * small.height), Image.Resampling.NEAREST)
