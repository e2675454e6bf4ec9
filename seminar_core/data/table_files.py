"""A table file of any kind (Parquet, CSV and the like, JSON lines) as numbered rows for duckdb.

Data, first step of an import. Paths are paths: no pattern, no partition is read out of one. Columns are found by the
names that the format or a hint gives them, whatever their case.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

import duckdb

from ..errors import EmptyDataError, InvalidDataError, MissingColumnError
from .hints import Hints
from .scratch import identifier, pattern, reading
from .stages import fingerprint, stage
from .tables.json_lines import json_sql, stage_json
from .tables.text import PROBLEM, ROW, refuse_name, stage_text, text_sql

TEXT_ENDINGS = (".csv", ".tsv", ".txt")
JSON_ENDINGS = (".jsonl", ".ndjson")
PACKED = (".gz", ".zst")
ENDINGS = (".parquet", *(plain + packed for plain in (*TEXT_ENDINGS, *JSON_ENDINGS) for packed in ("", *PACKED)))


@dataclass(frozen=True)
class Table:
    """One table file, ready to be read.

    Fields:
        path: the source file, for messages.
        header: column -> duckdb type; names as the format has them where they are known.
        sql: its rows, with `__row` (from 1, the header not counted) and `__problem` (what is wrong, or NULL) first.
        guesses: how it was read; empty for Parquet.
    """

    path: Path
    header: dict[str, str]
    sql: str
    guesses: dict[str, object] = field(default_factory=dict)


def open_table(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    scratch: Path,
    wanted: tuple[str, ...],
    hints: Hints | None = None,
    may_lack: tuple[str, ...] = (),
) -> Table:
    """Stage a table file where it has to be, and name its columns.

    Args:
        path: a file, or a folder of Parquet parts.
        wanted: columns that the format knows, in the order that a file without a header has them.
        hints: how to read it; None = guess.
        may_lack: columns of `wanted` whose hint does not count where the file has no column of the told name.

    Raises:
        EmptyDataError: the file has no bytes.
        CorruptFileError: it is not what its name says.
        InvalidDataError: a column name occurs twice or cannot be one.
        MissingColumnError: a hint names a column that is not there.
        ResourceError: a packed file holds more than it may.
    """
    hints = hints or Hints()
    if path.is_file() and path.stat().st_size == 0:
        raise EmptyDataError(f"{path} is empty (0 bytes)", hint="export it again: it needs a header and rows")
    kind = path.with_suffix("").suffix if path.suffix in PACKED else path.suffix
    facts = {"source": fingerprint(path), "hints": asdict(hints), "wanted": wanted}
    staged = f"rows-{path.name[:40]}"
    guesses: dict[str, object] = {}
    if kind in TEXT_ENDINGS:
        folder, text = stage(scratch, staged, facts, lambda f: stage_text(connection, path, f, hints, wanted))
        header, guesses = dict.fromkeys(text["names"], "VARCHAR"), text["guesses"]
        sql = text_sql(folder, text["names"], mended=text["mended"])
    elif kind in JSON_ENDINGS:
        folder, rows = stage(scratch, staged, facts, lambda f: stage_json(connection, path, f))
        header, sql = rows["header"], json_sql(folder, rows["header"])
    else:
        header, sql = parquet_rows(connection, path, parquet_parts(path))
    names = renamed(path, list(header), wanted, hints, may_lack)
    if names != list(header):
        listed = ", ".join(f"{identifier(old)} AS {identifier(new)}" for old, new in zip(header, names, strict=True))
        sql = f"SELECT {identifier(ROW)}, {identifier(PROBLEM)}, {listed} FROM ({sql})"
        guesses["columns"] = {new: old for old, new in zip(header, names, strict=True) if old != new}
        header = dict(zip(names, header.values(), strict=True))
    return Table(path, header, sql, guesses)


def parquet_parts(path: Path) -> list[Path]:
    """A Parquet file, or the files of a folder of parts in the order of their names; nothing below, nothing beside.

    Files that begin with `_` or `.` are notes of the writer (`_SUCCESS`).

    Raises:
        EmptyDataError: a folder without parts.
        InvalidDataError: the folder holds something else.
    """
    if not path.is_dir():
        return [path]
    found = sorted(p for p in path.iterdir() if not p.name.startswith(("_", ".")))
    for part in found:
        if not (part.is_file() and part.name.endswith(".parquet")):
            raise InvalidDataError(
                f"{path} holds {part.name!r}, which is no Parquet file",
                hint="a folder of parts holds files such as part-0.parquet and nothing else",
            )
    if not found:
        raise EmptyDataError(f"{path} has no part", hint="it needs files such as part-0.parquet")
    return found


def parquet_rows(connection: duckdb.DuckDBPyConnection, path: Path, parts: list[Path]) -> tuple[dict[str, str], str]:
    """Columns and types of a Parquet in parts, and the SQL of its rows, numbered through.

    Raises:
        InvalidDataError: a part has other columns than the first.
    """
    several = path.is_dir()
    header = parquet_header(connection, parts[0] if several else path, parts[0])
    numbered = "file_row_number" not in header  # else a column of the file's own has that name
    selects, before = [], 0
    for part in parts:
        own = header if part == parts[0] else parquet_header(connection, part, part)
        if own != header:
            raise InvalidDataError(
                f"{part} has the columns {listing(own)}, {parts[0].name} has {listing(header)}",
                hint="all parts of a table have the same columns and types: write them again by one program",
            )
        rows = f"file_row_number + {before + 1}" if numbered else f"row_number() OVER () + {before}"
        selects.append(
            f"SELECT {rows} AS {identifier(ROW)}, CAST(NULL AS VARCHAR) AS {identifier(PROBLEM)}, "
            f"{', '.join(cell_sql(name, kind) for name, kind in header.items())} FROM read_parquet({pattern(part)}, "
            f"{'file_row_number=true, ' if numbered else ''}hive_partitioning=false)"
        )
        if several:
            with reading(part):
                count = f"SELECT sum(num_rows) FROM parquet_file_metadata({pattern(part)})"
                ((rows_of_part,),) = connection.execute(count).fetchall()
            before += int(rows_of_part)
    return header, " UNION ALL ".join(selects)


def cell_sql(name: str, kind: str) -> str:
    """SQL of a cell; one of a column that is text, or NULL throughout, as text."""
    return f"CAST({identifier(name)} AS VARCHAR) AS {identifier(name)}" if kind == "VARCHAR" else identifier(name)


def listing(header: dict[str, str]) -> str:
    """Columns with their types, for a message."""
    return ", ".join(f"{name!r} {kind}" for name, kind in header.items())


def parquet_header(connection: duckdb.DuckDBPyConnection, path: Path, inner: Path) -> dict[str, str]:
    """Column names and duckdb types of a Parquet file; a column that is NULL throughout may have none and is text."""
    with reading(path, inner):
        rows = connection.execute(
            f"DESCRIBE SELECT * FROM read_parquet({pattern(inner)}, hive_partitioning=false)"
        ).fetchall()
    for name, *_ in rows:
        refuse_name(path, name)
    return {name: "VARCHAR" if kind == '"NULL"' else kind for name, kind, *_ in rows}


def renamed(
    path: Path, names: list[str], wanted: tuple[str, ...], hints: Hints, may_lack: tuple[str, ...] = ()
) -> list[str]:
    """The file's column names with the format's own where a hint, the case or the place says so.

    Raises:
        MissingColumnError: a hint names a column that is not there.
        InvalidDataError: two columns would have one name.
    """
    new = dict(zip(names, names, strict=True))
    if not hints.header and not hints.columns:
        new |= dict(zip(names, wanted, strict=False))
    by_case = {name.casefold(): name for name in reversed(names)}
    for ours in wanted:
        told = hints.columns.get(ours) if ours not in may_lack else None
        if ours not in new.values() and ours in by_case and told is None:
            new[by_case[ours]] = ours
    for ours, theirs in hints.columns.items():
        if ours not in wanted or (ours in may_lack and theirs not in names):
            continue
        if theirs not in names:
            raise MissingColumnError(
                f"{path} has no column {theirs!r}; it has {', '.join(map(repr, names)) or 'none'}",
                hint=f"name one of them: --column {ours}=NAME",
            )
        for old, name in new.items():
            if name == ours:
                new[old] = old if old != ours else f"{old}_given"
        new[theirs] = ours
    listed = [new[name] for name in names]
    for n, name in enumerate(listed):
        if name in listed[:n]:
            raise InvalidDataError(f"{path}: two columns would be {name!r}", hint="rename one of them")
    return listed
