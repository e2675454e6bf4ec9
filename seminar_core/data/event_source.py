"""Reading an events file: typed, checked, row by row accountable, and never whole in memory.

Data, first step of an import. duckdb reads Parquet or CSV, gives every data row its number (1-based, the header does
not count) and turns it into the columns of an event, or finds the one reason why the row is rejected. Everything is an
SQL view over the file: nothing is materialised but a CSV, which is parsed once into a scratch Parquet.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
import pyarrow as pa

from ..errors import EmptyDataError, InvalidDataError, MissingColumnError, MissingFileError
from .hints import EVENT_COLUMNS, UNITS, Hints
from .scratch import identifier, literal, reading
from .table_files import Table, open_table
from .tables.text import PROBLEM, ROW
from .vocabulary import WHITE

LATEST_TIME_S = 4_102_444_800  # 2100-01-01: later is almost always milliseconds
REQUIRED, OPTIONAL = EVENT_COLUMNS[:3], EVENT_COLUMNS[3:]
INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
NUMBERS = (*INTEGERS, *("U" + name for name in INTEGERS), "FLOAT", "DOUBLE", "DECIMAL")
TIMES = (*NUMBERS, "VARCHAR", "TIMESTAMP", "DATE")
LABELS = (*NUMBERS, "VARCHAR", "BOOLEAN")
TEXTS = (*LABELS, "ENUM", "UUID")
BLANKS, ASCII_BLANKS = literal(WHITE), literal(WHITE[:10])
EXAMPLES = 5

HINTS = {
    "empty_person": "give every event the id of its person",
    "empty_item": "give every event the id of its item",
    "empty_time": "give every event a time: unix seconds, or ISO 8601 such as 2024-05-01T12:00:00Z",
    "unreadable_time": "write times as unix seconds or ISO 8601 such as 2024-05-01T12:00:00Z (no zone means UTC), or "
    "say how they are written: --time-format '%m/%d/%Y %H:%M'",
    "negative_time": "times count seconds since 1970 and are not negative",
    "time_after_2100": "times are unix seconds; values this large are usually milliseconds: --time-unit ms (us, ns)",
    "bad_label": "labels are 1, 0, true, false or empty",
    "unclosed_quote": "a field begins with a quote that nothing closes: close it, or double it inside a quoted field",
    "extra_columns": "the row has more columns than the header: quote values that contain a comma",
}


FORMATS = (
    "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %I:%M %p", "%d/%m/%Y %I:%M:%S %p", "%d/%m/%Y %I:%M %p",
    "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y", "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y",
    "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y", "%d-%m-%Y %H:%M:%S", "%d-%m-%Y",
    "%d/%b/%Y:%H:%M:%S %z", "%a %b %d %H:%M:%S %z %Y", "%a, %d %b %Y %H:%M:%S %z", "%d %b %Y %H:%M:%S", "%b %d, %Y",
)  # fmt: skip
"""Ways to write a time that logs and spreadsheets use, tried on times that are neither numbers nor ISO 8601."""
LOOKED_AT = 1_000


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
        guesses: how the file was read: delimiter, encoding, header, columns by another name, unit or format of times.
        hints: what was told; None for a format that is read as published.
        types: column of an event -> its type in the file, where that was looked at.
    """

    connection: duckdb.DuckDBPyConnection
    path: Path
    columns: list[str]
    events: int
    rejected: dict[str, tuple[int, list[int]]]
    ignored: list[str]
    guesses: dict[str, object] = field(default_factory=dict)
    hints: Hints | None = None
    types: dict[str, str] = field(default_factory=dict)

    @property
    def n_rejected(self) -> int:
        return sum(count for count, _ in self.rejected.values())

    def distinct(self, column: str) -> list[str]:
        """Distinct values of one column of the clean rows, absent ones left out, in no order."""
        with reading(self.path):
            found = self.connection.execute(f"SELECT DISTINCT {column} FROM clean WHERE {column} IS NOT NULL")
            return [row[0] for row in found.fetchall()]


def hint_of(source: EventSource, kind: str) -> str:
    """What to do about rejected rows of one kind; for times that cannot be read, the format that reads them."""
    fitting = fitting_formats(source) if kind == "unreadable_time" and source.hints is not None else []
    if not fitting:
        return HINTS[kind]
    told = " or ".join(f"--time-format '{name}'" for name in fitting)
    which = ": month or day comes first, only you know which" if len(fitting) > 1 else ""
    return f"the first {LOOKED_AT:,} such times at the most are all read with {told}{which}"


def fitting_formats(source: EventSource) -> list[str]:
    """Those of `FORMATS` that read every one of the first times that could not be read."""
    found = []
    with reading(source.path):
        source.connection.execute(
            f"CREATE OR REPLACE TEMP TABLE unread AS SELECT trim(CAST(time AS VARCHAR), {BLANKS}) AS written "
            f"FROM checked WHERE e_reason = 'unreadable_time' ORDER BY {identifier(ROW)} LIMIT {LOOKED_AT}"
        )
        for name in FORMATS:
            ((missed,),) = source.connection.execute(
                f"SELECT count(*) FROM unread WHERE try_strptime(written, {literal(name)}) IS NULL"
            ).fetchall()
            found += [] if missed else [name]
    return found


def open_events(
    connection: duckdb.DuckDBPyConnection, path: Path, scratch: Path, hints: Hints | None = None
) -> EventSource:
    """Check every row of an events file.

    Raises:
        MissingColumnError: person, time or item is not there; the message names those that are.
        InvalidDataError: a column has a type that cannot hold its values.
        EmptyDataError: no row.
        CorruptFileError: the file cannot be read to its end.
    """
    hints = hints or Hints()
    table = open_table(connection, path, scratch, REQUIRED + OPTIONAL, hints)
    header = table.header
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise MissingColumnError(
            f"{path} has no column {missing[0]!r}; it has {', '.join(map(repr, header)) or 'none'}",
            hint=f"an events file has the columns {', '.join(REQUIRED)}: say which they are with --column "
            f"{missing[0]}=NAME, or, where the first line is a row already, --no-header",
        )
    for name in REQUIRED + OPTIONAL:
        kinds = {"time": TIMES, "label": LABELS}.get(name, TEXTS)
        if name in header and (not header[name].startswith(kinds) or header[name].endswith("[]")):
            raise InvalidDataError(
                f"{path}: column {name!r} has the type {header[name]}, which cannot be a {name}",
                hint="write it as text or numbers; docs/data-format.md lists the types",
            )
    known = {name: kind for name, kind in header.items() if name in REQUIRED + OPTIONAL}
    clean = clean_columns(connection, table, [name for name in ("person", "item", "query", "action") if name in known])
    define_checked(connection, table.sql, known, problems=True, hints=hints, clean=clean)
    guesses = {**table.guesses, "time_unit": hints.time_unit or "s", "time_format": hints.time_format}
    source = check_events(connection, path, list(known), [name for name in header if name not in known], guesses)
    return replace(source, hints=hints, types=known)


def clean_columns(connection: duckdb.DuckDBPyConnection, table: Table, columns: list[str]) -> set[str]:
    """Text columns in which no value has blanks at its ends or looks like a whole number with decimals.

    One scan that spares each later one the looking, which is most of what an import does.
    """
    texts = [name for name in columns if table.header[name] == "VARCHAR"]
    if not texts:
        return set()
    looks = []
    for name in texts:
        value = identifier(name)
        looks.append(
            f"bool_or(strlen({value}) <> length({value}) OR trim({value}, {ASCII_BLANKS}) <> {value} "
            f"OR (ends_with({value}, '0') AND contains({value}, '.')))"
        )
    with reading(table.path):
        found = connection.execute(f"SELECT {', '.join(looks)} FROM ({table.sql})").fetchone()
    assert found is not None
    return {name for name, unclean in zip(texts, found, strict=True) if not unclean}


def id_sql(column: str, kind: str) -> str:
    """SQL of an id as both files write it: trimmed, a whole number without its decimals; NULL where it is empty."""
    text = text_sql(column, kind)
    if kind.startswith(INTEGERS):
        return text
    whole = f"regexp_full_match({text}, '-?[0-9]+\\.0+')"
    return f"CASE WHEN ends_with({text}, '0') AND {whole} THEN split_part({text}, '.', 1) ELSE {text} END"


def text_sql(column: str, kind: str) -> str:
    """SQL of a query or an action as an import reads it: trimmed; NULL where it is empty."""
    name = identifier(column)
    if kind in ("DOUBLE", "FLOAT"):
        return f"regexp_replace(nullif(CAST({name} AS VARCHAR), 'nan'), '\\.0$', '')"
    text = f"CAST({name} AS VARCHAR)"
    plain = (
        f"strlen({text}) = length({text})"  # no character beyond ASCII: the short list of blanks is ten times faster
    )
    return f"nullif(CASE WHEN {plain} THEN trim({text}, {ASCII_BLANKS}) ELSE trim({text}, {BLANKS}) END, '')"


def as_imported(column: pa.Array, sql: Callable[[str, str], str]) -> list[str | None]:
    """Values of another file as an import reads them, by `id_sql` or `text_sql`."""
    with duckdb.connect(config={"threads": 1}) as connection:
        given = connection.from_arrow(pa.table({"value": column}))
        return given.project(f"{sql('value', str(given.types[0]))} AS value").to_arrow_table()["value"].to_pylist()


def _seconds(column: str, kind: str, hints: Hints) -> str:
    name = identifier(column)
    if hints.time_format is not None:
        text = f"trim(CAST({name} AS VARCHAR), {BLANKS})"
        return f"CAST(floor(epoch_us(try_strptime({text}, {literal(hints.time_format)})) / 1e6) AS BIGINT)"
    per_second = UNITS[hints.time_unit or "s"]
    if kind == "VARCHAR":
        number = f"TRY_CAST(floor(TRY_CAST({name} AS DOUBLE) / {per_second}) AS BIGINT)"
        instant = f"CAST(floor(epoch_us(TRY_CAST({name} AS TIMESTAMPTZ)) / 1e6) AS BIGINT)"
        return f"coalesce({number}, {instant})"
    if kind.startswith(("TIMESTAMP", "DATE")):
        return f"CAST(floor(epoch_us(CAST({name} AS TIMESTAMPTZ)) / 1e6) AS BIGINT)"
    return f"TRY_CAST(floor({name} / {per_second}) AS BIGINT)"


def _label(column: str, kind: str) -> tuple[str, str]:
    """SQL of the label (-1 = none) and of the condition that it is none of 1, 0 and empty; NaN is empty."""
    name = identifier(column)
    if kind in ("VARCHAR", "DOUBLE", "FLOAT"):
        name = f"nullif(nullif(lower(trim(CAST({name} AS VARCHAR), {BLANKS})), ''), 'nan')"
    if kind == "VARCHAR":
        name = f"CASE {name} WHEN 'true' THEN '1' WHEN 'false' THEN '0' ELSE {name} END"
    number = f"CAST({name} AS DOUBLE)" if kind == "BOOLEAN" else f"TRY_CAST({name} AS DOUBLE)"
    value = f"CASE WHEN {name} IS NULL THEN -1 WHEN {number} = 1 THEN 1 ELSE 0 END"
    return f"CAST({value} AS TINYINT)", f"({name} IS NOT NULL AND coalesce({number} NOT IN (0, 1), true))"


def define_checked(
    connection: duckdb.DuckDBPyConnection,
    rows_sql: str,
    header: dict[str, str],
    *,
    problems: bool,
    hints: Hints | None = None,
    clean: Collection[str] = (),
) -> None:
    """Make the view `checked` over `rows_sql`: every row with the columns of an event and its reason or NULL.

    Other columns than those of `header` are left out. With `problems` the rows have a column `__problem` that says what
    is wrong with them already; columns in `clean` are taken as they are.
    """
    hints = hints or Hints()

    def value(name: str, otherwise: Callable[[str, str], str]) -> str:
        if name not in header:
            return "CAST(NULL AS VARCHAR)"
        return f"nullif({identifier(name)}, '')" if name in clean else otherwise(name, header[name])

    label, bad_label = _label("label", header["label"]) if "label" in header else ("CAST(-1 AS TINYINT)", "false")
    time = identifier("time")
    blank = f"trim({time}, {BLANKS}) = ''" if header["time"] == "VARCHAR" else "false"
    kept = ", ".join(map(identifier, [ROW, *([PROBLEM] if problems else []), *header]))
    connection.execute(
        f"""CREATE OR REPLACE TEMP VIEW checked AS SELECT *, CASE
            {f"WHEN {identifier(PROBLEM)} IS NOT NULL THEN {identifier(PROBLEM)}" if problems else ""}
            WHEN e_person IS NULL THEN 'empty_person' WHEN e_item IS NULL THEN 'empty_item'
            WHEN {time} IS NULL OR {blank} THEN 'empty_time' WHEN e_time_s IS NULL THEN 'unreadable_time'
            WHEN e_time_s < 0 THEN 'negative_time' WHEN e_time_s > {LATEST_TIME_S} THEN 'time_after_2100'
            WHEN {bad_label} THEN 'bad_label' END AS e_reason
        FROM (SELECT {kept}, {value("person", id_sql)} AS e_person, {value("item", id_sql)} AS e_item,
            {_seconds("time", header["time"], hints)} AS e_time_s, {value("query", text_sql)} AS e_query,
            {value("action", text_sql)} AS e_action,
            {label} AS e_label FROM ({rows_sql}))"""
    )


def check_events(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    columns: list[str],
    ignored: list[str],
    guesses: dict[str, object] | None = None,
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
    return EventSource(connection, path, columns, clean, counts, ignored, guesses or {})


def guarded_sql(column: str) -> str:
    """SQL of a column as `files.guarded` writes its text."""
    text = f"CAST({identifier(column)} AS VARCHAR)"
    runs = f"regexp_matches({text}, '^[=+\\-@\\t\\r]') AND TRY_CAST({text} AS DOUBLE) IS NULL"
    return f"CASE WHEN {runs} THEN chr(39) || {text} ELSE {text} END AS {identifier(column)}"


def write_rejected(source: EventSource, target: Path) -> None:
    """Write rejected rows with number and reason as CSV, by rename; no cell is a formula, see `files.guarded`.

    Raises:
        MissingFileError: `target` cannot be written.
    """
    partial = target.with_name(f".partial-{uuid.uuid4().hex[:8]}-{target.name}")
    listed = ", ".join(guarded_sql(name) for name in source.columns)
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
