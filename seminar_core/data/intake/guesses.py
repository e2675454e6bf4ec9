"""What an import guessed about its files and from what, as `import` answers it and a page shows it before use.

Data, import. Each guess is {`value`, `from`}; a hint that was told stands in the same place and says so. Files that
are read as published are not guessed at: of them only the kinds of ids are told.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from ..hints import Hints

Guess = dict[str, Any]
WHOLE, NUMBER = re.compile(r"-?[0-9]+"), re.compile(r"-?[0-9]*\.?[0-9]+([eE][+-]?[0-9]+)?")
TOLD = "told"


def guess(value: object, source: str) -> Guess:
    """One guess and what it was made from."""
    return {"value": value, "from": source}


def guesses_of(
    read_as: dict[str, Any],
    hints: Hints | None,
    types: dict[str, str],
    items_read_as: dict[str, Any],
    people: Collection[str],
    items: Collection[str],
) -> dict[str, Guess]:
    """Everything that was guessed.

    Args:
        read_as: how the events file was read, as `EventSource.guesses`.
        hints: what was told; None for files that are read as published.
        types: column of an event -> its type in the file.
        items_read_as: the same as `read_as` of the items file, empty where there is none.
        people, items: their ids.
    """
    found: dict[str, Guess] = {}
    if hints is not None:
        found |= _text_guesses(read_as, hints, "")
        found["time"] = _time(read_as, hints, types.get("time", "VARCHAR"))
        found |= _text_guesses(items_read_as, hints, "items_")
    return found | {"person_ids": id_kind(people), "item_ids": id_kind(items)}


def _text_guesses(read_as: dict[str, Any], hints: Hints, prefix: str) -> dict[str, Guess]:
    """Delimiter, encoding, header and columns of one file; a Parquet has only columns."""
    found: dict[str, Guess] = {}
    if "delimiter" in read_as:
        source = TOLD if hints.delimiter is not None else "the first line"
        found[f"{prefix}delimiter"] = guess(read_as["delimiter"], source)
    if "encoding" in read_as:
        unmarked = "no byte order mark, and every line is UTF-8"
        marked = unmarked if read_as["encoding"] == "utf-8" else "the byte order mark"
        if hints.encoding is not None:
            overruled = f"every line is UTF-8, which {hints.encoding}, as it was told, would misread"
            marked = TOLD if read_as["encoding"] == hints.encoding else overruled
        found[f"{prefix}encoding"] = guess(read_as["encoding"], marked)
    if "header" in read_as:
        source = "the names in the first line" if read_as["header"] else TOLD
        found[f"{prefix}header"] = guess(read_as["header"], source)
    if "columns" in read_as:
        source = "their case" if hints.header else "their place"
        told = any(name in hints.columns for name in read_as["columns"])
        found[f"{prefix}columns"] = guess(read_as["columns"], TOLD if told else source)
    return found


def _time(read_as: dict[str, Any], hints: Hints, kind: str) -> Guess:
    if hints.time_format is not None:
        return guess(hints.time_format, TOLD)
    if kind.startswith(("TIMESTAMP", "DATE")):
        return guess("timestamps", f"the type of the column, {kind}")
    if hints.time_unit is not None:
        return guess(read_as["time_unit"], TOLD)
    return guess(read_as["time_unit"], "the format: unix seconds" + (", or ISO 8601" if kind == "VARCHAR" else ""))


def id_kind(ids: Collection[str]) -> Guess:
    """Whether ids are whole numbers, numbers or text; the first one that is no number settles it."""
    whole = True
    for text in ids:
        if not WHOLE.fullmatch(text):
            whole = False
            if not NUMBER.fullmatch(text):
                return guess("text", f"{text!r} among {len(ids):,} different ones")
    return guess("whole numbers" if whole else "numbers", f"all {len(ids):,} different ones")
