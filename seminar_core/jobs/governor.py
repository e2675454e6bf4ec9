"""A command in a supervised child: how much memory and time it may use, and what is said when it dies.

Background jobs. The child is a process of its own, so that a file that makes an import grow without bound costs neither
the server nor the job that waits for it. It is watched from outside (private memory of the process, by psutil, twenty
times a second) and killed at its limit: nothing inside a parser has to agree. It ends with its parent, and where the
machine runs out of memory the kernel takes it first.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from ..errors import ChildDiedError, RelayedError, ResourceError
from ..processes import PARENT
from ..progress import Progress
from .engines import runner_environment

log = logging.getLogger(__name__)

POLL_S = 0.05
REPORTED = re.compile(r"(?P<message>.*): (?P<done>\d+)/(?P<total>\d+)")
"""A line of progress, as `cli.main.report_progress` writes it."""
KILL_FIRST = 600
"""Added to the kernel's score (0 to 1000) by which it chooses whom to kill when memory runs out."""


@dataclass(frozen=True)
class Bounds:
    """What a child may use; None = no bound.

    Fields:
        memory_mb: private memory of its process, in 10^6 bytes.
        seconds: from its start.
    """

    memory_mb: int | None = None
    seconds: int | None = None


class Heard:
    """What a child says on standard error: its last progress; other lines go on to ours."""

    def __init__(self, stream: IO[str]):
        self.done, self.total, self.message = 0, 100, "starting"
        self._thread = threading.Thread(target=self._listen, args=(stream,), name="child's words", daemon=True)
        self._thread.start()

    def _listen(self, stream: IO[str]) -> None:
        for line in stream:
            found = REPORTED.fullmatch(line.strip())
            if found is None:
                sys.stderr.write(line)
            else:
                self.message = found["message"]
                self.done, self.total = int(found["done"]), int(found["total"])

    def close(self) -> None:
        """Wait for the last line."""
        self._thread.join(timeout=5)


def supervised(words: list[str], what: str, bounds: Bounds, progress: Progress) -> dict[str, Any]:
    """Carry out `words`, a command line without the program, in a child within `bounds`; its answer.

    Args:
        words: the command and its options, `--workspace` among them, without `--json`.
        what: is done, for messages, such as "the import of 'x'".
        bounds: of the child.
        progress: called with what the child reports; may raise, which ends the child.

    Raises:
        ResourceError: it went over a bound.
        ChildDiedError: it was ended by somebody else, or said nothing.
        RelayedError: the command answered with an error.
    """
    threads = int(os.environ.get("OMP_NUM_THREADS") or 1)
    environment = runner_environment(threads) | {PARENT: str(os.getpid())}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as answer:
        child = subprocess.Popen(
            [sys.executable, "-m", "seminar_core", words[0], "--json", *words[1:]],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=answer,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        assert child.stderr is not None
        heard = Heard(child.stderr)
        try:
            peak_mb = _watch(child, heard, what, bounds, progress)
        finally:
            if child.poll() is None:
                child.kill()
            child.wait()
            heard.close()
            child.stderr.close()
        answer.seek(0)
        return _answer(child, answer.read(), what, heard, peak_mb)


def _watch(child: subprocess.Popen[str], heard: Heard, what: str, bounds: Bounds, progress: Progress) -> float:
    """Wait for the child's end; the most memory that it was seen with, in MB."""
    started, peak_mb = time.monotonic(), 0.0
    with suppress(OSError):  # it may have ended already, or the system has no such score
        Path(f"/proc/{child.pid}/oom_score_adj").write_text(str(KILL_FIRST), encoding="ascii")
    while child.poll() is None:
        peak_mb = max(peak_mb, private_mb(child.pid))
        if bounds.memory_mb is not None and peak_mb > bounds.memory_mb:
            raise ResourceError(
                f"{what} was stopped: it used {peak_mb:,.0f} MB of memory, at most {bounds.memory_mb:,} MB may be used",
                hint="bring fewer rows or shorter texts at once, or allow more: --most-memory-mb, for uploads "
                "SEMINAR_UPLOAD_MEMORY_MB where the server is started",
            )
        if bounds.seconds is not None and time.monotonic() - started > bounds.seconds:
            raise ResourceError(
                f"{what} was stopped: it took longer than the {bounds.seconds:,} s that it may take",
                hint="bring fewer rows at once, or allow more: --most-seconds, for uploads SEMINAR_UPLOAD_SECONDS "
                "where the server is started",
            )
        progress(heard.done, heard.total, heard.message)
        time.sleep(POLL_S)
    return peak_mb


def private_mb(pid: int) -> float:
    """Memory in MB that is the process's own, without the pages of files that it maps; 0 when it has gone."""
    try:
        facts = psutil.Process(pid).memory_info()
    except psutil.Error:
        return 0.0
    return float(facts.rss - getattr(facts, "shared", 0)) / 1e6


def _answer(child: subprocess.Popen[str], text: str, what: str, heard: Heard, peak_mb: float) -> dict[str, Any]:
    lines = [line for line in text.splitlines() if line.startswith("{")]
    if not lines:
        raise ChildDiedError(
            f"{what} failed: its process {child.pid} {ended_by(child.returncode)} at {heard.message!r} "
            f"({heard.done} of {heard.total}), last seen with {peak_mb:,.0f} MB of memory; the data set is as it was",
            hint="the machine may have run out of memory: close other programs or bring fewer rows, then try again",
        )
    found: dict[str, Any] = json.loads(lines[-1])
    if "error" in found:
        raise RelayedError(**found["error"])
    return found


def ended_by(code: int) -> str:
    """The end of a process in words: the signal that ended it, or its exit status."""
    if code >= 0:
        return f"ended without an answer (status {code})"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name} (signal {-code})"
    return f"was ended by signal {-code}"
