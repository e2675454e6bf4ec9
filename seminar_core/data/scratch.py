"""The scratch database of an import, and what is said when it cannot read a file.

Data, import. The scratch database lives in memory with a limit, spills beside the workspace's data
sets, and neither loads extensions nor sees the network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from ..errors import CorruptFileError, ResourceError

MEMORY_LIMIT = "1200MB"


def literal(value: str | Path) -> str:
    """`value` as an SQL string literal."""
    return "'" + str(value).replace("'", "''") + "'"


def pattern(path: Path) -> str:
    """The path as an SQL string literal that duckdb, which reads it as a pattern, matches with that file alone."""
    return literal(re.sub(r"([\[*?])", r"[\1]", str(path)))


def identifier(name: str) -> str:
    """`name` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def reading(path: Path, inner: Path | None = None) -> Iterator[None]:
    """Turn what duckdb says about a file it cannot read into an error that names the file.

    Args:
        path: the file as the reader knows it.
        inner: what duckdb reads in its place, where it was unpacked.

    Raises:
        ResourceError: memory or disk space ran out.
        CorruptFileError: anything else.
    """
    try:
        yield
    except duckdb.Error as error:
        first = str(error).strip().splitlines()[0].replace(str(inner or path), str(path))
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
