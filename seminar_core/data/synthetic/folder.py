"""The files of a sample folder: events, items, the planted answer and the README.

Data, generation. Plain Parquet (zstd) whose bytes depend on the content and the pinned pyarrow alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ...files import write_json
from .catalogue import CATEGORY_NAMES, COLOUR_NAMES, GAP_NORM, STYLE_NAMES, TOPIC_NAMES, PlantedItems, plant_vectors
from .lives import ACTIONS, BACKGROUND, COLD_CHANCE, PlantedLife


def person_name(row: int) -> str:
    """Id of the person in row `row`; ids sort like rows."""
    return f"p{row + 1:04d}"


def item_name(index: int) -> str:
    """Id of the item at position `index` of the item file."""
    return f"i{index + 1:05d}"


def _write_table(path: Path, columns: dict[str, pa.Array]) -> None:
    pq.write_table(pa.table(columns), path, compression="zstd", compression_level=19, row_group_size=100_000)


def _strings(values: list[Any]) -> pa.Array:
    return pa.array(values, pa.string())


def write_events(path: Path, lives: list[PlantedLife]) -> None:
    """One row per event, people in order, each life in time order."""
    lengths = [len(life.item) for life in lives]
    names = [person_name(row) for row in range(len(lives))]
    item = np.concatenate([life.item for life in lives])
    label = np.concatenate([life.label for life in lives])
    _write_table(
        path,
        {
            "person": _strings([names[row] for row in np.repeat(np.arange(len(lives)), lengths)]),
            "time": pa.array(np.concatenate([life.time_s for life in lives])),
            "item": _strings([item_name(i) for i in item.tolist()]),
            "query": _strings([text for life in lives for text in life.query]),
            "action": _strings([ACTIONS[a] for life in lives for a in life.action.tolist()]),
            "label": pa.array(label, pa.int8(), mask=label < 0),
        },
    )


def write_items(path: Path, items: PlantedItems, pictures: list[bytes | None]) -> None:
    """One row per item, its picture as bytes."""
    _write_table(
        path,
        {
            "item": _strings([item_name(i) for i in range(len(items))]),
            "title": _strings(items.title),
            "description": _strings(items.description),
            "category": _strings([CATEGORY_NAMES[c] for c in items.category]),
            "brand": _strings(items.brand),
            "material": _strings(items.material),
            "image": pa.array(pictures, pa.binary()),
        },
    )


def write_truth(
    folder: Path, items: PlantedItems, lives: list[PlantedLife], frequency: np.ndarray, seed: int, noise: bool
) -> None:
    """Everything that was planted; `Truth.load` reads it."""
    names = [item_name(i) for i in range(len(items))]
    from_other = items.picture_from != items.category
    _write_table(
        folder / "items.parquet",
        {
            "item": pa.array(names),
            "topic": pa.array(items.topic),
            "style": _strings([STYLE_NAMES[s] for s in items.style]),
            "colour": _strings([COLOUR_NAMES[c] for c in items.colour]),
            "colour_index": pa.array(items.colour),
            "zipf": pa.array(items.zipf),
            "frequency": pa.array(frequency),
            "cold": pa.array(items.cold),
            "picture_from": _strings(
                [CATEGORY_NAMES[c] if other else None for c, other in zip(items.picture_from, from_other, strict=True)]
            ),
            "latent": pa.array(list(items.latent), pa.list_(pa.float32())),
        },
    )
    _write_people(folder, lives)
    text, image = plant_vectors(items, seed)
    for name, vectors, present in (("text", text, items.has_text), ("image", image, items.has_picture)):
        _write_table(
            folder / f"vectors_{name}.parquet",
            {
                "item": pa.array([n for n, there in zip(names, present, strict=True) if there]),
                "vector": pa.array(list(vectors[present]), pa.list_(pa.float32())),
            },
        )
    write_json(
        folder / "manifest.json",
        {
            "noise": noise,
            "topics": TOPIC_NAMES,
            "colours": COLOUR_NAMES,
            "background": BACKGROUND,
            "cold_chance": COLD_CHANCE,
            "modality_gap": GAP_NORM,
            "modality_gap_of_present": float(
                np.linalg.norm(text[items.has_text].mean(axis=0) - image[items.has_picture].mean(axis=0))
            ),
        },
    )


def _write_people(folder: Path, lives: list[PlantedLife]) -> None:
    """People, their segments and their first meetings."""
    _write_table(
        folder / "people.parquet",
        {
            "person": pa.array([person_name(row) for row in range(len(lives))]),
            "taste": pa.array([life.taste for life in lives], pa.list_(pa.float64())),
            "cold_from": pa.array([life.cold_from for life in lives], pa.int32()),
            "returning": pa.array([life.interests.returning for life in lives], pa.int16()),
            "last_before_return": pa.array([life.interests.last_before_return for life in lives], pa.int32()),
        },
    )
    segments = [life.interests for life in lives]
    _write_table(
        folder / "segments.parquet",
        {
            "person_row": pa.array(np.repeat(np.arange(len(lives)), [len(s.start) for s in segments]), pa.int32()),
            "start": pa.array(np.concatenate([s.start for s in segments]), pa.int32()),
            "topic": pa.array([row for s in segments for row in s.topic], pa.list_(pa.int16())),
            "weight": pa.array([row for s in segments for row in s.weight], pa.list_(pa.float64())),
        },
    )
    events = [np.flatnonzero(life.discovery) for life in lives]
    _write_table(
        folder / "met.parquet",
        {
            "person_row": pa.array(np.repeat(np.arange(len(lives)), [len(e) for e in events]), pa.int32()),
            "event": pa.array(np.concatenate(events), pa.int32()),
            "item_row": pa.array(
                np.concatenate([life.item[e] + 1 for life, e in zip(lives, events, strict=True)]), pa.int32()
            ),
        },
    )


def readme(command: str, seed: int, sha256: str, counts: dict[str, int], noise: bool) -> str:
    """The README of a sample folder."""
    kind = "the noise version of the sample: items are drawn from their frequencies, independently of person and time"
    kind = kind if noise else "the bundled sample: generated, with planted interests whose truth is known"
    return f"""# Sample data

This folder is {kind}. {counts["people"]} people, {counts["items"]:,} items, {counts["events"]:,} events.
Nothing in it comes from real people or shops; the pictures are drawn by the generator.

| | |
|---|---|
| command | `{command}` |
| seed | {seed} |
| sha256 | `{sha256}` (over the files below in the order of their names, without this page and `manifest.json`) |

| file | what |
|---|---|
| `events.parquet` | person, time (UTC seconds), item, query, action (view, click, purchase), label (1, 0 or none) |
| `items.parquet` | item, title, description, category, brand, material, image (WEBP) |
| `truth/items.parquet` | topic, style, colour, popularity weight, cold or not, `picture_from`, latent vector |
| `truth/people.parquet` | taste in colours, from which event on cold items could be met, the topic that returns |
| `truth/segments.parquet` | the topics that a person is after, segment by segment |
| `truth/met.parquet` | each person's first meeting with each item |
| `truth/vectors_text.parquet` | vectors of the texts; in `vectors_image.parquet` of the pictures, a known gap apart |
| `truth/manifest.json` | the planted parameters |
| `manifest.json` | command, seed, counts and the sha256 of every file |

The vectors are there for `encode --text given:FILE --image given:FILE`. `picture_from` is the category that a picture
was drawn from where it is not the item's own. Only a person's first meeting with an item carries label 1 or none, so
every target is new to its person, as its negatives are. Queries are written from the item, so rankings that show the
model the query are not the headline.
"""
