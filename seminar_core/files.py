"""Files that are never half-written: atomic JSON, atomic directories, append-only lines; and locks between processes.

Foundation. A reader sees either the old content or the new, never a mixture: everything is written beside its place and
renamed into it. Interrupted writers leave only a `.partial-*` sibling; that of a directory, which may be large, is
removed by the next writer of the same name.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import hashlib
import json
import math
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from .errors import CorruptFileError, ExistsError, GoneError, MissingFileError, NotReadyError, SeminarError

if TYPE_CHECKING:
    import numpy as np


T = TypeVar("T")
TRIES, PAUSE_S = 20, 0.01
"""How often a directory is read that is replaced meanwhile, and the pause before it is read again."""
YOUNG_S = 60  # a directory that was made this moment may not be held yet


def plain(value: Any) -> Any:
    """Turn NumPy scalars and arrays, paths and dataclass-like values into JSON types; NaN and infinity become null."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_json(path: Path, value: Any, *, grow: bool = True) -> None:
    """Write `value` as JSON at `path` by rename.

    Args:
        path: of the file.
        value: what it is to hold.
        grow: make missing directories; a long work's files go without, so that what was moved or deleted under it
            does not come back as a ghost.
    """
    if grow:
        path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{uuid.uuid4().hex[:8]}-{path.name}")
    partial.write_text(json.dumps(plain(value), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, path)


def read_json(path: Path) -> Any:
    """Read JSON at `path`.

    Raises:
        MissingFileError: nothing is there.
        CorruptFileError: it is not JSON.
    """
    if not path.is_file():
        raise MissingFileError(f"{path} does not exist", hint="make it first, or check the name")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CorruptFileError(f"{path} is not readable JSON: {error}", hint="delete it and make it again") from error


def append_line(path: Path, value: dict[str, Any]) -> None:
    """Append one JSON line and hand it to the operating system at once; a line that a full disk cut short is ended."""
    with path.open("ab+") as file:
        cut_short = False
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            cut_short = file.read(1) != b"\n"
        file.write(b"\n" * cut_short + json.dumps(plain(value), ensure_ascii=False).encode() + b"\n")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read a JSON-lines file; a line cut short by a crash or a full disk is left out, a missing file is empty."""
    return whole_lines(path.read_bytes()) if path.is_file() else []


def whole_lines(text: bytes) -> list[dict[str, Any]]:
    """Lines of JSON without those that were cut short."""
    rows = []
    for line in text.splitlines():
        with suppress(json.JSONDecodeError, UnicodeDecodeError):
            rows.append(json.loads(line))
    return rows


def as_os_error(error: Exception, path: Path) -> OSError:
    """The error of a writer that tells the operating system's number in words alone, as `OSError` with that number.

    safetensors says "(os error 28)" in a class of its own; NumPy says "8 requested and 4 written" when a disk is full.
    """
    text = str(error)
    if found := re.search(r"os error (\d+)", text):
        number = int(found.group(1))
    elif re.search(r"\d+ requested and \d+ written", text):
        number = errno.ENOSPC
    else:
        return OSError(f"{path}: {text}")
    return OSError(number, os.strerror(number), str(path))


@contextmanager
def held(path: Path) -> Iterator[Path]:
    """Hold a directory until the block ends or the process does, where the file system knows locks."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield path
    finally:
        os.close(descriptor)


def is_free(path: Path) -> bool:
    """Whether no living process holds a directory; not where the file system cannot tell."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _remove_leftovers(path: Path) -> None:
    """Remove what killed writers of the directory `path` left beside it."""
    name = glob.escape(path.name)
    for left in (*path.parent.glob(f".partial-????????-{name}"), *path.parent.glob(f".partial-????????-old-{name}")):
        with suppress(OSError):  # its writer, or another one, was faster
            if time.time() - left.stat().st_mtime > YOUNG_S and is_free(left):
                shutil.rmtree(left, ignore_errors=True)


@contextmanager
def atomic_directory(path: Path, *, replace: bool = False, grow: bool = True) -> Iterator[Path]:
    """Yield a new empty directory that becomes `path` when the block ends well, and vanishes when it does not.

    The directories above are made where they are missing, unless `grow` is false. What killed writers left is removed.

    Raises:
        ExistsError: `path` exists and `replace` is false.
    """
    if path.exists() and not replace:
        raise ExistsError(f"{path.name} exists already", hint="choose another name or ask to replace it")
    if grow:
        path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{uuid.uuid4().hex[:8]}-{path.name}")
    partial.mkdir()
    try:
        with held(partial):
            yield partial
            if path.exists():
                old = path.with_name(f".partial-{uuid.uuid4().hex[:8]}-old-{path.name}")
                os.replace(path, old)
                os.replace(partial, path)
                shutil.rmtree(old, ignore_errors=True)
            else:
                os.replace(partial, path)
        _remove_leftovers(path)
    except OSError as error:
        if error.errno is not None:
            raise
        raise as_os_error(error, path) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


class HeldDirectory:
    """A directory that one process writes into for a long time, by its path; tells whether it still lies there.

    Args:
        path: of the directory.
        what: it is, in words.
        hint: what to do when it has gone.
    """

    def __init__(self, path: Path, what: str, hint: str):
        self.path, self.what, self.hint = path, what, hint
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)

    def error(self) -> GoneError | None:
        """The error to end with when it was moved or deleted; None while it lies where it did."""
        held = os.fstat(self._descriptor)
        try:
            there = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            there = None
        if there is not None and (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino):
            return None
        now = self.present()
        fate = "deleted" if now is None else f"moved to {now}"
        return GoneError(f"{self.what} {self.path} was {fate} while it was written into", hint=self.hint)

    def check(self) -> None:
        """Raise when it has gone.

        Raises:
            GoneError: it was moved or deleted.
        """
        if (error := self.error()) is not None:
            raise error

    def present(self) -> Path | None:
        """Where it lies now; None when it was deleted, or where the system cannot tell (no /proc)."""
        try:
            now = Path(os.readlink(f"/proc/self/fd/{self._descriptor}"))
            there, held = now.stat(), os.fstat(self._descriptor)
        except OSError:
            return None
        return now if (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino) else None


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock file `path` exclusively inside the block; other processes wait. It goes when the process does.

    Raises:
        BlockingIOError: another process holds it, and it was not to be waited for.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


def settled(mark: Path, read: Callable[[], T]) -> T:
    """What `read` finds in a directory, all of one and the same: read again when a writer replaced it meanwhile.

    Replacing is two renames: between them the directory is missing, and what was being read is removed after them.

    Args:
        mark: a small file in the directory that tells one version of it from the next.
        read: reads what is wanted; its errors count where nobody replaced the directory.

    Raises:
        NotReadyError: it was replaced during every try.
    """
    for tries in range(TRIES):
        before = _content(mark)
        try:
            found = read()
        except (SeminarError, OSError):
            if before == _content(mark) and (before is not None or tries):
                raise
        else:
            if before == _content(mark):
                return found
        time.sleep(PAUSE_S)
    raise NotReadyError(
        f"{mark.parent} was replaced {TRIES} times while it was read",
        hint="ask again once the one who writes it has ended; of a checkpoint, or train with a larger evaluate_every",
    )


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def mapped_table(file: BinaryIO, shape: tuple[int, ...], offset: int = 0) -> np.ndarray:
    """An empty float32 table in an open file, as a memory map.

    The room is taken on disk at once: writing through a map into a full disk would end the process without a word.

    Raises:
        OSError: the disk has no room for it.
    """
    import numpy as np  # most of what reads this file needs none: a waiting job is to stay small

    os.posix_fallocate(file.fileno(), offset, 4 * math.prod(shape))
    return np.asarray(np.memmap(file, np.float32, "r+", offset, shape))


def guarded(text: str) -> str:
    """Text for a cell of a CSV: with a `'` before it where a spreadsheet would run it as a formula.

    That is what begins with `=`, `+`, `-`, `@`, a tab or a return and is no number.
    """
    if not text.startswith(("=", "+", "-", "@", "\t", "\r")):
        return text
    try:
        float(text)
    except ValueError:
        return "'" + text
    return text


def sha256_of(*paths: Path) -> str:
    """Hex sha256 over the contents of `paths`, in the given order."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
