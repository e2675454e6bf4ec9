"""Taobao-MM (published with MUSE, arXiv 2512.07216): lifelong sequences of items with given multi-modal vectors.

Data, import. A person's sequence (`150_2_180`, its categories `151_2_180`) has an order and no times, so times count 1,
2, 3 ...; the samples follow it with their label [not clicked, clicked]. The vectors of the items are written beside the
data set, ready for `encode --image given:FILE`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ...errors import CorruptFileError, MissingColumnError, MissingFileError
from ...progress import Progress, silent
from ...workspace import Workspace
from ..stages import fingerprint
from ..table_files import parquet_parts
from .written import EventsWriter, import_written

USER, ITEM, ITEMS, CATEGORIES, LABEL, VECTOR = "129_1", "205", "150_2_180", "151_2_180", "label_0", "205_c"
FEATURES = ("206", "213", "214")


def import_taobao_mm(
    workspace: Workspace,
    path: Path,
    name: str,
    rejected: Path | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Import a Taobao-MM folder; the answer also says `vectors`, the file for `encode --image given:FILE`.

    Args:
        path: folder with `*user_features*.parquet`; `*samples*`, `*item_features*` and `*embedding*` where they are.

    Raises:
        MissingFileError, MissingColumnError, CorruptFileError: a file is not there or not as published.
    """
    users = parts(path, "user_features")
    if not users:
        raise MissingFileError(f"{path} has no *user_features*.parquet", hint="give the unpacked Taobao-MM folder")

    samples, features, vectors = (parts(path, word) for word in ("samples", "item_features", "embedding"))

    def write(folder: Path) -> None:
        categories = write_events(users, samples, folder)
        write_items(categories, features, folder)

    facts = {"source": fingerprint(*users, *samples, *features)}
    answer = import_written(
        workspace, path, name, "taobao-mm", write, facts=facts, rejected=rejected, progress=progress
    )
    if vectors:
        answer["vectors"] = str(write_vectors(vectors, workspace.dataset_dir(name)))
    return answer


def parts(path: Path, word: str) -> list[Path]:
    """The Parquet files of the folder with `word` in their name, and the parts of its folders with it."""
    entries = sorted(p for p in path.iterdir() if word in p.name) if path.is_dir() else []
    return [part for p in entries if p.is_dir() or p.name.endswith(".parquet") for part in parquet_parts(p)]


def batches(files: list[Path], columns: tuple[str, ...]) -> Iterator[dict[str, list[Any]]]:
    """Columns of all files, a batch of rows at a time.

    Raises:
        MissingColumnError: one is not there.
        CorruptFileError: a file cannot be read.
    """
    for file in files:
        try:
            table = pq.ParquetFile(file)
            missing = [name for name in columns if name not in table.schema_arrow.names]
            if missing:
                raise MissingColumnError(f"{file} has no column {missing[0]!r}", hint=f"it needs {', '.join(columns)}")
            for batch in table.iter_batches(batch_size=1000, columns=list(columns)):
                yield batch.to_pydict()
        except (OSError, pa.ArrowInvalid) as error:
            raise CorruptFileError(f"{file} cannot be read: {error}", hint="download it again") from error


def write_events(users: list[Path], samples: list[Path], folder: Path) -> dict[str, str]:
    """Write sequences and samples; the category of each item."""
    categories: dict[str, str] = {}
    length: dict[str, int] = {}
    with EventsWriter(folder) as events:
        for batch in batches(users, (USER, ITEMS, CATEGORIES)):
            for user, items, kinds in zip(batch[USER], batch[ITEMS], batch[CATEGORIES], strict=True):
                if str(user) in length:
                    continue  # a person of both the training and the test files: the first sequence counts
                length[str(user)] = len(items)
                categories |= {str(item): str(kind) for item, kind in zip(items, kinds, strict=False)}
                events.add(
                    person=[str(user)] * len(items), time=list(range(1, len(items) + 1)), item=[str(i) for i in items]
                )
        for batch in batches(samples, (USER, ITEM, LABEL)):
            people = [str(user) for user in batch[USER]]
            times = []
            for person in people:
                length[person] = length.get(person, 0) + 1
                times.append(length[person])
            events.add(
                person=people,
                time=times,
                item=[str(item) for item in batch[ITEM]],
                action=["sample"] * len(people),
                label=[int(label[-1]) for label in batch[LABEL]],
            )
    return categories


def write_items(categories: dict[str, str], features: list[Path], folder: Path) -> None:
    """Write every item with its category and, where they are known, its other features as attributes."""
    known: dict[str, tuple[str, ...]] = {}
    for batch in batches(features, (ITEM, *FEATURES)):
        for item, *values in zip(*(batch[name] for name in (ITEM, *FEATURES)), strict=True):
            known[str(item)] = tuple(map(str, values))
    items = list(dict.fromkeys([*categories, *known]))
    columns = {"item": items, "category": [categories.get(item) for item in items]}
    for place, name in enumerate(FEATURES):
        columns[f"feature_{name}"] = [known[item][place] if item in known else None for item in items]
    pq.write_table(
        pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()}), folder / "items.parquet"
    )


def write_vectors(files: list[Path], folder: Path) -> Path:
    """Write the given vectors as `encode --image given:FILE` reads them."""
    out, partial = folder / "vectors.parquet", folder / ".partial-vectors.parquet"
    schema = pa.schema([("item", pa.string()), ("vector", pa.list_(pa.float32()))])
    with pq.ParquetWriter(partial, schema) as writer:
        for batch in batches(files, (ITEM, VECTOR)):
            vectors = [[float(value) for value in vector] for vector in batch[VECTOR]]
            writer.write_table(
                pa.table([pa.array(map(str, batch[ITEM])), pa.array(vectors, schema[1].type)], schema=schema)
            )
    os.replace(partial, out)
    return out
