"""The catalogue: items with their texts, attribute values and pictures, read from an items file or made by an importer.

Data, import. Every further column of strings (or lists of strings) is an attribute field, its values separated by `|`.
Columns of other types have no place in an item and are named in the report. Pictures are bytes in a Parquet column or
files named by a path inside the folder of the data set; a path that leaves it stops the import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import InvalidDataError, MissingColumnError, UnsafePathError
from .event_source import id_sql
from .hints import EVENT_COLUMNS, ITEM_COLUMNS, Hints
from .limits import CATALOGUE_BYTES, require_room
from .pictures import write_pictures
from .scratch import identifier, reading
from .table_files import Table, open_table, parquet_parts
from .tables.text import PROBLEM
from .vocabulary import WHITE, first_value_rows, natural_order, value_table

TEXTS = ("title", "description")
SEPARATOR = "|"

Pictures = Callable[[], Iterator[tuple[int, bytes]]]


def no_pictures() -> Iterator[tuple[int, bytes]]:
    """A catalogue without pictures."""
    return iter(())


@dataclass(frozen=True)
class Catalogue:
    """Items in row order: the item of row r is entry r-1 of every list.

    Fields:
        ids: item ids, distinct.
        title, description: text or None.
        fields: attribute field -> values of each item; `category` is one of them where there are categories.
        pictures: makes an iterator of (item row, raw bytes), rows ascending.
        source_rows: data row of the items file each item came from, 0 for items only events name.
        problems: what the file had that the report must name: kind -> (count, example rows).
        ignored: columns left out.
        guesses: how the items file was read, as `table_files.Table.guesses`.
    """

    ids: list[str]
    title: list[str | None]
    description: list[str | None]
    fields: dict[str, list[list[str]]] = field(default_factory=dict)
    pictures: Pictures = no_pictures
    source_rows: list[int] = field(default_factory=list)
    problems: dict[str, tuple[int, list[int]]] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    guesses: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Catalogue(items={len(self.ids)}, fields={list(self.fields)})"


def with_items_of_events(catalogue: Catalogue | None, item_ids: Iterable[str]) -> tuple[Catalogue, list[str]]:
    """Append the items that events name and the catalogue lacks, in natural order; also return them."""
    known = set(catalogue.ids) if catalogue else set()
    unknown = natural_order(set(item_ids) - known)
    if catalogue is None:
        catalogue = Catalogue([], [], [])
    blank: list[str | None] = [None] * len(unknown)
    extended = replace(
        catalogue,
        ids=catalogue.ids + unknown,
        title=catalogue.title + blank,
        description=catalogue.description + blank,
        fields={name: lists + [[] for _ in unknown] for name, lists in catalogue.fields.items()},
        source_rows=(catalogue.source_rows or [0] * len(catalogue.ids)) + [0] * len(unknown),
    )
    return extended, unknown


def read_items(
    connection: duckdb.DuckDBPyConnection, path: Path, scratch: Path, hints: Hints | None = None
) -> Catalogue:
    """Read an items file of the `table` format.

    It always has a header. Of the hints those on text and columns apply; a column that items and events both have may
    be told of the events alone.

    Raises:
        MissingColumnError: there is no column `item`.
        CorruptFileError: the file cannot be read.
        UnsafePathError: a picture's path leaves the folder.
        ResourceError: so many items do not fit into memory.
    """
    hints = replace(hints or Hints(), header=True)
    table = open_table(connection, path, scratch, ITEM_COLUMNS, hints, may_lack=EVENT_COLUMNS)
    return items_of(connection, table)


def items_of(connection: duckdb.DuckDBPyConnection, table: Table) -> Catalogue:
    """Read the items of a table that has been opened, or that an importer made; raises what `read_items` does."""
    path, header, sql = table.path, table.header, table.sql
    if "item" not in header:
        raise MissingColumnError(
            f"{path} has no column 'item'; it has {', '.join(header) or 'none'}",
            hint="an items file needs the column item; rename or add it",
        )
    wanted, ignored = ["item"], []
    for name, kind in header.items():
        if name in ("item", "image"):
            continue
        if kind in ("VARCHAR", "VARCHAR[]") or kind.startswith("ENUM"):
            wanted.append(name)
        else:
            ignored.append(name)
    listed = ", ".join(identifier(name) for name in wanted if name != "item")
    ids = f'{id_sql("item", header["item"])} AS "__item"'
    with reading(path):
        ((count,),) = connection.execute(f"SELECT count(*) FROM ({sql})").fetchall()
    require_room(path, {"item": count}, {"item": CATALOGUE_BYTES})
    with reading(path):
        found = connection.sql(
            f'SELECT "__row", {identifier(PROBLEM)}, {ids}{listed and ", "}{listed} FROM ({sql}) ORDER BY "__row"'
        ).to_arrow_table()
    columns: dict[str, list[Any]] = found.to_pydict()
    kept, problems = _kept_rows(columns["__item"], columns[PROBLEM], columns["__row"])
    rows = [columns["__row"][i] for i in kept]
    catalogue = Catalogue(
        ids=[columns["__item"][i] for i in kept],
        title=_texts(columns.get("title"), kept),
        description=_texts(columns.get("description"), kept),
        fields={n: [_values(columns[n][i]) for i in kept] for n in wanted if n not in ("item", *TEXTS)},
        pictures=_picture_source(connection, path, header, sql, rows),
        source_rows=rows,
        problems=problems,
        ignored=ignored,
        guesses=table.guesses,
    )
    return catalogue


def _kept_rows(
    ids: list[str | None], wrong: list[str | None], numbers: list[int]
) -> tuple[list[int], dict[str, tuple[int, list[int]]]]:
    """Positions of well-formed rows with a new id; the others as problems, by their number in the file."""
    seen: set[str] = set()
    kept: list[int] = []
    found: dict[str, list[int]] = {}
    for position, (text, problem, number) in enumerate(zip(ids, wrong, numbers, strict=True)):
        if problem:
            found.setdefault(f"item_{problem}", []).append(number)
        elif not text:
            found.setdefault("item_without_id", []).append(number)
        elif text in seen:
            found.setdefault("duplicate_item", []).append(number)
        else:
            seen.add(text)
            kept.append(position)
    return kept, {kind: (len(rows), rows[:5]) for kind, rows in found.items() if rows}


def _texts(values: list[Any] | None, kept: list[int]) -> list[str | None]:
    if values is None:
        return [None] * len(kept)
    return [str(values[i]).strip(WHITE) or None if values[i] is not None else None for i in kept]


def _values(value: Any) -> list[str]:
    """Attribute values of one cell: a list as it is, a string split at `|`; blanks and repeats left out."""
    if value is None:
        return []
    parts = value if isinstance(value, list) else str(value).split(SEPARATOR)
    return list(dict.fromkeys(text for part in parts if part is not None and (text := str(part).strip(WHITE))))


def _picture_source(
    connection: duckdb.DuckDBPyConnection, path: Path, header: dict[str, str], sql: str, rows: list[int]
) -> Pictures:
    if "image" not in header:
        return no_pictures
    row_of = {source: row for row, source in enumerate(rows, start=1)}
    if header["image"] == "BLOB" or header["image"].replace('"', "").startswith("STRUCT(bytes BLOB"):
        place = list(header).index("image")  # the file may call the column otherwise
        return lambda: _column_pictures(parquet_parts(path), place, row_of)  # the struct is how Hugging Face writes
    if header["image"] != "VARCHAR":
        raise InvalidDataError(
            f"{path}: column 'image' has the type {header['image']}, which cannot be a picture",
            hint="write the bytes of the picture, or the path of its file below pictures/",
        )
    with reading(path):
        named = connection.execute(
            f'SELECT "__row", trim(image) FROM ({sql}) WHERE image IS NOT NULL AND trim(image) <> \'\' ORDER BY "__row"'
        ).fetchall()
    files = [(row_of[source], picture_path(path.parent, name)) for source, name in named if source in row_of]
    return lambda: ((row, file.read_bytes() if file.is_file() else b"") for row, file in files)


def _column_pictures(parts: list[Path], place: int, row_of: dict[int, int]) -> Iterator[tuple[int, bytes]]:
    values = (value for part in parts for value in _cells(pq.ParquetFile(part), place))
    for source, value in enumerate(values, start=1):
        data = value.as_py()
        data = data.get("bytes") if isinstance(data, dict) else data
        if data and source in row_of:
            yield row_of[source], data


def _cells(file: pq.ParquetFile, place: int) -> Iterator[pa.Scalar]:
    """Cells of the column at a place of a Parquet, a few rows in memory at a time."""
    name = file.schema_arrow.names[place]
    for batch in file.iter_batches(500, columns=[name]):
        yield from batch.column(name)


def picture_path(folder: Path, name: str) -> Path:
    """The picture `name` means: relative to `folder/pictures`, or to `folder` when it begins with `pictures/`.

    Raises:
        UnsafePathError: it lies outside `folder/pictures`, links followed.
    """
    base = folder / "pictures"
    path = base / "?" if "\0" in name else (folder / name if name.startswith("pictures/") else base / name).resolve()
    if "\0" in name or not path.is_relative_to(base.resolve()):
        raise UnsafePathError(
            f"picture {name!r} lies outside {base}", hint="put pictures into the folder pictures/ beside the items file"
        )
    return path


@dataclass(frozen=True)
class CatalogueWritten:
    """Facts of a catalogue on disk that manifest and report need; masks are (I,) bool by item row - 1."""

    counts: dict[str, int]
    category_names: list[str]
    has_text: np.ndarray
    has_picture: np.ndarray
    unreadable: list[int]


def write_catalogue(directory: Path, catalogue: Catalogue, events_per_item: np.ndarray) -> CatalogueWritten:
    """Write items.parquet, attributes, categories and pictures of a data set.

    Args:
        directory: of the data set's version.
        catalogue: I items.
        events_per_item: (I+1,) int64.
    """
    n_items = len(catalogue.ids)
    values, vocabulary = value_table(catalogue.fields, n_items)
    np.save(directory / "attributes.npy", values, allow_pickle=False)
    pq.write_table(
        pa.table(
            {
                "value_row": pa.array(range(1, len(vocabulary) + 1), pa.int32()),
                "field": pa.array([f for f, _ in vocabulary], pa.string()),
                "value": pa.array([v for _, v in vocabulary], pa.string()),
            }
        ),
        directory / "attribute_values.parquet",
    )
    category, names = first_value_rows(catalogue.fields.get("category", []), n_items)
    np.save(directory / "category.npy", category, allow_pickle=False)
    pictures = write_pictures(directory, catalogue.pictures(), n_items)
    has_picture = pictures.present[1:]
    unreadable = set(pictures.unreadable)
    state = ["ok" if ok else "unreadable" if r in unreadable else "absent" for r, ok in enumerate(has_picture, start=1)]
    columns: dict[str, pa.Array] = {
        "item_row": pa.array(range(1, n_items + 1), pa.int32()),
        "item": pa.array(catalogue.ids, pa.string()),
        "title": pa.array(catalogue.title, pa.string()),
        "description": pa.array(catalogue.description, pa.string()),
        "category": pa.array([names[c] or None for c in category[1:]], pa.string()),
        "events": pa.array(events_per_item[1:]),
        "image_state": pa.array(state, pa.string()),
    }
    for name, lists in catalogue.fields.items():
        column = "categories" if name == "category" else name
        columns[f"{column}_given" if column in columns else column] = pa.array(
            [SEPARATOR.join(values) or None for values in lists], pa.string()
        )
    pq.write_table(pa.table(columns), directory / "items.parquet", compression="zstd", row_group_size=20_000)
    return CatalogueWritten(
        counts={"items": n_items, "attribute_values": len(vocabulary), "categories": len(names) - 1},
        category_names=names,
        has_text=np.array(
            [t is not None or d is not None for t, d in zip(catalogue.title, catalogue.description, strict=True)]
        ),
        has_picture=has_picture,
        unreadable=pictures.unreadable,
    )
