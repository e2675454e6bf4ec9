"""Packed files (`.gz`, `.zst`) as plain ones in scratch, with a limit on what a small file may grow to.

Data, import, under `table_files`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa

from ..errors import CorruptFileError, ResourceError

KINDS = {".gz": "gzip", ".zst": "zstd"}
PART = 1 << 24
SMALL = 64 << 20  # what any file may hold
TIMES = 200  # logs pack 5 to 50 times; a thousand times is a file made to fill a disk
SPARE = 1 << 30  # what stays free on the disk


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
