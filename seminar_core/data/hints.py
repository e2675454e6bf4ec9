"""What a person may say about a table that is not written as the format asks: flags of `import`, or a small TOML.

Data, import. Each hint overrides a guess; the report names what was guessed or told. Hints are of the `table` format
alone: the public formats are written as published.
"""

from __future__ import annotations

import io
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from reprlib import repr as brief  # of what a file may nest or repeat without end
from typing import Any

from ..errors import ConfigError, CorruptFileError, MissingFileError

EVENT_COLUMNS = ("person", "time", "item", "query", "action", "label")
ITEM_COLUMNS = ("item", "title", "description", "category", "image")
UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
DELIMITERS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}


@dataclass(frozen=True)
class Hints:
    """How the files are to be read.

    Fields:
        delimiter: between the fields of a text file; None = guessed from its first line.
        encoding: of a text file, as Python names it; None = UTF-8, or what its byte order mark says.
        header: the first line names the columns; without, they are person, time, item, query, action, label.
        columns: our name -> name (or number, from 1) of the column that holds it.
        time_unit: of numeric times, one of `UNITS`; None = seconds.
        time_format: of times as text, in strptime's words; None = unix times or ISO 8601.

    Raises:
        ConfigError: a value that means nothing.
    """

    delimiter: str | None = None
    encoding: str | None = None
    header: bool = True
    columns: Mapping[str, str] = field(default_factory=dict)
    time_unit: str | None = None
    time_format: str | None = None

    def __post_init__(self) -> None:
        self._check_types()
        known = dict.fromkeys((*EVENT_COLUMNS, *ITEM_COLUMNS))
        for name in self.columns:
            if name not in known:
                raise ConfigError(
                    f"column {name!r} is none that an event or an item has", hint=f"these are {', '.join(known)}"
                )
        if self.delimiter is not None and len(self.delimiter) != 1:
            raise ConfigError(
                f"delimiter {self.delimiter!r} is not one character", hint="give one, or tab, comma, semicolon, pipe"
            )
        if self.encoding is not None:
            try:
                io.TextIOWrapper(io.BytesIO(), encoding=self.encoding)
            except (LookupError, ValueError) as error:
                raise ConfigError(
                    f"encoding {self.encoding!r} is not known", hint="for instance utf-8, latin-1, cp1252, utf-16"
                ) from error
        if self.time_unit is not None and self.time_unit not in UNITS:
            raise ConfigError(f"time unit {self.time_unit!r} is not known", hint=f"one of {', '.join(UNITS)}")
        if self.time_format is not None and "%" not in self.time_format:
            raise ConfigError(f"time format {self.time_format!r} has no %", hint="for instance %m/%d/%Y %H:%M")

    def _check_types(self) -> None:
        """Raise for a hint that is no text, or a header that is neither true nor false."""
        if not isinstance(self.header, bool):
            raise ConfigError(f"header {brief(self.header)} is neither true nor false", hint="write header = false")
        if not isinstance(self.columns, Mapping):
            raise ConfigError(
                f"columns {brief(self.columns)} is no table of names",
                hint='write [columns] and below it person = "userId"',
            )
        told = {name: getattr(self, name) for name in ("delimiter", "encoding", "time_unit", "time_format")}
        told |= {f"column {ours}": theirs for ours, theirs in self.columns.items()}
        for name, value in told.items():
            if not (isinstance(value, str) or (value is None and not name.startswith("column "))):
                raise ConfigError(
                    f"{name} {brief(value)} is no text", hint="put it into quotes, also where it is a number"
                )


def refuse_hints(hints: Hints, kind: str) -> None:
    """Raise where something was said about the files of a format that is read as published.

    Raises:
        ConfigError: naming the hints.
    """
    told = [f.name for f in fields(Hints) if getattr(hints, f.name) != getattr(Hints(), f.name)]
    if told:
        raise ConfigError(
            f"format {kind} takes no hints, and {', '.join(told)} was given",
            hint="leave them out: only files of the format `table` may be written in other ways",
        )


def column_pairs(words: Iterable[str]) -> dict[str, str]:
    """`person=userId` as a mapping.

    Raises:
        ConfigError: a word without `=`.
    """
    pairs: dict[str, str] = {}
    for word in words:
        ours, sign, theirs = word.partition("=")
        if not (sign and ours.strip() and theirs.strip()):
            raise ConfigError(f"--column {word!r} is no pair", hint="write --column person=userId")
        pairs[ours.strip()] = theirs.strip()
    return pairs


def read_hints(path: Path) -> dict[str, Any]:
    """The hints in a TOML file.

    Raises:
        MissingFileError, CorruptFileError: it cannot be read.
        ConfigError: it has a key that is no hint.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MissingFileError(f"{path} cannot be read: {error}", hint="give a TOML file of hints") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptFileError(f"{path} is no TOML: {error or 'nested too deeply'}", hint="mend the file") from error
    known = [f.name for f in fields(Hints)]
    for name in found:
        if name not in known:
            raise ConfigError(f"{path}: {brief(name)} is no hint", hint=f"hints are {', '.join(known)}")
    return found


def make_hints(file: Path | None = None, columns: Iterable[str] = (), **told: Any) -> Hints:
    """Hints from a file and from flags, the flags first; None stands for a flag that was not given."""
    values = {} if file is None else read_hints(file)
    values |= {name: value for name, value in told.items() if value is not None}
    given = values.get("columns", {})
    if isinstance(given, Mapping):
        values["columns"] = {**given, **column_pairs(columns)}
    if isinstance(values.get("delimiter"), str):
        values["delimiter"] = DELIMITERS.get(values["delimiter"].lower(), values["delimiter"])
    return Hints(**values)
