"""JSON lines as published: packed or not, strict JSON or (Amazon 2014) Python literals, one record at a time."""

from __future__ import annotations

import ast
import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import CorruptFileError

LONGEST = 1 << 24  # bytes of a line: a record of a product is a few thousand


def records(files: list[Path]) -> Iterator[tuple[Path, int, dict[str, Any]]]:
    """File, number of the line and record, of all files; blank lines are none.

    Raises:
        CorruptFileError: a line is no record, or the file cannot be unpacked to its end.
    """
    for file in files:
        number = 0
        try:
            with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as lines:
                while line := lines.readline(LONGEST):
                    number += 1
                    if line.strip():
                        yield file, number, record_of(line)
        except (OSError, EOFError, zlib.error, ValueError, SyntaxError, RecursionError, MemoryError) as error:
            raise CorruptFileError(
                f"{file}, line {number}: {error or 'nested too deeply'}",
                hint="each line is one JSON object: download the file again",
            ) from error


def record_of(line: bytes) -> dict[str, Any]:
    """The record of a line.

    Raises:
        ValueError, SyntaxError, RecursionError: it is none.
    """
    if len(line) == LONGEST:
        raise ValueError(f"the line is longer than {LONGEST:,} bytes")
    text = line.decode("utf-8").strip()
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        if not text.startswith("{'"):
            raise
        found = ast.literal_eval(text)
    if not isinstance(found, dict):
        raise ValueError("the line is no JSON object")
    return found
