"""A map as files for other tools: a plain table, Embedding Atlas, the TensorBoard projector.

After the map. Embedding Atlas reads Parquet with x, y and neighbours (`embedding-atlas FILE --x x --y y --neighbors
neighbors`); the projector reads vectors.tsv, metadata.tsv and a sprite of thumbnails through projector_config.pbtxt
(`tensorboard --logdir DIR`). Nothing is sent anywhere: the tools are the reader's.
"""

from __future__ import annotations

import io
import math
import os
import tempfile
import uuid
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, UnidentifiedImageError

from ..contracts import CHANNEL_NAMES, CHANNELS
from ..errors import ExistsError
from ..files import atomic_directory
from .map_store import channel_names, stage_names
from .neighbours import nearest
from .projection import NEIGHBOURS, Layout

CONFIG = "projector_config.pbtxt"
SPRITE_SIDE = 8192  # the projector refuses larger sprites
SPRITE_COMPRESSION = 1  # level 6 takes several times as long and saves little on photographs


def map_table(layout: Layout, item_ids: Sequence[str]) -> pa.Table:
    """One row per drawn point: item, channel, stage, x, y.

    Args:
        layout: the map.
        item_ids: id of each catalogue row, "" at row 0.
    """
    points = layout.points
    return pa.table(
        {
            "item": pa.array([item_ids[row] for row in points.item], pa.string()),
            "channel": pa.array(channel_names(points).tolist(), pa.string()),
            "stage": pa.array(stage_names(points).tolist(), pa.string()),
            "x": layout.xy[:, 0],
            "y": layout.xy[:, 1],
        }
    )


def check_out(out: Path, *, folder: bool = False) -> None:
    """Refuse a place that an export would have to destroy, before anything is drawn.

    Args:
        out: file to write; with `folder` a projector directory, which replaces an older one and nothing else.

    Raises:
        ExistsError: a directory where a file is to be, or a directory (or file) that is no projector export.
    """
    if folder and out.exists() and not (out / CONFIG).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise ExistsError(
            f"{os.path.abspath(out)} holds something that is no projector export and would be replaced",
            hint="name a directory that does not exist yet",
        )
    if not folder and out.is_dir():
        raise ExistsError(f"{os.path.abspath(out)} is a directory", hint="name a file, such as map.parquet")


def write_table(table: pa.Table, out: Path) -> None:
    """Write Parquet by rename; a directory is refused (`check_out`)."""
    check_out(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".partial-{uuid.uuid4().hex[:8]}-{out.name}")
    try:
        pq.write_table(table, partial, compression="zstd")
        os.replace(partial, out)
    finally:
        partial.unlink(missing_ok=True)


def embedding_atlas_table(layout: Layout, item_ids: Sequence[str], titles: Sequence[str | None]) -> pa.Table:
    """The map's table with titles and each point's neighbours in the original space (0-based rows, distances)."""
    points = layout.points
    rows, cosines = nearest(points.vectors, min(NEIGHBOURS, len(points) - 1))
    distances = np.sqrt(np.maximum(2 - 2 * cosines, 0))
    neighbours = pa.StructArray.from_arrays(
        [pa.array(rows.tolist(), pa.list_(pa.int64())), pa.array(distances.tolist(), pa.list_(pa.float32()))],
        names=["ids", "distances"],
    )
    table = map_table(layout, item_ids)
    return table.append_column("title", pa.array([titles[row] for row in points.item], pa.string())).append_column(
        "neighbors", neighbours
    )


def write_projector(
    layout: Layout,
    item_ids: Sequence[str],
    titles: Sequence[str | None],
    picture: Callable[[int], bytes | None],
    out: Path,
    *,
    thumbnail: int = 48,
) -> None:
    """Write a TensorBoard projector directory.

    Args:
        layout: the map, whose original vectors are written.
        item_ids: id of each catalogue row.
        titles: title of each catalogue row.
        picture: catalogue row -> picture bytes or None.
        out: directory to make; an older projector export is replaced, anything else refused (`check_out`).
        thumbnail: side of a sprite tile in pixels, made smaller when the sprite would exceed `SPRITE_SIDE`.
    """
    check_out(out, folder=True)
    out = Path(os.path.abspath(out))
    points = layout.points
    side = math.ceil(math.sqrt(len(points)))
    tile = max(1, min(thumbnail, SPRITE_SIDE // side))
    channels, stages = channel_names(points), stage_names(points)
    with atomic_directory(out, replace=True) as partial:
        np.savetxt(partial / "vectors.tsv", points.vectors, delimiter="\t", fmt="%.6g")
        with (partial / "metadata.tsv").open("w", encoding="utf-8") as file:
            file.write("item\ttitle\tchannel\tstage\n")
            for row, channel, stage in zip(points.item, channels, stages, strict=True):
                title = " ".join((titles[row] or "").split())
                file.write(f"{item_ids[row]}\t{title}\t{CHANNEL_NAMES[channel]}\t{stage}\n")
        _sprite(points.item, points.channel, picture, tile, side).save(
            partial / "sprite.png", compress_level=SPRITE_COMPRESSION
        )
        (partial / CONFIG).write_text(
            'embeddings {\n  tensor_name: "channels"\n  tensor_path: "vectors.tsv"\n  metadata_path: "metadata.tsv"\n'
            f'  sprite {{ image_path: "sprite.png" single_image_dim: {tile} single_image_dim: {tile} }}\n}}\n',
            encoding="utf-8",
        )


def embedding_atlas_file(layout: Layout, item_ids: Sequence[str], titles: Sequence[str | None]) -> bytes:
    """`embedding_atlas_table` as the bytes of a Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(embedding_atlas_table(layout, item_ids, titles), buffer, compression="zstd")
    return buffer.getvalue()


def projector_archive(
    layout: Layout, item_ids: Sequence[str], titles: Sequence[str | None], picture: Callable[[int], bytes | None]
) -> bytes:
    """The projector directory (`write_projector`) as the bytes of a zip file."""
    buffer = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        out = Path(folder) / "projector"
        write_projector(layout, item_ids, titles, picture, out)
        for path in sorted(out.iterdir()):
            packed = zipfile.ZIP_STORED if path.suffix == ".png" else zipfile.ZIP_DEFLATED
            archive.write(path, f"projector/{path.name}", compress_type=packed)
    return buffer.getvalue()


def _sprite(
    item: np.ndarray, channel: np.ndarray, picture: Callable[[int], bytes | None], tile: int, side: int
) -> Image.Image:
    """One square of tiles in row order, a neutral tile where an item has no picture."""
    sprite = Image.new("RGB", (side * tile, side * tile), "white")
    blank = Image.new("RGB", (tile, tile), "#dddddd")
    made: dict[int, Image.Image] = {}
    for at, row in enumerate(item.tolist()):
        if row not in made:
            made[row] = _thumbnail(picture(row), tile) or blank
        frame = made[row].copy()
        frame.paste(_CHANNEL_COLOURS[channel[at]], (0, tile - max(1, tile // 12), tile, tile))
        sprite.paste(frame, (at % side * tile, at // side * tile))
    return sprite


_CHANNEL_COLOURS = dict(enumerate(("#D55E00", "#0072B2", "#009E73", "#CC79A7")[: len(CHANNELS)]))


def _thumbnail(content: bytes | None, tile: int) -> Image.Image | None:
    if content is None:
        return None
    try:
        return Image.open(io.BytesIO(content)).convert("RGB").resize((tile, tile))
    except (UnidentifiedImageError, OSError):
        return None
