"""Limits of an import: what a packed file may grow to, and how many names fit into memory; beyond, it is refused.

Data, import. A small `.gz` or `.zst` can hold more than a disk. Events are sorted out of core and need the same memory
whatever their number; what grows are the names: every person, item and query is a string in memory once while a data
set is built, items also with their texts. The costs below were measured (docs/scale.md); a machine that would have to
swap is told so before it begins.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyarrow as pa

from ..errors import CorruptFileError, ResourceError

KINDS = {".gz": "gzip", ".zst": "zstd"}
PART = 1 << 24
SMALL = 64 << 20  # what any file may hold
TIMES = 200  # logs pack 5 to 50 times; a thousand times is a file made to fill a disk
SPARE = 1 << 30  # what stays free on the disk

BYTES = {"person": 500, "item": 750, "query": 450}  # of a name of 28 characters, with all that refers to it
CATALOGUE_BYTES = 2_000  # of an item of an items file, with its texts
BASE = 300 << 20  # the program itself
EVENT_BYTES, MOST_FOR_EVENTS = 100, 1_300 << 20  # the scratch database spills beyond that
SHARE = 0.9  # of the free memory


@dataclass(frozen=True)
class Terms:
    """On what terms a table is imported.

    Fields:
        offer: where the data set exists, keep it as it is until `versions.settle` accepts the new version.
        most_rows: that each file may have; None = any number.
    """

    offer: bool = False
    most_rows: int | None = None


def refuse_rows(path: Path, rows: int, terms: Terms) -> None:
    """Raise when a file has more rows than it may.

    Raises:
        ResourceError: with both numbers.
    """
    if terms.most_rows is not None and rows > terms.most_rows:
        raise ResourceError(
            f"{path} has {rows:,} rows, at most {terms.most_rows:,} may be imported",
            hint="bring a part of it, or allow more: --most-rows, for uploads SEMINAR_UPLOAD_ROWS where the server is "
            "started",
        )


def unpacked(path: Path, scratch: Path) -> Path:
    """The file itself, or what a `.gz` or `.zst` holds, written into `scratch`.

    Raises:
        CorruptFileError: it cannot be unpacked to its end.
        ResourceError: it holds more than `TIMES` its size (and `SMALL`), or more than the disk has room for.
    """
    kind = KINDS.get(path.suffix)
    if kind is None:
        return path
    inner = scratch / f"unpacked{path.with_suffix('').suffix}"
    most = SMALL + TIMES * path.stat().st_size
    written = 0
    try:
        with pa.OSFile(str(path)) as raw, pa.CompressedInputStream(raw, kind) as packed, inner.open("wb") as out:
            while part := packed.read(PART):
                written += len(part)
                if written > most:
                    raise ResourceError(
                        f"{path} unpacks to more than {most:,} bytes, {TIMES} times its own size",
                        hint="unpack it yourself and import what it holds, if you know what it is",
                    )
                if shutil.disk_usage(scratch).free - len(part) < SPARE:
                    raise ResourceError(
                        f"{path} unpacks to more than the disk of the workspace has room for ({written:,} bytes so "
                        f"far, {SPARE:,} are to stay free)",
                        hint="free space on the disk of the workspace, or point --workspace to a larger one",
                    )
                out.write(part)
    except (OSError, pa.ArrowInvalid) as error:
        raise CorruptFileError(f"{path} cannot be unpacked: {error}", hint="download or pack it again") from error
    return inner


def free_memory() -> int:
    """Bytes that this machine can still give."""
    return int(psutil.virtual_memory().available)


def require_room(path: Path, counts: dict[str, int], bytes_each: dict[str, int], events: int = 0) -> None:
    """Raise when so many names do not fit into memory.

    Args:
        path: the file, for the message.
        counts: kind -> how many.
        bytes_each: kind -> bytes of one.
        events: that are sorted beside them.

    Raises:
        ResourceError: with what is needed and what is free.
    """
    need = BASE + min(events * EVENT_BYTES, MOST_FOR_EVENTS) + sum(counts[kind] * bytes_each[kind] for kind in counts)
    free = free_memory()
    if need > SHARE * free:
        named = ", ".join(f"{count:,} different values of {kind}" for kind, count in counts.items())
        raise ResourceError(
            f"{path} has about {named}: building the data set needs {need / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB "
            "are free",
            hint="close other programs, use a machine with more memory, or leave out rare items, people and queries",
        )
