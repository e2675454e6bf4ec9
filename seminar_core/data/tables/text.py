"""Text tables (CSV, TSV and the like) as Parquet: every row accounted for, whatever its quotes.

Data, import, under `table_files`. A well-formed file is parsed by duckdb, all cores at work, and its rows are counted a
second time by a scan that knows nothing of the parser. Where the two disagree, where a quote is not closed or where
blank lines lie between rows, the file is read again line by line, honestly: a quote that is never closed costs its own
line alone, and each row keeps its number in the file.
"""

from __future__ import annotations

import codecs
import csv
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from ...errors import CorruptFileError, EmptyDataError, InvalidDataError
from ..hints import Hints
from ..limits import unpacked
from ..scratch import identifier, literal, pattern, reading
from .lines import write_records

CANDIDATES = (",", ";", "\t", "|")
CHUNK = 1 << 24
ROWS = "rows.parquet"
ROW, PROBLEM, EXTRA = "__row", "__problem", "__extra"
QUOTE, RETURN, NEWLINE = ord('"'), ord("\r"), ord("\n")


def stage_text(
    connection: duckdb.DuckDBPyConnection, source: Path, folder: Path, hints: Hints, wanted: tuple[str, ...]
) -> dict[str, Any]:
    """Parse a text table once into `folder`/`ROWS`.

    Args:
        source: the file, which may be packed.
        folder: empty; what else is written there is removed.
        wanted: columns that the format knows.

    Returns:
        `names` (its columns, stripped), `mended` (it was read line by line) and `guesses` (delimiter, encoding and
        header as they were guessed or told).

    Raises:
        EmptyDataError: it has no bytes.
        CorruptFileError: it is not text in its encoding; the message names the line.
        InvalidDataError: a column's name is not usable.
        ResourceError: it holds more than a packed file may.
    """
    inner = unpacked(source, folder)
    encoding = encoding_of(inner, source, hints.encoding)
    returns = has_returns_alone(inner)
    path = inner if encoding == "utf-8" and not returns else transcoded(inner, source, encoding, folder, returns)
    delimiter = hints.delimiter or guessed_delimiter(path, source, wanted, header=hints.header)
    first = first_record(path, source, delimiter)
    names = column_names(source, first) if hints.header else [str(n) for n in range(1, len(first) + 1)]
    count, uneven = count_records(path)
    expected = count - int(hints.header)
    staged = folder / ROWS
    done = False
    if not uneven:
        done = parse(connection, source, path, staged, names, delimiter, header=hints.header) == expected
    if not done:
        check_text(path, source, encoding)
        write_records(path, staged, delimiter, len(names), header=hints.header)
    for left in folder.iterdir():
        if left != staged:
            left.unlink()
    guesses = {"delimiter": delimiter, "encoding": encoding, "header": hints.header}
    return {"names": names, "mended": not done, "guesses": guesses}


def text_sql(folder: Path, names: list[str], *, mended: bool) -> str:
    """SQL of the rows that `stage_text` wrote, with `__row` and `__problem` before them."""
    fields = ", ".join(f"c{n} AS {identifier(name)}" for n, name in enumerate(names))
    row = "crow" if mended else "file_row_number + 1"
    problem = "cproblem" if mended else "CASE WHEN cextra IS NOT NULL THEN 'extra_columns' END"
    return (
        f"SELECT {row} AS {identifier(ROW)}, {problem} AS {identifier(PROBLEM)}, {fields} "
        f"FROM read_parquet({pattern(folder / ROWS)}, file_row_number=true, hive_partitioning=false)"
    )


def encoding_of(path: Path, source: Path, told: str | None) -> str:
    """What was told, else UTF-8 or what a byte order mark says.

    One hint is told for both files, and one of them may be UTF-8: where what was told has one byte for each letter, a
    file that is UTF-8 throughout, with letters beyond ASCII, is read as that, for it makes no words in the other.

    Raises:
        EmptyDataError: the file has no bytes.
    """
    with path.open("rb") as file:
        start = file.read(4)
    if not start:
        raise EmptyDataError(f"{source} is empty (0 bytes)", hint="export it again: it needs a header and rows")
    if told is not None:
        return "utf-8" if has_single_bytes(told) and is_utf8(path) else told
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return "utf-8"


def has_single_bytes(encoding: str) -> bool:
    """Whether every byte of an encoding is a letter or none."""
    for byte in range(256):
        try:
            if not codecs.getincrementaldecoder(encoding)().decode(bytes([byte])):
                return False
        except UnicodeError:
            continue
    return True


def is_utf8(path: Path) -> bool:
    """Whether all of a file is UTF-8 and some of it beyond ASCII."""
    decoder, beyond = codecs.getincrementaldecoder("utf-8")(), False
    try:
        with path.open("rb") as file:
            while part := file.read(CHUNK):
                beyond |= not part.isascii()
                decoder.decode(part)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return beyond


def has_returns_alone(path: Path) -> bool:
    """Whether lines end in a carriage return alone, as old spreadsheets write them: the file begins with no other."""
    with path.open("rb") as file:
        start = file.read(CHUNK)
    return b"\r" in start and b"\n" not in start


def transcoded(path: Path, source: Path, encoding: str, folder: Path, returns: bool) -> Path:
    """A copy in UTF-8.

    Args:
        returns: every carriage return becomes a line break.

    Raises:
        CorruptFileError: a byte that the encoding does not have.
    """
    copy = folder / "utf8.csv"
    try:
        with (
            path.open(encoding=encoding, newline=None if returns else "") as old,
            copy.open("w", encoding="utf-8", newline="") as new,
        ):
            while part := old.read(CHUNK):
                new.write(part)
    except UnicodeError as error:
        raise CorruptFileError(
            f"{source} is not text in {encoding}: {error}", hint="name its encoding: --encoding latin-1, cp1252, utf-16"
        ) from error
    return copy


def check_text(path: Path, source: Path, encoding: str) -> None:
    """Raise when a line is not UTF-8.

    Raises:
        CorruptFileError: naming the line, the byte and the flag.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise CorruptFileError(
                    f"{source}, line {number}, is not UTF-8: byte 0x{line[error.start]:02x} at {error.start + 1}",
                    hint="name its encoding, often --encoding latin-1 or cp1252, or save the file as UTF-8",
                ) from error


def first_record(path: Path, source: Path, delimiter: str) -> list[str]:
    """The fields of the first line.

    Raises:
        CorruptFileError: it is not UTF-8, or no line that ends.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file, delimiter=delimiter), [])
    except UnicodeDecodeError:
        check_text(path, source, "utf-8")
        raise
    except csv.Error as error:
        raise CorruptFileError(
            f"{source} cannot be read as a table of text: {error}", hint="save it as comma-separated text in UTF-8"
        ) from error


def guessed_delimiter(path: Path, source: Path, wanted: tuple[str, ...], *, header: bool) -> str:
    """The character that parts the first line into the columns that are wanted, else into most fields."""

    def merit(delimiter: str) -> tuple[int, int]:
        fields = [name.strip().casefold() for name in first_record(path, source, delimiter)]
        return (len(set(wanted) & set(fields)) if header else 0, len(fields))

    return max(CANDIDATES, key=merit)


def column_names(source: Path, first: list[str]) -> list[str]:
    """Names of the header, stripped; one without a name is `column<n>`.

    Raises:
        InvalidDataError: a name occurs twice, holds a NUL, or is one of ours.
    """
    names = [name.strip() or f"column{n}" for n, name in enumerate(first, start=1)]
    folded = [name.casefold() for name in names]
    for n, name in enumerate(names):
        if folded[n] in folded[:n]:
            raise InvalidDataError(f"{source}: column {name!r} occurs twice", hint="give every column its own name")
        refuse_name(source, name)
    return names


def refuse_name(source: Path, name: str) -> None:
    """Raise for a column name that cannot be one.

    Raises:
        InvalidDataError: it holds a NUL, or begins with two underscores.
    """
    if "\0" in name:
        raise InvalidDataError(f"{source}: the column name {name!r} holds a NUL character", hint="rename the column")
    if name in (ROW, PROBLEM, EXTRA, "__item"):
        raise InvalidDataError(f"{source}: the column name {name!r} is kept for the import", hint="rename the column")


def count_records(path: Path) -> tuple[int, bool]:
    """Records of a text file, the header among them, and whether blank lines lie between or a quote stays open.

    A record ends at a line break outside quotes; nothing here knows of fields. Blank lines at the end do not count.
    """
    records, inside, started, blanks, blank_between = 0, False, False, 0, False
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            if not (inside or b'"' in chunk or b"\n\n" in chunk or b"\n\r\n" in chunk or chunk[:1] in b"\r\n"):
                records += chunk.count(b"\n")  # every line has something: no need to look closer
                blank_between |= blanks > 0
                blanks, started = 0, not chunk.endswith(b"\n")
                continue
            data = np.frombuffer(chunk, np.uint8)
            quotes = (np.cumsum(data == QUOTE) + inside) & 1
            inside = bool(quotes[-1])
            ends = np.flatnonzero((data == NEWLINE) & (quotes == 0))
            content = np.flatnonzero((data != NEWLINE) & (data != RETURN))
            upto = np.searchsorted(content, ends)  # characters of this chunk before each line break
            filled = np.diff(upto, prepend=0) > 0
            if len(filled):
                filled[0] |= started
                started = len(content) > upto[-1]
            else:
                started |= len(content) > 0
            rows = np.flatnonzero(filled)
            if len(rows):
                blank_between |= blanks + rows[0] > 0 or rows[-1] - rows[0] + 1 > len(rows)
                blanks = len(filled) - 1 - int(rows[-1])
            else:
                blanks += len(filled)
            records += len(rows)
    return records + int(started), bool(inside or blank_between or (started and blanks > 0))


def parse(
    connection: duckdb.DuckDBPyConnection,
    source: Path,
    path: Path,
    staged: Path,
    names: list[str],
    delimiter: str,
    *,
    header: bool,
) -> int:
    """Parse a well-formed file; how many rows it had, or -1 where it is not well-formed."""
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in [*(f"c{n}" for n in range(len(names))), "cextra"])

    def copy(parallel: str) -> int:
        found = connection.execute(
            f"COPY (SELECT * FROM read_csv({pattern(path)}, header={str(header).lower()}, delim={literal(delimiter)}, "
            f"quote='\"', escape='\"', auto_detect=false, null_padding=true, strict_mode=true, parallel={parallel}, "
            f"hive_partitioning=false, columns={{{columns}}})) TO {literal(staged)} (FORMAT parquet, COMPRESSION lz4)"
        ).fetchone()
        return -1 if found is None else int(found[0])

    try:
        try:
            return copy("true")
        except duckdb.Error as error:
            if "parallel=false" not in str(error):
                raise
            return copy("false")  # a long file with line breaks inside quotes can only be read by one core
    except (duckdb.OutOfMemoryException, duckdb.IOException):
        with reading(source, path):
            raise
    except duckdb.Error:
        return -1
