"""JSON lines as Parquet: every key of the file a column, every value as it is written.

Data, import, under `table_files`. What a key holds on one line says nothing about the next: columns are found over the
whole file, and numbers, texts, true and false are kept as text, so that one line with another kind of value is judged
alone, as in CSV. A key that holds a list anywhere is a column of lists; one that holds an object is no column of text.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from ...errors import EmptyDataError, InvalidDataError
from ..limits import unpacked
from ..scratch import identifier, literal, pattern, reading
from .text import PROBLEM, ROW, ROWS, column_names

LIST, OBJECT = ord("["), ord("{")  # what a value begins with


def stage_json(connection: duckdb.DuckDBPyConnection, source: Path, folder: Path) -> dict[str, Any]:
    """Parse JSON lines into `folder`/`ROWS`.

    Args:
        source: the file, which may be packed.

    Returns:
        `header`: column -> its type.

    Raises:
        CorruptFileError: a line is no JSON object.
        EmptyDataError: no line has a key.
        InvalidDataError: a key is not usable as the name of a column.
        ResourceError: it holds more than a packed file may.
    """
    inner = unpacked(source, folder)
    with reading(source, inner):
        keys = keys_of(connection, inner)
    if not keys:
        raise EmptyDataError(f"{source} has no line with a key", hint='each line is an object: {"person": "u1", ...}')
    names = column_names(source, keys)
    if "" in keys:
        raise InvalidDataError(f"{source}: a key is empty", hint="give every value of a line a name")
    with reading(source, inner):
        header = dict(zip(names, parse(connection, inner, folder / ROWS, keys), strict=True))
    if inner != source:
        inner.unlink()
    return {"header": header}


def keys_of(connection: duckdb.DuckDBPyConnection, path: Path) -> list[str]:
    """The keys of all lines, in the order in which they first appear."""
    found = connection.execute(
        f"""SELECT key FROM (SELECT unnest(keys) AS key, generate_subscripts(keys, 1) AS place, line
            FROM (SELECT json_keys(json) AS keys, row_number() OVER () AS line
                FROM read_json_objects({pattern(path)}, format='newline_delimited', hive_partitioning=false)))
        GROUP BY key ORDER BY min(line), min(place)"""
    ).fetchall()
    return [key for (key,) in found]


def parse(connection: duckdb.DuckDBPyConnection, path: Path, staged: Path, keys: list[str]) -> list[str]:
    """Write the values as text, with the first sign of each, which tells lists and objects; the columns' types."""
    every = range(len(keys))
    columns = ", ".join(f"{literal(key)}: 'JSON'" for key in keys)
    cells = ", ".join(f"nullif(j{n}, 'NaN') ->> '$' AS c{n}, ascii(j{n}) AS first{n}" for n in every)
    connection.execute(
        f"COPY (SELECT {cells} FROM read_json({pattern(path)}, format='newline_delimited', records=true, "
        f"hive_partitioning=false, columns={{{columns}}}) AS t({', '.join(f'j{n}' for n in every)})) "
        f"TO {literal(staged)} (FORMAT parquet, COMPRESSION lz4)"
    )
    kinds = ", ".join(
        f"CASE WHEN bool_or(first{n} = {OBJECT}) THEN 'OBJECT' WHEN bool_or(first{n} = {LIST}) THEN 'VARCHAR[]' "
        "ELSE 'VARCHAR' END"
        for n in every
    )
    rows = f"read_parquet({pattern(staged)}, hive_partitioning=false)"
    (found,) = connection.execute(f"SELECT {kinds} FROM {rows}").fetchall()
    return list(found)


def json_sql(folder: Path, header: dict[str, str]) -> str:
    """SQL of the rows that `stage_json` wrote, with `__row` and `__problem` before them."""

    def value(n: int, kind: str) -> str:
        if kind != "VARCHAR[]":
            return f"c{n}"
        listed = f"from_json(CASE WHEN first{n} = {LIST} THEN c{n} END, '[\"VARCHAR\"]')"
        return f"coalesce({listed}, string_split(c{n}, '|'))"  # a text beside lists is split as elsewhere

    cells = ", ".join(f"{value(n, kind)} AS {identifier(name)}" for n, (name, kind) in enumerate(header.items()))
    return (
        f"SELECT file_row_number + 1 AS {identifier(ROW)}, CAST(NULL AS VARCHAR) AS {identifier(PROBLEM)}, {cells} "
        f"FROM read_parquet({pattern(folder / ROWS)}, file_row_number=true, hive_partitioning=false)"
    )
