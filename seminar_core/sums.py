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
    """Record every file of the folder, and which folders in it have sums of their own.

    Args:
        known: hex sha256 by name in the folder of files that were summed just now, so that they are not read again.
    """
    files = {}
    for path in sealed_files(folder):
        name = str(path.relative_to(folder))
        files[name] = _facts(path, (known or {}).get(name))
    _write(folder, files, [str(inner.relative_to(folder)) for inner in sealed_folders(folder) if inner != folder])


def sealed_folders(folder: Path) -> list[Path]:
    """Every folder with sums, `folder` and what lies in it; no hidden ones."""
    found = {path.parent for path in folder.rglob(SUMS)}
    return sorted(p for p in found if not any(part.startswith(".") for part in p.relative_to(folder).parts))


def _facts(path: Path, sha256: str | None = None) -> dict[str, Any]:
    """What is recorded of one file; its sum is not worked out again where it is known."""
    return {"bytes": path.stat().st_size, "ends": ends_of(path), "sha256": sha256 or sha256_of(path)}


def _write(folder: Path, files: dict[str, Any], folders: list[str]) -> None:
    content: dict[str, Any] = {"files": files} | ({"folders": folders} if folders else {})
    write_json(folder / SUMS, content | {"sha256": _own_sum(content)})


def record(folder: Path, written: Iterable[Path]) -> None:
    """Record files that were just written into a folder that is sealed; what is recorded of the others stays.

    Sums that cannot be read stay as they are: `problems` tells of them.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # two processes that measure the same run take turns
        with suppress(CorruptFileError):
            if (content := _read(folder)) is not None:
                files = content["files"] | {str(path.relative_to(folder)): _facts(path) for path in written}
                _write(folder, files, content.get("folders", []))
    finally:
        os.close(descriptor)


def unseal(folder: Path) -> None:
    """Forget the sums of a folder that is about to change."""
    (folder / SUMS).unlink(missing_ok=True)


def _own_sum(content: dict[str, Any]) -> str:
    """Over what is recorded; where no folder is, over the files alone, as it was before folders were recorded."""
    covered = content if content.get("folders") else content["files"]
    return hashlib.sha256(json.dumps(covered, sort_keys=True).encode()).hexdigest()


def read_sums(folder: Path) -> dict[str, dict[str, Any]] | None:
    """The recorded files; None where the folder was never sealed.

    Raises:
        CorruptFileError: the sums themselves were changed.
    """
    content = _read(folder)
    return None if content is None else content["files"]


def _read(folder: Path) -> dict[str, Any] | None:
    """What was recorded, checked: `files`, and `folders` where there are some."""
    if not (folder / SUMS).is_file():
        return None
    content = read_json(folder / SUMS)
    own = content.pop("sha256", None) if isinstance(content, dict) else None
    if own is None or not isinstance(content.get("files"), dict) or own != _own_sum(content):
        raise CorruptFileError(
            f"{folder / SUMS} was changed", hint="`repair` writes it anew where the files are still those it names"
        )
    return content


def renew(folder: Path) -> bool:
    """Write sums that were changed anew, where every file that they name is still of the sum that they give.

    Returns:
        Whether that was so; else nothing can say which of the two was changed, and nothing is.
    """
    try:
        content = read_json(folder / SUMS)
        files, folders = content["files"], content.get("folders", [])
        whole = all(sha256_of(folder / name) == facts["sha256"] for name, facts in files.items())
        if not whole or any(not (folder / name / SUMS).is_file() for name in folders):
            return False
        _write(folder, {name: _facts(folder / name) for name in files}, list(folders))
    except (CorruptFileError, OSError, KeyError, TypeError, AttributeError):
        return False
    return True


def problems(folder: Path, *, full: bool) -> list[dict[str, str]]:
    """What differs from the sums: `file` and `problem` (missing, another size, changed).

    Args:
        folder: sealed, else nothing is known of it.
        full: read every byte; else sizes and both ends.
    """
    try:
        recorded = _read(folder)
    except CorruptFileError as error:
        return [{"file": SUMS, "problem": error.message.removeprefix(f"{folder / SUMS} ")}]
    if recorded is None:
        return []
    differing = []
    for name, facts in recorded["files"].items():  # a note was recorded by versions before 0.3
        if name != NOTE and (problem := _difference(folder / name, facts, full)):
            differing.append({"file": name, "problem": problem})
    for name in recorded.get("folders", []):
        if not (folder / name / SUMS).is_file():
            gone = name if not (folder / name).is_dir() else f"{name}/{SUMS}"
            differing.append({"file": gone, "problem": "is missing"})
    return differing


def _difference(path: Path, facts: dict[str, Any], full: bool) -> str | None:
    """How a file differs from what was recorded of it; None where it does not."""
    if not path.is_file():
        return "is missing"
    if (size := path.stat().st_size) != facts["bytes"]:
        return f"has {size:,} bytes, {facts['bytes']:,} were recorded"
    same = sha256_of(path) == facts["sha256"] if full else ends_of(path) == facts["ends"]
    return None if same else "was changed"


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
