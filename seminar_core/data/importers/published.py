"""What importers share that read published tables as they are: a table by its columns, as a view for duckdb."""

from __future__ import annotations

from pathlib import Path

import duckdb

from ...errors import MissingColumnError
from ..scratch import identifier
from ..table_files import open_table


def published_table(
    connection: duckdb.DuckDBPyConnection, file: Path, columns: tuple[str, ...], scratch: Path, *, of: str
) -> None:
    """Make a view, named by the file's stem, over a table that has at least `columns`.

    Args:
        of: the data set, for messages.

    Raises:
        MissingColumnError: a published column is not there.
    """
    table = open_table(connection, file, scratch, columns)
    missing = [name for name in columns if name not in table.header]
    if missing:
        raise MissingColumnError(
            f"{file} has no column {missing[0]!r}; it has {', '.join(table.header)}",
            hint=f"{file.name} of {of} has the columns {', '.join(columns)}",
        )
    connection.execute(f"CREATE TEMP VIEW {identifier(file.stem)} AS {table.sql}")
