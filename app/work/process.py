"""Inside a process beside the server: runs one task, writes how far it is, and ends with the server."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from seminar_core.errors import SeminarError

Task = Callable[..., Any]
NICENESS = 5  # pages come before what runs behind them
EVERY_S = 0.2
WATCH_S = 1.0


def begin(server: int) -> None:
    """First thing in a process: step back behind the server, and end when process `server` has ended."""
    if hasattr(os, "nice"):
        os.nice(NICENESS)

    def watch() -> None:
        while os.getppid() == server:
            time.sleep(WATCH_S)
        os._exit(1)

    threading.Thread(target=watch, name="watch-server", daemon=True).start()


class Note:
    """How far a task is, in a small file that the server reads when somebody looks.

    A task goes on where it cannot be written: /tmp was swept, the disk is full.
    """

    def __init__(self, path: Path):
        self.path, self._written_s = path, 0.0

    def __call__(self, done: int, total: int, message: str) -> None:
        now = time.monotonic()
        if now - self._written_s < EVERY_S and done < total:
            return
        self._written_s = now
        partial = self.path.with_suffix(".partial")
        with suppress(OSError):
            self.path.parent.mkdir(mode=0o700, exist_ok=True)
            partial.write_text(json.dumps([done, total, message]), encoding="utf-8")
            os.replace(partial, self.path)


def work(task: Task, arguments: tuple[Any, ...], note: str) -> tuple[Any, dict[str, str] | None]:
    """The task's answer, or what was wrong as `SeminarError.as_dict` says it."""
    try:
        return task(*arguments, progress=Note(Path(note))), None
    except SeminarError as error:
        return None, error.as_dict()


def in_words(error: BaseException) -> str:
    """An error's kind and its first line."""
    return ": ".join([type(error).__name__, *str(error).strip().splitlines()[:1]])
