"""Taobao-MM (published with MUSE, arXiv 2512.07216): lifelong sequences of items with given multi-modal vectors.

Data, import. A person's sequence (`150_2_180`, its categories `151_2_180`) has an order and no times, so times count 1,
2, 3 ...; the samples follow it with their label [not clicked, clicked]. What is null is not there: no sequence, no
label, no feature, no vector; an event without its person or item is rejected. The vectors of the items are written
beside the data set, ready for `encode --image given:FILE`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...errors import CorruptFileError, InvalidDataError, MissingColumnError, MissingFileError
from ...progress import Progress, silent
from ...workspace import Workspace
from ..stages import fingerprint
from ..table_files import parquet_parts
from .written import EventsWriter, import_written

USER, ITEM, ITEMS, CATEGORIES, LABEL, VECTOR = "129_1", "205", "150_2_180", "151_2_180", "label_0", "205_c"
FEATURES = ("206", "213", "214")
LISTS, EITHER = (ITEMS, CATEGORIES, VECTOR), (LABEL,)  # columns of lists; of lists or single values
VECTORS = "vectors.parquet"


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
        MissingFileError: there are no sequences.
        InvalidDataError: and its subclasses, where a file is not as published.
    """
    users = parts(path, "user_features")
    if not users:
        raise MissingFileError(f"{path} has no *user_features*.parquet", hint="give the unpacked Taobao-MM folder")

    samples, features, vectors = (parts(path, word) for word in ("samples", "item_features", "embedding"))

    def write(folder: Path) -> None:
        categories = write_events(users, samples, folder)
        write_items(categories, features, folder)
        if vectors:
            write_vectors(vectors, folder)

    facts = {"source": fingerprint(*users, *samples, *features, *vectors)}
    beside = (VECTORS,) if vectors else ()
    answer = import_written(
        workspace, path, name, "taobao-mm", write, facts=facts, rejected=rejected, progress=progress, beside=beside
    )
    return answer | ({"vectors": str(workspace.dataset_dir(name) / VECTORS)} if vectors else {})


def parts(path: Path, word: str) -> list[Path]:
    """The Parquet files of the folder with `word` in their name, and the parts of its folders with it."""
    entries = sorted(p for p in path.iterdir() if word in p.name) if path.is_dir() else []
    return [part for p in entries if p.is_dir() or p.name.endswith(".parquet") for part in parquet_parts(p)]


def batches(files: list[Path], columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """Columns of all files, a batch of rows at a time.

    Raises:
        MissingColumnError: one is not there.
        InvalidDataError: one holds lists where single values are published, or the other way round.
        CorruptFileError: a file cannot be read.
    """
    for file in files:
        try:
            table = pq.ParquetFile(file)
            schema = table.schema_arrow
            missing = [name for name in columns if name not in schema.names]
            if missing:
                raise MissingColumnError(f"{file} has no column {missing[0]!r}", hint=f"it needs {', '.join(columns)}")
            for name in columns:
                refuse_type(file, name, schema.field(name).type)
            yield from table.iter_batches(batch_size=1000, columns=list(columns))
        except (OSError, pa.ArrowInvalid) as error:
            raise CorruptFileError(f"{file} cannot be read: {error}", hint="download it again") from error


def refuse_type(file: Path, name: str, kind: pa.DataType) -> None:
    """Raise for a column of another type than published.

    Raises:
        InvalidDataError: naming it.
    """
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    value = kind.value_type if is_list else kind
    numbers = pa.types.is_integer(value) or pa.types.is_floating(value) or pa.types.is_null(value)
    fits = pa.types.is_null(kind) or name in EITHER or is_list == (name in LISTS)
    if not fits or pa.types.is_nested(value) or (name in (LABEL, VECTOR) and not numbers):
        wanted = "a list of numbers" if name in (LABEL, VECTOR) else "a list" if name in LISTS else "a number or a text"
        raise InvalidDataError(
            f"{file}: column {name!r} has the type {kind}, expected {wanted}", hint="give the files as published"
        )


def text_of(value: Any) -> str | None:
    """An id or a feature as text, a whole number without decimals; null stays None."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return None if value is None else str(value)


def label_of(value: Any) -> Any:
    """The label of a sample: the last of [not clicked, clicked], or a single value; None where there is none."""
    if isinstance(value, list):
        return value[-1] if value else None
    return value


def write_events(users: list[Path], samples: list[Path], folder: Path) -> dict[str, str]:
    """Write sequences and samples; the category of each item."""
    categories: dict[str, str] = {}
    length: dict[str | None, int] = {}
    with EventsWriter(folder) as events:
        for batch in batches(users, (USER, ITEMS, CATEGORIES)):
            for row in batch.to_pylist():
                person, items, kinds = text_of(row[USER]), row[ITEMS] or [], row[CATEGORIES] or []
                if person in length and person is not None:
                    continue  # a person of both the training and the test files: the first sequence counts
                length[person] = len(items)
                ids, times = list(map(text_of, items)), list(range(1, len(items) + 1))
                pairs = zip(ids, map(text_of, kinds), strict=False)
                categories |= {item: kind for item, kind in pairs if item is not None and kind is not None}
                events.add(person=[person] * len(items), time=times, item=ids)
        for batch in batches(samples, (USER, ITEM, LABEL)):
            rows = batch.to_pydict()
            people = list(map(text_of, rows[USER]))
            times = []
            for person in people:
                length[person] = length.get(person, 0) + 1
                times.append(length[person])
            events.add(
                person=people,
                time=times,
                item=list(map(text_of, rows[ITEM])),
                action=["sample"] * len(people),
                label=list(map(label_of, rows[LABEL])),
            )
    return categories


def write_items(categories: dict[str, str], features: list[Path], folder: Path) -> None:
    """Write every item with its category and, where they are known, its other features as attributes."""
    known: dict[str, tuple[str | None, ...]] = {}
    for batch in batches(features, (ITEM, *FEATURES)):
        for row in batch.to_pylist():
            if (item := text_of(row[ITEM])) is not None:
                known[item] = tuple(text_of(row[name]) for name in FEATURES)
    items = list(dict.fromkeys([*categories, *known]))
    columns = {"item": items, "category": [categories.get(item) for item in items]}
    for place, name in enumerate(FEATURES):
        columns[f"feature_{name}"] = [known[item][place] if item in known else None for item in items]
    pq.write_table(
        pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()}), folder / "items.parquet"
    )


def write_vectors(files: list[Path], folder: Path) -> None:
    """Write the given vectors as `encode --image given:FILE` reads them; rows without item or vector are left out.

    Raises:
        InvalidDataError: a vector has a null among its numbers.
    """
    schema = pa.schema([("item", pa.string()), ("vector", pa.list_(pa.float32()))])
    with pq.ParquetWriter(folder / VECTORS, schema) as writer:
        for batch in batches(files, (ITEM, VECTOR)):
            ids, vectors = batch.column(ITEM), batch.column(VECTOR)
            there = pc.and_(ids.is_valid(), vectors.is_valid())
            ids = pa.array(map(text_of, ids.filter(there).to_pylist()), pa.string())
            vectors = vectors.filter(there).cast(schema.types[1])
            for item, vector in zip(ids, vectors, strict=True) if vectors.flatten().null_count else ():
                if vector.values.null_count:
                    raise InvalidDataError(
                        f"the vector of item {item} in {files[0].parent} has a null among its numbers",
                        hint="leave the vector out, or write its numbers: an item without one has no picture channel",
                    )
            writer.write_table(pa.table([ids, vectors], schema=schema))
