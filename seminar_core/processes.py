"""Which process is meant: an identity that neither a process id used again nor a step of the clock can confuse.

Foundation. A process id alone is used again, and a start time in seconds is made from the clock, so that it moves when
the clock is set. The kernel's own answer does not: the boot it belongs to, and the ticks after it (proc(5), field 22).
"""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import psutil

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PARENT = "SEMINAR_PARENT"
"""Name in the environment of a child that is to end with its parent: the parent's process id."""
WATCH_S = 0.5
STARTED, STATE = 19, 0
"""Places in /proc/PID/stat behind the command's name, which may hold anything."""


def process_identity(pid: int) -> str | None:
    """Boot and start ticks of process `pid`; None when it is gone or a zombie.

    Where the system has no /proc, the start time in seconds stands in.
    """
    if not BOOT_ID.is_file():
        return _identity_by_time(pid)
    try:
        facts = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    gone = facts[STATE] in ("Z", "X")
    return None if gone else f"{BOOT_ID.read_text(encoding='ascii').strip()}+{facts[STARTED]}"


def _identity_by_time(pid: int) -> str | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None


def is_same_process(pid: object, identity: object) -> bool:
    """Whether the process with that id and identity still runs on this machine; False for what is no id at all."""
    return isinstance(pid, int) and pid > 0 and identity is not None and process_identity(pid) == identity


def end_with_parent() -> None:
    """Where this process was started as a child that is to end with its parent, see to it from now on."""
    told = os.environ.pop(PARENT, "")
    if told.isdecimal():
        threading.Thread(target=_watch_parent, args=(int(told),), name="parent", daemon=True).start()


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_S)
    os.kill(os.getpid(), signal.SIGKILL)
