"""One slot per device: jobs queue for it in order of arrival, without any server.

Training, background jobs. A waiting or running job holds a *ticket*, a numbered file under
`jobs/.slots/<host>-<device>/` that its process keeps locked (`flock`). The kernel drops the lock when the process dies,
however it dies: a ticket whose lock can be taken belongs to nobody and is swept away. The live ticket with the lowest
number has the device.
"""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path
from typing import IO

from ..files import locked

DEVICE_COMMANDS = ("pretrain", "finetune", "evaluate", "reproduce")
"""Commands that take `--device`; all others work on the CPU."""


def slot_name(command: str, device: str) -> str:
    """The device whose slot a job queues for: `cpu`, `cuda:N`, or `disk` for imports, which wait for no training.

    Cheap, so torch is not asked.
    """
    if command == "import":
        return "disk"
    if command not in DEVICE_COMMANDS or device == "cpu":
        return "cpu"
    if device == "auto":
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
        return "cuda:0" if Path("/dev/nvidia0").exists() and not hidden else "cpu"
    return device if ":" in device else f"{device}:0"


def slot_names(command: str, device: str, processes: int) -> list[str]:
    """The devices of a job of several processes, in the order in which it queues for them: a GPU for each, one CPU."""
    first = slot_name(command, device)
    kind, _, number = first.partition(":")
    return [first] if kind in ("cpu", "disk") else [f"{kind}:{int(number) + i}" for i in range(processes)]


def is_held(path: Path) -> bool:
    """Whether a living process keeps `path` locked."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


class Ticket:
    """This process's place in the queue of one device; kept until `release` or the process's end."""

    def __init__(self, slots: Path, device: str, job: str):
        self.queue = slots / f"{socket.gethostname()}-{device.replace(':', '-')}"
        self.queue.mkdir(parents=True, exist_ok=True)
        with locked(self.queue / "lock"):
            number = 1 + max((int(p.name.partition("-")[0]) for p in self._tickets()), default=0)
            self.path = self.queue / f"{number:012d}-{job}"
            self._file: IO[str] = self.path.open("w")
            fcntl.flock(self._file, fcntl.LOCK_EX)

    def _tickets(self) -> list[Path]:
        return sorted(path for path in self.queue.iterdir() if path.name[0].isdigit())

    def ahead(self) -> list[str]:
        """Names of the living jobs before this one, first in line first; empty means that the device is ours."""
        names = []
        for path in self._tickets():
            if path >= self.path:
                break
            if is_held(path):
                names.append(path.name.partition("-")[2])
            else:
                path.unlink(missing_ok=True)
        return names

    def release(self) -> None:
        """Leave the queue, or give the device back."""
        self.path.unlink(missing_ok=True)
        self._file.close()
