"""The scratch database of an import, and what is said when it cannot read a file.

Data, import. The scratch database lives in memory with a limit, spills beside the workspace's data
sets, and neither loads extensions nor sees the network.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from ..errors import CorruptFileError, ResourceError

MEMORY_LIMIT = "1200MB"
PARSER_ERRORS = (
    duckdb.Error, pa.ArrowException, zlib.error, OSError, ValueError, OverflowError, RecursionError, EOFError,
)  # fmt: skip


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
    """The boundary of every parser: what it says about a file it cannot read becomes an error that names the file.

    What an import does with a file stands inside, so that nothing a library raises over damaged or hostile bytes
    (duckdb, Arrow, zlib, Python's own decoders) passes as a trace.

    Args:
        path: the file as the reader knows it.
        inner: what duckdb reads in its place, where it was unpacked.

    Raises:
        ResourceError: memory or disk space ran out.
        CorruptFileError: anything else.
    """
    try:
        yield
    except PARSER_ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the operating system refused something: no fault of the file
        first = (str(error).strip().splitlines() or [type(error).__name__])[0].replace(str(inner or path), str(path))
        if isinstance(error, duckdb.OutOfMemoryException | MemoryError) or "No space left" in first:
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
    # The statistics of a Parquet leave NaN out: a column of 1.0 and NaN would be taken for 1.0 throughout.
    connection.execute("SET disabled_optimizers='statistics_propagation'")
    return connection
