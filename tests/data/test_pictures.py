"""Pictures: brought to one size, verified before they are believed, absent when they are none."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from seminar_core.data.hints import Hints
from seminar_core.data.importers.table import import_table
from seminar_core.data.opening import open_dataset
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


@pytest.mark.parametrize("name", ["Image", "picture", "pictures.of", "image_1"])
@pytest.mark.parametrize("struct", [False, True])
def test_bytes_of_pictures_may_stand_under_another_name(workspace: Workspace, tmp_path: Path, name, struct) -> None:
    write_csv(tmp_path / "in", "person,time,item\np,1,a\n")
    cells = [encoded((8, 8)), None]
    column = pa.array([{"bytes": cell, "path": None} for cell in cells]) if struct else pa.array(cells)
    table = pa.table({"item": ["a", "b"], f"{name}.small": ["x", "y"], name: column})
    pq.write_table(table, tmp_path / "in" / "items.parquet")
    told = {} if name == "Image" else {"image": name}
    import_table(workspace, tmp_path / "in", "data", hints=Hints(columns=told))
    assert open_dataset(workspace, "data").has_picture.tolist() == [False, True, False]


def stored(data: bytes) -> np.ndarray:
    """Pixels of what is kept of a picture."""
    small = normalised(data)
    assert small is not None
    return np.asarray(Image.open(io.BytesIO(small)).convert("RGB"), int)


def saved(image: Image.Image, kind: str = "PNG", **more) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **more)
    return out.getvalue()


def test_sixteen_bits_are_scaled_and_not_cut_off() -> None:
    ramp = np.tile(np.linspace(0, 65_535, 64).astype(np.uint16), (64, 1))
    pixels = stored(saved(Image.fromarray(ramp)))
    assert pixels[:, 0].max() < 30 and pixels[:, -1].min() > 225
    assert abs(int(pixels[:, 32].mean()) - 129) < 12


def test_a_picture_stands_upright_by_its_exif() -> None:
    image = Image.new("RGB", (60, 30), (255, 0, 0))
    image.paste((0, 0, 255), (30, 0, 60, 30))  # the right half is blue
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    pixels = stored(saved(image, "JPEG", exif=exif, quality=95))
    assert pixels.shape[:2] == (60, 30)
    assert pixels[5, 15, 0] > 200 and pixels[55, 15, 2] > 200  # red above, blue below


def test_a_transparent_drawing_is_seen_on_its_ground() -> None:
    for colour in ((0, 0, 0), (255, 255, 255)):
        logo = Image.new("RGBA", (60, 60), (*colour, 0))
        logo.paste((*colour, 255), (20, 20, 40, 40))
        pixels = stored(saved(logo))
        assert abs(pixels[30, 30].mean() - pixels[5, 5].mean()) > 150


def test_a_webp_with_more_than_a_picture_is_written_anew() -> None:
    plain = saved(Image.new("RGB", (50, 40), (10, 200, 30)), "WEBP")
    assert normalised(plain) == plain
    behind = normalised(plain + b"x" * 1000)
    assert behind is not None and len(behind) < 1000
    frames = [Image.new("RGB", (50, 40), (n, 0, 0)) for n in (0, 120, 250)]
    moving = normalised(saved(frames[0], "WEBP", save_all=True, append_images=frames[1:]))
    assert moving is not None and getattr(Image.open(io.BytesIO(moving)), "n_frames", 1) == 1
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    told = normalised(saved(Image.new("RGB", (50, 40)), "WEBP", exif=exif))
    assert told is not None and b"where I live" not in told
