"""Reading an events file: typed, checked, row by row accountable, and never whole in memory.

Data, first step of an import. duckdb reads Parquet or CSV, gives every data row its number (1-based, the header does
not count) and turns it into the columns of an event, or finds the one reason why the row is rejected. Everything is an
SQL view over the file: nothing is materialised but a CSV, which is parsed once into a scratch Parquet.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from pathlib import Path

import duckdb

from ..errors import EmptyDataError, InvalidDataError, MissingColumnError, MissingFileError
from .table_files import EXTRA, header_of, identifier, literal, reading, table_sql

LATEST_TIME_S = 4_102_444_800  # 2100-01-01: later is almost always milliseconds
REQUIRED = ("person", "time", "item")
OPTIONAL = ("query", "action", "label")
INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
NUMBERS = (*INTEGERS, *("U" + name for name in INTEGERS), "FLOAT", "DOUBLE", "DECIMAL")
TIMES = (*NUMBERS, "VARCHAR", "TIMESTAMP", "DATE")
LABELS = (*NUMBERS, "VARCHAR", "BOOLEAN")
TEXTS = (*LABELS, "ENUM", "UUID")
BLANKS = "' \t\r\n'"
EXAMPLES = 5

HINTS = {
    "empty_person": "give every event the id of its person",
    "empty_item": "give every event the id of its item",
    "empty_time": "give every event a time: unix seconds, or ISO 8601 such as 2024-05-01T12:00:00Z",
    "unreadable_time": "write times as unix seconds or ISO 8601 such as 2024-05-01T12:00:00Z (no zone means UTC)",
    "negative_time": "times count seconds since 1970 and are not negative",
    "time_after_2100": "times are unix seconds; values this large are usually milliseconds: divide them by 1000",
    "bad_label": "labels are 1, 0 or empty",
    "extra_columns": "the row has more columns than the header: quote values that contain a comma",
}


@dataclass(frozen=True)
class EventSource:
    """Clean and rejected rows of one events file as views `clean` and `checked` of a scratch connection.

    Fields:
        connection: the scratch duckdb.
        path: the source file, for messages.
        columns: columns of `checked` that show what the source said.
        events: clean rows.
        rejected: problem kind -> (count, example row numbers).
        ignored: columns of the file that an event has no place for.
    """

    connection: duckdb.DuckDBPyConnection
    path: Path
    columns: list[str]
    events: int
    rejected: dict[str, tuple[int, list[int]]]
    ignored: list[str]

    @property
    def n_rejected(self) -> int:
        return sum(count for count, _ in self.rejected.values())

    def distinct(self, column: str) -> list[str]:
        """Distinct values of one column of the clean rows, absent ones left out, in no order."""
        with reading(self.path):
            found = self.connection.execute(f"SELECT DISTINCT {column} FROM clean WHERE {column} IS NOT NULL")
            return [row[0] for row in found.fetchall()]


def open_events(connection: duckdb.DuckDBPyConnection, path: Path, scratch: Path) -> EventSource:
    """Check every row of an events file.

    Raises:
        MissingColumnError: person, time or item is not there; the message names those that are.
        InvalidDataError: a column has a type that cannot hold its values.
        EmptyDataError: no row.
        CorruptFileError: the file cannot be read to its end.
    """
    header = header_of(connection, path)
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise MissingColumnError(
            f"{path} has no column {missing[0]!r}; it has {', '.join(map(repr, header)) or 'none'}",
            hint=f"an events file has the columns {', '.join(REQUIRED)}, separated by commas in a CSV; "
            f"rename or add {', '.join(missing)}",
        )
    for name in REQUIRED + OPTIONAL:
        kinds = {"time": TIMES, "label": LABELS}.get(name, TEXTS)
        if name in header and (not header[name].startswith(kinds) or header[name].endswith("[]")):
            raise InvalidDataError(
                f"{path}: column {name!r} has the type {header[name]}, which cannot be a {name}",
                hint="write it as text or numbers; docs/data-format.md lists the types",
            )
    known = {name: kind for name, kind in header.items() if name in REQUIRED + OPTIONAL}
    csv = path.suffix != ".parquet"
    define_checked(connection, table_sql(connection, path, header, scratch), known, csv=csv)
    return check_events(connection, path, list(known), [name for name in header if name not in known])


def _text(column: str, kind: str) -> str:
    name = identifier(column)
    if kind in ("DOUBLE", "FLOAT"):
        return f"regexp_replace(nullif(CAST({name} AS VARCHAR), 'nan'), '\\.0$', '')"
    return f"nullif(trim(CAST({name} AS VARCHAR), {BLANKS}), '')"


def _seconds(column: str, kind: str) -> str:
    name = identifier(column)
    if kind == "VARCHAR":
        number = f"TRY_CAST(floor(TRY_CAST({name} AS DOUBLE)) AS BIGINT)"
        instant = f"CAST(floor(epoch_us(TRY_CAST({name} AS TIMESTAMPTZ)) / 1e6) AS BIGINT)"
        return f"coalesce({number}, {instant})"
    if kind.startswith(("TIMESTAMP", "DATE")):
        return f"CAST(floor(epoch_us(CAST({name} AS TIMESTAMPTZ)) / 1e6) AS BIGINT)"
    return f"TRY_CAST(floor({name}) AS BIGINT)"


def _label(column: str, kind: str) -> tuple[str, str]:
    """SQL of the label (-1 = none) and of the condition that it is none of 1, 0 and empty.

    NaN is looked for as text: duckdb folds `isnan` away by the file's statistics, which leave NaN out.
    """
    name = identifier(column)
    if kind in ("VARCHAR", "DOUBLE", "FLOAT"):
        name = f"nullif(nullif(lower(trim(CAST({name} AS VARCHAR), {BLANKS})), ''), 'nan')"
    number = f"CAST({name} AS DOUBLE)" if kind == "BOOLEAN" else f"TRY_CAST({name} AS DOUBLE)"
    value = f"CASE WHEN {name} IS NULL THEN -1 WHEN {number} = 1 THEN 1 ELSE 0 END"
    return f"CAST({value} AS TINYINT)", f"({name} IS NOT NULL AND coalesce({number} NOT IN (0, 1), true))"


def define_checked(connection: duckdb.DuckDBPyConnection, rows_sql: str, header: dict[str, str], *, csv: bool) -> None:
    """Make the view `checked` over `rows_sql`: every row with the columns of an event and its reason or NULL."""
    label, bad_label = _label("label", header["label"]) if "label" in header else ("CAST(-1 AS TINYINT)", "false")
    query = _text("query", header["query"]) if "query" in header else "CAST(NULL AS VARCHAR)"
    action = _text("action", header["action"]) if "action" in header else "CAST(NULL AS VARCHAR)"
    time = identifier("time")
    blank = f"trim({time}, {BLANKS}) = ''" if header["time"] == "VARCHAR" else "false"
    connection.execute(
        f"""CREATE OR REPLACE TEMP VIEW checked AS SELECT *, CASE
            WHEN {f"{identifier(EXTRA)} IS NOT NULL" if csv else "false"} THEN 'extra_columns'
            WHEN e_person IS NULL THEN 'empty_person' WHEN e_item IS NULL THEN 'empty_item'
            WHEN {time} IS NULL OR {blank} THEN 'empty_time' WHEN e_time_s IS NULL THEN 'unreadable_time'
            WHEN e_time_s < 0 THEN 'negative_time' WHEN e_time_s > {LATEST_TIME_S} THEN 'time_after_2100'
            WHEN {bad_label} THEN 'bad_label' END AS e_reason
        FROM (SELECT *, {_text("person", header["person"])} AS e_person, {_text("item", header["item"])} AS e_item,
            {_seconds("time", header["time"])} AS e_time_s, {query} AS e_query, {action} AS e_action,
            {label} AS e_label FROM ({rows_sql}))"""
    )


def check_events(
    connection: duckdb.DuckDBPyConnection, path: Path, columns: list[str], ignored: list[str]
) -> EventSource:
    """Check every row of the view `checked` once and make the view `clean` of those without a reason.

    `clean` knows the rejected rows by their numbers, because judging each row again would halve the speed of an import.
    """
    with reading(path):
        rows = connection.execute(
            f'SELECT e_reason, count(*), min("__row", {EXAMPLES}) FROM checked GROUP BY e_reason ORDER BY e_reason'
        ).fetchall()
        counts = {reason: (count, list(examples)) for reason, count, examples in rows}
        if not counts:
            raise EmptyDataError(f"{path} has a header but no row", hint="export it again: it holds no event")
        clean = counts.pop(None, (0, []))[0]
        good = ""
        if counts:
            connection.execute(
                'CREATE OR REPLACE TEMP TABLE rejected AS SELECT "__row" AS row FROM checked WHERE e_reason IS NOT NULL'
            )
            good = 'WHERE "__row" NOT IN (SELECT row FROM rejected)'
    connection.execute(
        f"""CREATE OR REPLACE TEMP VIEW clean AS SELECT "__row" AS row, e_person AS person, e_time_s AS time_s,
            e_item AS item, e_query AS query, e_label AS label,
            coalesce(e_action, CASE WHEN e_query IS NULL THEN 'browse' ELSE 'search' END) AS action
        FROM checked {good}"""
    )
    return EventSource(connection, path, columns, clean, counts, ignored)


def write_rejected(source: EventSource, target: Path) -> None:
    """Write rejected rows with number and reason as CSV, by rename.

    Raises:
        MissingFileError: `target` cannot be written.
    """
    partial = target.with_name(f".partial-{uuid.uuid4().hex[:8]}-{target.name}")
    listed = ", ".join(identifier(name) for name in source.columns)
    try:
        source.connection.execute(
            f'COPY (SELECT "__row" AS row, e_reason AS reason, {listed} FROM checked WHERE e_reason IS NOT NULL '
            f'ORDER BY "__row") TO {literal(partial)} (FORMAT csv, HEADER)'
        )
        os.replace(partial, target)
    except (duckdb.IOException, OSError) as error:
        partial.unlink(missing_ok=True)
        raise MissingFileError(
            f"rejected rows cannot be written to {target}: {error}", hint="choose a file in a folder that exists"
        ) from error
