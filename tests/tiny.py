"""A small `table` data set for tests of every part: people with tastes, searches, titles, brands, drawn pictures.

A person likes two categories; seven events of ten are of one of them. Queries name the category or the brand of the
item they led to. About one item in ten has no picture and one in twelve no text.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from seminar_core.data.dataset import Dataset
from seminar_core.data.importers.table import import_table
from seminar_core.data.opening import open_dataset
from seminar_core.workspace import Workspace

CATEGORIES = ("lamp", "chair", "kettle", "shoe", "tent", "guitar")
BRANDS = ("Nord", "Brisa", "Okami", "Tarn", "Velo")
COLOURS = ("red", "green", "blue", "black", "white")
START_S = 1_700_000_000


def draw(category: int, colour: int, rng: np.random.Generator) -> bytes:
    """A 32 x 32 WEBP: shape by category, fill by colour."""
    image = Image.new("RGB", (32, 32), (225, 222, 215))
    pen = ImageDraw.Draw(image)
    left, size = int(rng.integers(2, 7)), int(rng.integers(16, 24))
    box = (left, left, left + size, left + size)
    fill = COLOURS[colour]
    if category % 3 == 0:
        pen.ellipse(box, fill=fill)
    elif category % 3 == 1:
        pen.rectangle(box, fill=fill)
    else:
        pen.polygon([(16, left), (left, left + size), (left + size, left + size)], fill=fill)
    if category >= 3:
        pen.line((0, 31, 31, 0), fill="black", width=3)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=80)
    return out.getvalue()


def write_table(
    path: Path, people: int = 40, items: int = 60, seed: int = 0, shortest: int = 12, longest: int = 60
) -> Path:
    """Write events.parquet and items.parquet into `path` and return it."""
    rng = np.random.default_rng(seed)
    path.mkdir(parents=True, exist_ok=True)
    category = rng.integers(0, len(CATEGORIES), items)
    brand = rng.integers(0, len(BRANDS), items)
    colour = rng.integers(0, len(COLOURS), items)
    titled = rng.random(items) > 1 / 12
    pictured = rng.random(items) > 0.1
    titles = [f"{COLOURS[c]} {CATEGORIES[k]} by {BRANDS[b]}" for c, k, b in zip(colour, category, brand, strict=True)]
    pq.write_table(
        pa.table(
            {
                "item": [f"i{n}" for n in range(1, items + 1)],
                "title": [t if on else None for t, on in zip(titles, titled, strict=True)],
                "description": [f"A {t} for every day." if on else None for t, on in zip(titles, titled, strict=True)],
                "category": [CATEGORIES[k] for k in category],
                "brand": [BRANDS[b] for b in brand],
                "colour": [COLOURS[c] for c in colour],
                "image": pa.array(
                    [draw(k, c, rng) if on else None for k, c, on in zip(category, colour, pictured, strict=True)],
                    pa.binary(),
                ),
            }
        ),
        path / "items.parquet",
    )
    rows = [row for person in range(1, people + 1) for row in _life(rng, person, category, brand, shortest, longest)]
    columns = ("person", "time", "item", "query", "action", "label")
    pq.write_table(
        pa.table({name: [row[n] for row in rows] for n, name in enumerate(columns)}), path / "events.parquet"
    )
    return path


def _life(
    rng: np.random.Generator, person: int, category: np.ndarray, brand: np.ndarray, shortest: int, longest: int
) -> list[tuple[str, int, str, str | None, str, int | None]]:
    tastes = rng.choice(len(CATEGORIES), 2, replace=False)
    liked = np.flatnonzero(np.isin(category, tastes))
    time_s = START_S + int(rng.integers(0, 86_400))
    rows: list[tuple[str, int, str, str | None, str, int | None]] = []
    for _ in range(int(rng.integers(shortest, longest + 1))):
        time_s += int(rng.choice([0, 30, 3_600, 86_400], p=[0.1, 0.5, 0.3, 0.1]))
        favoured = len(liked) > 0 and rng.random() < 0.7
        item = int(rng.choice(liked)) if favoured else int(rng.integers(len(category)))
        query = None
        if rng.random() < 0.4:
            query = (
                CATEGORIES[category[item]]
                if rng.random() < 0.7
                else f"{BRANDS[brand[item]]} {CATEGORIES[category[item]]}"
            )
        label = int(category[item] in tastes) if rng.random() < 0.8 else None
        rows.append((f"p{person}", time_s, f"i{item + 1}", query, "search" if query else "browse", label))
    return rows


def make_dataset(workspace: Workspace, name: str = "tiny", **size: int) -> Dataset:
    """Write a tiny table beside the workspace, import it and open it; `size` as in `write_table`."""
    path = write_table(workspace.root.parent / f"{name}-table", **size)
    import_table(workspace, path, name)
    return open_dataset(workspace, name)
