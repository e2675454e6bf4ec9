"""Answers by key: the newest in memory, all on disk up to a bound; the oldest go first.

A key is a digest of what was asked and of the content it was asked of, so an answer is never wrong, only gone. What is
read is shared by all sessions: nobody changes it.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Any

from seminar_core.errors import CorruptFileError, MissingFileError
from seminar_core.files import plain, read_json, write_json

log = logging.getLogger(__name__)

MOST_ON_DISK = 256 << 20
MOST_IN_MEMORY = 48 << 20


class Kept:
    """Answers in `folder`, each one JSON file.

    Args:
        folder: made when the first is kept.
        also: more of them, which are only read.
        most_on_disk, most_in_memory: bytes, as JSON.
    """

    def __init__(
        self,
        folder: Path,
        *,
        also: Path | None = None,
        most_on_disk: int = MOST_ON_DISK,
        most_in_memory: int = MOST_IN_MEMORY,
    ):
        self.also = also
        self.folder, self.most_on_disk, self.most_in_memory = folder, most_on_disk, most_in_memory
        self._written = most_on_disk  # since files were counted last; the first that is written counts them
        self._memory: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> dict[str, Any] | None:
        """`{"answer": ...}`, or None where it is not kept; a damaged file is not kept either, and goes."""
        with self._lock:
            if key in self._memory:
                self._memory.move_to_end(key)
                return self._memory[key][0]
        held = self._read(self.folder / f"{key}.json")
        if held is None and self.also is not None and (self.also / f"{key}.json").is_file():
            held = read_json(self.also / f"{key}.json")
            self._remember(key, held, (self.also / f"{key}.json").stat().st_size)
        return held

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            held = read_json(path)
            size = path.stat().st_size
        except (MissingFileError, FileNotFoundError):
            return None
        except CorruptFileError:
            held = None
        whole = isinstance(held, dict) and "answer" in held
        with suppress(OSError):  # a workspace that can only be read is read all the same
            os.utime(path) if whole else path.unlink()
        if not whole:
            return None
        self._remember(path.stem, held, size)
        return held

    def put(self, key: str, answer: Any) -> Any:
        """Keep an answer and return it as it will be read."""
        held = {"answer": plain(answer)}
        path = self.folder / f"{key}.json"
        try:
            write_json(path, held)
            size = path.stat().st_size
            self._written += size
            if self._written > self.most_on_disk // 64:  # a look at every file: not each time one is written
                self._written = 0
                drop_oldest(self.folder, self.most_on_disk, "*.json")
        except OSError as error:  # a full or read-only disk: what was worked out is shown all the same
            log.warning("%s was not kept: %s", path, error)
            size = len(json.dumps(held))
        self._remember(key, held, size)
        return held["answer"]

    def _remember(self, key: str, held: Any, size: int) -> None:
        with self._lock:
            self._memory[key] = (held, size)
            self._memory.move_to_end(key)
            total = sum(size for _, size in self._memory.values())
            while total > self.most_in_memory and self._memory:
                total -= self._memory.popitem(last=False)[1][1]


def drop_oldest(folder: Path, most_bytes: int, pattern: str = "*") -> None:
    """Delete files and folders in `folder`, those longest unused first, until what is left fits into `most_bytes`."""
    found = []
    for path in folder.glob(pattern):
        with suppress(FileNotFoundError):  # another process tidies up too
            files = [path] if path.is_file() else list(path.rglob("*"))
            found.append((path.stat().st_mtime, sum(file.stat().st_size for file in files), path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= most_bytes:
            return
        total -= size
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
