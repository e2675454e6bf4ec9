"""Tasks for the tests of the desk; they leave a file behind for each time that they were begun."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from seminar_core.errors import NotReadyError


def _begun(folder: str) -> int:
    """Notes that a task has begun; how often one has, this time included."""
    (Path(folder) / uuid4().hex).touch()
    return len(list(Path(folder).iterdir()))


def slow(folder: str, seconds: float, *, progress: Any) -> dict[str, int]:
    """Takes its time; answers in which process."""
    _begun(folder)
    steps = max(1, int(seconds / 0.05))
    for step in range(steps):
        progress(step, steps, "counting")
        time.sleep(0.05)
    return {"process": os.getpid()}


def dies(folder: str, times: int, *, progress: Any) -> str:
    """Kills its own process the first `times` times."""
    if _begun(folder) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def refuses(folder: str, *, progress: Any) -> None:
    """Cannot be answered."""
    _begun(folder)
    raise NotReadyError("run 'x' has no codebooks", hint="train them")


def breaks(*, progress: Any) -> None:
    """Has a mistake in it."""
    raise ZeroDivisionError("a mistake of the program")


def unwritable(*, progress: Any) -> dict[str, Any]:
    """Answers with what JSON does not know."""
    return {"answer": object()}


def notes_swept(folder: str, *, progress: Any) -> int:
    """Loses the folder of its progress while it works, as a tidied /tmp does; says how many notes it wrote after."""
    _begun(folder)
    shutil.rmtree(progress.path.parent)
    progress(1, 2, "after the first sweep")
    written = progress.path.is_file()
    shutil.rmtree(progress.path.parent)
    progress.path.parent.write_text("a file stands where the folder was")
    progress(2, 2, "after the second")
    return int(written)
