"""Files that come in through a page: kept in a folder of the workspace only until they are imported.

Data, import. The page writes the folder, in blocks and within limits; the import, a process of its own, takes it: it
holds the folder, speaks of the files by the names that they were uploaded with, and removes it at its end.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ...errors import ConfigError, InvalidDataError, ResourceError, SeminarError
from ...files import held, read_json, write_json
from ...workspace import Workspace
from ..stages import remove
from ..table_files import ENDINGS

PREFIX = ".upload-"
NAMES = "names.json"
BLOCK = 1 << 20


class Uploaded(Protocol):
    """What a file uploader returns: a name, a size, and bytes to read from the start."""

    name: str
    size: int

    def seek(self, place: int, /) -> int: ...

    def read(self, size: int = ..., /) -> bytes: ...


@dataclass(frozen=True)
class UploadLimits:
    """What one upload may bring and its import may use; each has a variable of the server's environment.

    Fields:
        size_mb: of its files together (`SEMINAR_UPLOAD_MB`).
        rows: of one file (`SEMINAR_UPLOAD_ROWS`).
        memory_mb: of the import's process (`SEMINAR_UPLOAD_MEMORY_MB`).
        seconds: that it may take (`SEMINAR_UPLOAD_SECONDS`).
    """

    size_mb: int = 500
    rows: int = 20_000_000
    memory_mb: int = 2_000
    seconds: int = 1_800

    @classmethod
    def of_environment(cls) -> UploadLimits:
        """The limits that the environment sets, and the defaults of the others."""
        names = {
            "size_mb": "SEMINAR_UPLOAD_MB",
            "rows": "SEMINAR_UPLOAD_ROWS",
            "memory_mb": "SEMINAR_UPLOAD_MEMORY_MB",
            "seconds": "SEMINAR_UPLOAD_SECONDS",
        }
        return cls(**{name: whole_number(variable) for name, variable in names.items() if os.environ.get(variable)})

    def words(self) -> list[str]:
        """The limits as options of `import`."""
        of_import = {"rows": self.rows, "memory-mb": self.memory_mb, "seconds": self.seconds}
        return [word for name, value in of_import.items() for word in (f"--most-{name}", str(value))]


def whole_number(variable: str) -> int:
    """The positive whole number that a variable of the environment holds.

    Raises:
        ConfigError: it holds something else.
    """
    text = os.environ[variable]
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise ConfigError(f"{variable} is {text!r}, expected a whole number from 1", hint=f"set {variable}=1000")
    return int(text)


def keep_upload(workspace: Workspace, files: Mapping[str, Uploaded | None], limits: UploadLimits) -> Path:
    """Write uploaded files into a new folder of the workspace as a `table`; `files` has `events` and `items`.

    Raises:
        InvalidDataError: the ending of a file is none that an import reads.
        ResourceError: they are larger than they may be, or than the disk has room for.
    """
    given = {stem: file for stem, file in files.items() if file is not None}
    endings = {stem: ending_of(file.name) for stem, file in given.items()}
    size = sum(file.size for file in given.values())
    refuse_large(workspace, size, limits)
    folder = workspace.root / f"{PREFIX}{uuid.uuid4().hex[:8]}"
    folder.mkdir(parents=True, mode=0o700)
    kept = False
    try:
        with held(folder):
            for stem, file in given.items():
                file.seek(0)
                with (folder / f"{stem}{endings[stem]}").open("wb") as out:
                    shutil.copyfileobj(file, out, BLOCK)
            write_json(folder / NAMES, {f"{stem}{endings[stem]}": file.name for stem, file in given.items()})
        kept = True
    finally:
        if not kept:
            remove(folder)
    return folder


def ending_of(name: str) -> str:
    """The ending of a file name among those that an import reads, the longest that fits.

    Raises:
        InvalidDataError: there is none.
    """
    fitting = [ending for ending in ENDINGS if name.lower().endswith(ending)]
    if not fitting:
        raise InvalidDataError(
            f"{name} ends in none of {', '.join(ENDINGS)}", hint="save it as CSV or Parquet and upload it"
        )
    return max(fitting, key=len)


def refuse_large(workspace: Workspace, size: int, limits: UploadLimits) -> None:
    """Raise for an upload of more bytes than it may have, or than the disk can hold twice.

    Raises:
        ResourceError: with both numbers.
    """
    if size > limits.size_mb * 1_000_000:
        raise ResourceError(
            f"the upload has {size / 1e6:,.1f} MB, at most {limits.size_mb:,} MB may be uploaded",
            hint="import it with the command line, or let SEMINAR_UPLOAD_MB (and server.maxUploadSize) allow more "
            "where the server is started",
        )
    there = next(path for path in (workspace.root, *workspace.root.parents) if path.exists())
    if (free := shutil.disk_usage(there).free) < 2 * size:
        raise ResourceError(
            f"the upload has {size / 1e6:,.1f} MB, the disk of the workspace has {free / 1e6:,.1f} MB free",
            hint="free space there: an import needs about twice the size of its files",
        )


def is_upload(workspace: Workspace, path: Path) -> bool:
    """Whether a path is the folder of an upload."""
    return path.name.startswith(PREFIX) and path.absolute().parent == workspace.root


def uploaded_names(folder: Path) -> dict[str, str]:
    """File in an upload's folder -> the name that it was uploaded with."""
    path = folder / NAMES
    return {str(file): str(name) for file, name in read_json(path).items()} if path.is_file() else {}


def origin_of(workspace: Workspace, path: Path) -> dict[str, Any]:
    """What the manifest of an upload says of its source: no path of the server. Empty for other sources."""
    if not is_upload(workspace, path):
        return {}
    return {"path": ", ".join(uploaded_names(path).values()), "uploaded": True}


@contextmanager
def taken(workspace: Workspace, path: Path) -> Iterator[None]:
    """What the import of an upload stands in; other paths are left alone.

    The folder is held, errors name its files as they were uploaded, and it is gone when the block ends.
    """
    if not (is_upload(workspace, path) and path.is_dir()):
        yield
        return
    names = uploaded_names(path)
    try:
        with held(path):
            yield
    except SeminarError as error:
        for file, name in names.items():
            error.message = error.message.replace(str(path / file), name)
            error.hint = error.hint.replace(str(path / file), name)
        error.message = error.message.replace(str(path), "the upload")
        raise
    finally:
        remove(path)


_HELD: list[int] = []
"""Descriptors of uploads that this process holds until it ends."""


def hold_upload(workspace: Workspace, paths: Iterable[Path]) -> None:
    """Let this process hold the uploads among `paths` until it ends, so that no janitor takes them while it waits."""
    for path in paths:
        if is_upload(workspace, path) and path.is_dir():
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            _HELD.append(descriptor)
