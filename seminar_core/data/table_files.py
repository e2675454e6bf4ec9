"""Parquet and CSV files as numbered rows for duckdb, and what is said when one cannot be read.

Data, first step of an import. The scratch database lives in memory with a limit, spills beside the workspace's data
sets, and neither loads extensions nor sees the network.
"""

from __future__ import annotations

import csv
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from ..errors import CorruptFileError, EmptyDataError, InvalidDataError, ResourceError

MEMORY_LIMIT = "1200MB"
EXTRA = "__beyond_the_header"
ENDINGS = (".parquet", ".csv")


def literal(value: str | Path) -> str:
    """`value` as an SQL string literal."""
    return "'" + str(value).replace("'", "''") + "'"


def identifier(name: str) -> str:
    """`name` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what duckdb says about a file it cannot read into an error that names the file.

    Raises:
        ResourceError: memory or disk space ran out.
        CorruptFileError: anything else.
    """
    try:
        yield
    except duckdb.Error as error:
        first = str(error).strip().splitlines()[0]
        if isinstance(error, duckdb.OutOfMemoryException) or "No space left" in first:
            raise ResourceError(
                f"reading {path} needs more memory or disk space than there is: {first}",
                hint="free space on the disk of the workspace, or point --workspace to a larger one",
            ) from error
        raise CorruptFileError(
            f"{path} cannot be read as {path.suffix.lstrip('.') or 'a table'}: {first}",
            hint="the file may be truncated or of another format: write or download it again",
        ) from error


def scratch_connection(directory: Path) -> duckdb.DuckDBPyConnection:
    """An in-memory duckdb whose overflow goes to `directory`."""
    connection = duckdb.connect(
        config={
            "memory_limit": MEMORY_LIMIT,
            "temp_directory": str(directory / "spill"),
            "autoinstall_known_extensions": "false",
        }
    )
    connection.execute("SET TimeZone='UTC'")
    connection.execute("SET preserve_insertion_order=true")
    connection.execute("SET enable_progress_bar=false")
    return connection


def header_of(connection: duckdb.DuckDBPyConnection, path: Path) -> dict[str, str]:
    """Column names and duckdb types of a table file; every CSV column is VARCHAR, one without a name is `column<n>`.

    Raises:
        EmptyDataError: the file has no bytes.
        CorruptFileError: it is not what its name says.
        InvalidDataError: a column name occurs twice.
    """
    if path.stat().st_size == 0:
        raise EmptyDataError(f"{path} is empty (0 bytes)", hint="export it again: it needs a header and rows")
    if path.suffix == ".parquet":
        with reading(path):
            rows = connection.execute(f"DESCRIBE SELECT * FROM read_parquet({literal(path)})").fetchall()
        return {row[0]: row[1] for row in rows}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = next(csv.reader(file), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorruptFileError(
            f"{path} cannot be read as csv: {error}", hint="save it as comma-separated text in UTF-8"
        ) from error
    names = [name.strip() or f"column{n}" for n, name in enumerate(first, start=1)]
    folded = [name.casefold() for name in names]
    double = [name for n, name in enumerate(names) if folded[n] in folded[:n]]
    if double:
        raise InvalidDataError(f"{path}: column {double[0]!r} occurs twice", hint="give every column its own name")
    return dict.fromkeys(names, "VARCHAR")


def table_sql(connection: duckdb.DuckDBPyConnection, path: Path, header: dict[str, str], scratch: Path) -> str:
    """SQL of the file's rows with a leading column `__row`, their number from 1.

    A CSV is parsed once into a Parquet in `scratch`, all cores at work, because numbering its rows while they are read
    would keep it to one. Its column `__beyond_the_header` holds what a row has too much.
    """
    if path.suffix != ".parquet":
        path = _staged(connection, path, header, scratch)
    return f'SELECT file_row_number + 1 AS "__row", * FROM read_parquet({literal(path)}, file_row_number=true)'


def _staged(connection: duckdb.DuckDBPyConnection, path: Path, header: dict[str, str], scratch: Path) -> Path:
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in [*header, EXTRA])
    staged = scratch / f"staged-{uuid.uuid4().hex[:8]}.parquet"

    def copy(parallel: str) -> None:
        connection.execute(
            f"COPY (SELECT * FROM read_csv({literal(path)}, header=true, delim=',', quote='\"', escape='\"', "
            f"auto_detect=false, null_padding=true, strict_mode=false, parallel={parallel}, columns={{{columns}}})) "
            f"TO {literal(staged)} (FORMAT parquet, COMPRESSION lz4)"
        )

    with reading(path):
        try:
            copy("true")
        except duckdb.Error as error:
            if "parallel=false" not in str(error):
                raise
            copy("false")  # a long file with line breaks inside quotes can only be read by one core
    return staged
