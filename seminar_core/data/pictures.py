"""Pictures of items: verified, brought to one small size, and kept in one file with offsets.

Data, import. A picture comes from a stranger: its format is one of a few, its size is checked before a pixel is decoded
(a small file may declare a gigapixel), and whatever does not decode completely counts as absent and is reported.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

LONGEST_SIDE = 224
MOST_PIXELS = 40_000_000
MOST_BYTES = 40_000_000
FORMATS = ("WEBP", "JPEG", "PNG", "GIF", "BMP")
QUALITY = 82
BATCH = 256
DECODER_ERRORS = (  # what Pillow's decoders raise over damaged bytes
    UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError, struct.error,
    zlib.error, IndexError, KeyError, TypeError, OverflowError, ZeroDivisionError, RecursionError, MemoryError,
)  # fmt: skip
LIGHT = 160  # a transparent drawing lighter than this, of 255, gets a dark ground


def normalised(data: bytes) -> bytes | None:
    """`data` as WEBP with its longest side at most `LONGEST_SIDE`; None when it is no picture.

    Stored is what a person would see: upright by its EXIF, its first frame, 16 bits scaled to 8, what is transparent on
    a ground that it stands out from. A plain WEBP that is small enough is kept byte for byte; one with frames, metadata
    or bytes behind its end is not.
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
            if plain_webp(data) and max(image.size) <= LONGEST_SIDE:
                return data
            image = as_seen(image)
            image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            out = io.BytesIO()
            image.save(out, "WEBP", quality=QUALITY, method=2)
            return out.getvalue()
    except DECODER_ERRORS:
        return None


def plain_webp(data: bytes) -> bool:
    """Whether the bytes are one WEBP picture and nothing else: no frames, no metadata, no alpha, nothing behind it."""
    whole = data[:4] == b"RIFF" and data[8:12] == b"WEBP" and int.from_bytes(data[4:8], "little") + 8 == len(data)
    if not whole or data[12:16] not in (b"VP8 ", b"VP8L"):
        return False
    size = int.from_bytes(data[16:20], "little")
    return 20 + size + size % 2 == len(data)


def as_seen(image: Image.Image) -> Image.Image:
    """The picture in RGB as a viewer shows it."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        levels = np.asarray(image, np.float32)
        deep = float(levels.max(initial=0)) > 255  # 16 bits; what was written with 8 stays
        image = Image.fromarray(np.clip(levels / 257 if deep else levels, 0, 255).round().astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        drawing = image.convert("RGBA")
        pixels = np.asarray(drawing, np.float32)
        seen = pixels[..., 3]
        light = (pixels[..., :3].mean(-1) * seen).sum() / max(float(seen.sum()), 1.0)
        ground = Image.new("RGBA", drawing.size, (255, 255, 255, 255) if light < LIGHT else (40, 40, 40, 255))
        image = Image.alpha_composite(ground, drawing)
    return image.convert("RGB")


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
