"""A text table that is not well-formed, line by line: an open quote costs its own line, every row keeps its number.

Data, import, under `tables.text`, which reads the others many times faster.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

LOOK_AHEAD = 1_000  # lines that a quoted field may span
BATCH = 10_000


def write_records(path: Path, staged: Path, delimiter: str, width: int, *, header: bool) -> None:
    """Write every record as Parquet: its number (`crow`), what is wrong with it (`cproblem`), its fields (`c0` ...)."""
    names = ["cproblem", *(f"c{n}" for n in range(width))]
    schema = pa.schema([("crow", pa.int64()), *((name, pa.string()) for name in names)])
    skip = int(header)
    numbered = islice(enumerate(records(path, delimiter, width), start=1 - skip), skip, None)
    rows = (row_of(number, fields, problem, width) for number, (fields, problem) in numbered if fields)
    with pq.ParquetWriter(staged, schema, compression="lz4") as writer:
        while batch := list(islice(rows, BATCH)):
            columns = zip(*batch, strict=True)
            arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
            writer.write_table(pa.table(arrays, schema=schema))


def row_of(number: int, fields: list[str], problem: str, width: int) -> list[int | str | None]:
    """A record as a row of `width` fields; what is empty, or not there, is None."""
    if not problem and len(fields) > width:
        problem = "extra_columns"
    return [number, *(text or None for text in [problem, *[*fields, *[""] * width][:width]])]


def records(path: Path, delimiter: str, width: int) -> Iterator[tuple[list[str], str]]:
    """Fields of each record and what is wrong with it: "" or `unclosed_quote`; a blank line is an empty record.

    A field whose quote is not closed on its line goes on for at most `LOOK_AHEAD` lines, to where it gives a whole row;
    where it never does, the quote is text and the line is named.
    """
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        ahead: deque[str] = deque()
        while True:
            line = ahead.popleft() if ahead else file.readline()
            if not line:
                return
            bare = line.rstrip("\r\n")
            if '"' not in bare:
                yield (bare.split(delimiter) if bare else []), ""
                continue
            fields, is_open = fields_of(bare, delimiter)
            if not is_open:
                yield fields, ""
                continue
            while len(ahead) < LOOK_AHEAD and (more := file.readline()):
                ahead.append(more)
            whole, used = closed(line, ahead, delimiter, width)
            for _ in range(used):
                ahead.popleft()
            yield (fields, "unclosed_quote") if whole is None else (whole, "")


def closed(line: str, ahead: deque[str], delimiter: str, width: int) -> tuple[list[str] | None, int]:
    """The whole row that begins with a line whose quote is open, and how many of the next lines it takes; None and 0
    where they close none.
    """
    text = [line]
    for used, more in enumerate(ahead, start=1):
        text.append(more)
        if '"' not in more.replace('""', ""):
            continue  # the field goes on: no quote, or doubled ones, which are its text
        found, still_open = fields_of("".join(text).rstrip("\r\n"), delimiter)
        if not still_open and len(found) == width:
            return found, used
        if not still_open or len(found) > width:
            break
    return None, 0


def fields_of(text: str, delimiter: str) -> tuple[list[str], bool]:
    """Fields of a record, and whether one opens a quote that nothing closes.

    A field with text beside its quotes is taken as it stands.
    """
    fields, at, is_open = [], 0, False
    quoted = re.compile(rf'[ \t]*"((?:[^"]|"")*)"[ \t]*(?={re.escape(delimiter)}|$)')
    while True:
        found = quoted.match(text, at)
        if found:
            fields.append(found[1].replace('""', '"'))
            at = found.end()
        else:
            is_open |= text[at:].lstrip(" \t").startswith('"') and text.count('"', at) % 2 == 1
            end = text.find(delimiter, at)
            end = len(text) if end < 0 else end
            fields.append(text[at:end])
            at = end
        if at >= len(text):
            return fields, is_open
        at += 1
