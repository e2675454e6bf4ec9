"""Pictures: brought to one size, verified before they are believed, absent when they are none."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from seminar_core.data.pictures import normalised, write_pictures
from seminar_core.workspace import Workspace
from tests.data.table_text import imported, problems, write_csv


def encoded(size: tuple[int, int], kind: str = "PNG", mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, 120 if mode in ("L", "P") else (10, 200, 30)[: len(mode)]).save(out, kind)
    return out.getvalue()


def png_that_declares(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims a size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0" * 100)) + chunk(b"IEND", b"")
    )


def test_a_large_picture_becomes_a_small_webp_of_the_same_shape() -> None:
    small = normalised(encoded((448, 896), "JPEG"))
    assert small is not None
    image = Image.open(io.BytesIO(small))
    assert (image.format, image.size) == ("WEBP", (112, 224))


def test_a_small_webp_is_kept_byte_for_byte() -> None:
    data = encoded((96, 96), "WEBP")
    assert normalised(data) == data


def test_every_colour_mode_is_accepted() -> None:
    for kind, mode in (("PNG", "RGBA"), ("PNG", "L"), ("PNG", "P"), ("JPEG", "CMYK"), ("BMP", "RGB"), ("GIF", "P")):
        data = normalised(encoded((20, 10), kind, mode if mode != "CMYK" else "RGB"))
        assert data is not None and Image.open(io.BytesIO(data)).mode == "RGB"


def test_what_is_no_picture_is_none() -> None:
    jpeg = encoded((64, 64), "JPEG")
    for data in (b"", b"GIF89a", b"<svg onload=alert(1)>", jpeg[: len(jpeg) // 2], png_that_declares(60_000, 60_000)):
        assert normalised(data) is None


def test_pictures_are_found_by_item_row(tmp_path: Path) -> None:
    one, two = encoded((8, 8), "WEBP"), encoded((9, 9), "WEBP")
    written = write_pictures(tmp_path, [(2, one), (3, b"nothing"), (4, two)], n_items=5)
    assert written.present.tolist() == [False, False, True, False, True, False]
    assert written.unreadable == [3]
    offsets = np.load(tmp_path / "picture_offsets.npy")
    blob = (tmp_path / "pictures.bin").read_bytes()
    assert len(offsets) == 7
    assert [blob[offsets[r] : offsets[r + 1]] for r in range(6)] == [b"", b"", one, b"", two, b""]


def test_a_picture_that_is_none_counts_as_absent_and_is_reported(workspace: Workspace, tmp_path: Path) -> None:
    images = [encoded((30, 30)), b"not a picture", None]
    pq.write_table(
        pa.table({"item": ["a", "b", "c"], "title": list("ABC"), "image": images}), tmp_path / "items.parquet"
    )
    pq.write_table(pa.table({"person": ["p"], "time": [1], "item": ["a"]}), tmp_path / "events.parquet")
    data = imported(workspace, tmp_path)
    assert data.items_frame()["image_state"].tolist() == ["ok", "unreadable", "absent"]
    assert [data.picture(row) is None for row in range(4)] == [True, False, True, True]
    assert data.has_picture.tolist() == [False, True, False, False]
    found = problems(data)
    assert (found["unreadable_image"]["count"], found["unreadable_image"]["example_rows"]) == (1, [2])
    assert (found["item_without_image"]["count"], found["item_without_image"]["example_rows"]) == (2, [2, 3])


def test_pictures_may_be_files_in_the_folder_pictures(workspace: Workspace, tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "in", "person,time,item\np,1,a\n", "item,image\na,red.png\nb,pictures/red.png\nc,gone.png\nd,\n"
    )
    (path / "pictures").mkdir()
    (path / "pictures" / "red.png").write_bytes(encoded((30, 30)))
    data = imported(workspace, path)
    assert data.items_frame()["image_state"].tolist() == ["ok", "ok", "unreadable", "absent"]
