"""Pictures of items: verified, brought to one small size, and kept in one file with offsets.

Data, import. A picture comes from a stranger: its format is one of a few, its size is checked before a pixel is decoded
(a small file may declare a gigapixel), and whatever does not decode completely counts as absent and is reported.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

LONGEST_SIDE = 224
MOST_PIXELS = 40_000_000
MOST_BYTES = 40_000_000
FORMATS = ("WEBP", "JPEG", "PNG", "GIF", "BMP")
QUALITY = 82
BATCH = 256


def normalised(data: bytes) -> bytes | None:
    """`data` as WEBP with its longest side at most `LONGEST_SIDE`; None when it is no picture.

    A WEBP that is small enough is kept byte for byte.
    """
    if len(data) > MOST_BYTES:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large pictures; the limit below decides
            image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
            if image.width * image.height > MOST_PIXELS:
                return None
            image.load()
            if image.format == "WEBP" and max(image.size) <= LONGEST_SIDE:
                return data
            image = image.convert("RGB")
            image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            out = io.BytesIO()
            image.save(out, "WEBP", quality=QUALITY, method=2)
            return out.getvalue()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError):
        return None


@dataclass(frozen=True)
class PicturesWritten:
    """What became of the pictures: per item row (I+1,) whether there is one, and the rows whose file was none."""

    present: np.ndarray
    unreadable: list[int]


def write_pictures(directory: Path, pictures: Iterable[tuple[int, bytes]], n_items: int) -> PicturesWritten:
    """Write `pictures.bin` and `picture_offsets.npy` (I+2,), the picture of row r at offsets[r]:offsets[r+1].

    Args:
        directory: where the two files go.
        pictures: (item row, raw bytes), rows ascending, items without a picture left out.
        n_items: I.
    """
    sizes = np.zeros(n_items + 2, dtype=np.int64)
    unreadable: list[int] = []
    with (directory / "pictures.bin").open("wb") as file, ThreadPoolExecutor(2) as pool:
        for batch in _batches(pictures):
            for (row, _), data in zip(batch, pool.map(normalised, [raw for _, raw in batch]), strict=True):
                if data is None:
                    unreadable.append(row)
                    continue
                sizes[row + 1] = file.write(data)
    np.save(directory / "picture_offsets.npy", np.cumsum(sizes), allow_pickle=False)
    return PicturesWritten(present=sizes[1:] > 0, unreadable=unreadable)


def _batches(pictures: Iterable[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    iterator = iter(pictures)
    while batch := list(islice(iterator, BATCH)):
        yield batch
