"""Sums of files: what a folder held when it was finished, so that a byte that changed later is noticed.

Foundation. `seal` writes `sums.json` beside the files; opening a folder compares sizes and both ends of each file, a
few reads, and `verify` all of it. A folder inside that has sums of its own is left to them, and what people write about
a folder (`NOTE`) is no part of it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .errors import CorruptFileError
from .files import read_json, sha256_of, write_json

SUMS = "sums.json"
NOTE = "note.json"
END = 4096


def sealed_files(folder: Path) -> list[Path]:
    """The files that belong to the folder's sums: no hidden ones, no note, none of a folder with sums of its own."""
    found: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in (SUMS, NOTE):
            continue
        if path.is_dir():
            if not (path / SUMS).is_file():
                found += sealed_files(path)
        elif path.is_file():
            found.append(path)
    return found


def ends_of(path: Path) -> str:
    """Hex sha256 over the first and the last `END` bytes."""
    with path.open("rb") as file:
        digest = hashlib.sha256(file.read(END))
        file.seek(max(0, path.stat().st_size - END))
        digest.update(file.read(END))
    return digest.hexdigest()


def seal(folder: Path, known: Mapping[str, str] | None = None) -> None:
    """Record every file of the folder.

    Args:
        known: hex sha256 by name in the folder of files that were summed just now, so that they are not read again.
    """
    files = {}
    for path in sealed_files(folder):
        name = str(path.relative_to(folder))
        files[name] = _facts(path, (known or {}).get(name))
    _write(folder, files)


def _facts(path: Path, sha256: str | None = None) -> dict[str, Any]:
    """What is recorded of one file; its sum is not worked out again where it is known."""
    return {"bytes": path.stat().st_size, "ends": ends_of(path), "sha256": sha256 or sha256_of(path)}


def _write(folder: Path, files: dict[str, Any]) -> None:
    write_json(folder / SUMS, {"files": files, "sha256": _own_sum(files)})


def record(folder: Path, written: Iterable[Path]) -> None:
    """Record files that were just written into a folder that is sealed; what is recorded of the others stays.

    Sums that cannot be read stay as they are: `problems` tells of them.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # two processes that measure the same run take turns
        with suppress(CorruptFileError):
            if (files := read_sums(folder)) is not None:
                _write(folder, files | {str(path.relative_to(folder)): _facts(path) for path in written})
    finally:
        os.close(descriptor)


def unseal(folder: Path) -> None:
    """Forget the sums of a folder that is about to change."""
    (folder / SUMS).unlink(missing_ok=True)


def _own_sum(files: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def read_sums(folder: Path) -> dict[str, dict[str, Any]] | None:
    """The recorded files; None where the folder was never sealed.

    Raises:
        CorruptFileError: the sums themselves were changed.
    """
    if not (folder / SUMS).is_file():
        return None
    found = read_json(folder / SUMS)
    files = found.get("files") if isinstance(found, dict) else None
    if not isinstance(files, dict) or found.get("sha256") != _own_sum(files):
        raise CorruptFileError(f"{folder / SUMS} was changed", hint="compare with a copy; `repair` writes it anew")
    return files


def problems(folder: Path, *, full: bool) -> list[dict[str, str]]:
    """What differs from the sums: `file` and `problem` (missing, another size, changed).

    Args:
        folder: sealed, else nothing is known of it.
        full: read every byte; else sizes and both ends.
    """
    try:
        recorded = read_sums(folder)
    except CorruptFileError as error:
        return [{"file": SUMS, "problem": error.message}]
    if recorded is None:
        return []
    found = []
    for name, facts in recorded.items():
        path = folder / name
        if name == NOTE:  # recorded by versions before 0.3
            continue
        if not path.is_file():
            found.append({"file": name, "problem": "is missing"})
        elif path.stat().st_size != facts["bytes"]:
            words = f"has {path.stat().st_size:,} bytes, {facts['bytes']:,} were recorded"
            found.append({"file": name, "problem": words})
        elif (sha256_of(path) != facts["sha256"]) if full else (ends_of(path) != facts["ends"]):
            found.append({"file": name, "problem": "was changed"})
    return found


def require_whole(folder: Path, what: str) -> None:
    """Refuse a folder whose files are not those that were recorded, by sizes and ends.

    Raises:
        CorruptFileError: naming the first file.
    """
    found = problems(folder, full=False)
    if found:
        raise CorruptFileError(
            f"{what}: {folder / found[0]['file']} {found[0]['problem']}",
            hint="`verify` reads everything, `repair` makes again what can be derived",
        )
