"""A job seen from inside its own process: takes over the job's directory, waits for the device, reports, obeys, ends.

Training, background jobs. The process writes its own status; a small daemon thread touches the heartbeat every half
second, so that a job inside one long operation still shows that it lives, and ends the process when it did not reach a
safe point within the grace period after being asked to stop. Every way out (done, asked to stop, any error, a full
disk) is recorded with its reason; what cannot be recorded from inside (kill -9) is told by `job_state.true_state`.
"""

from __future__ import annotations

import errno
import fcntl
import importlib.util
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from ..errors import Cancelled, NoMemoryError, PeerError, SeminarError
from ..files import HeldDirectory, write_json
from ..processes import process_identity
from ..progress import reporting_to, silent
from .ranks import (
    PART_S,
    ClusterFollowers,
    Death,
    LocalFollowers,
    begin,
    leave_when_alone,
    looked_up,
    tell,
    wait_for_beginning,
)
from .slots import Ticket, slot_name, slot_names
from .state import (
    GRACE_S,
    TRAININGS,
    JobSpec,
    cancel_age_s,
    read_spec,
    read_status,
    write_status,
)

logger = logging.getLogger(__name__)

BEAT_S = 0.5
RESERVE_BYTES = 65536
"""Kept on disk while the job runs and given up before its last words, so that a full disk can still be reported."""
CLOCK_SLACK_S = 0.1
"""File times come from the kernel's coarse clock, which lags behind `time.time()` by a few milliseconds."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def describe_failure(error: BaseException) -> dict[str, str]:
    """The error as people see it: kind, message, and one suggested change."""
    if isinstance(error, SeminarError):
        return error.as_dict()
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, OSError) and error.errno in FULL:
        return {
            "kind": "disk_full",
            "message": f"could not write{f' {error.filename}' if error.filename else ''}: {error.strerror}",
            "hint": "free some space, then resume: the job continues from its last checkpoint",
        }
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower() or "can't allocate memory" in str(error):
        return {
            "kind": NoMemoryError.kind,
            "message": text.splitlines()[0],
            "hint": "resume with half the batch (jobs resume JOB --smaller-batch), or lower max_length",
        }
    if hasattr(error, "format_message"):
        return {"kind": "usage", "message": error.format_message(), "hint": "see the command's --help"}
    return {"kind": "crash", "message": text.splitlines()[0], "hint": "the last lines of the job's log say where"}


class Eta:
    """Time left, from the speed of the present phase; a phase is one message, whatever it says after a comma or colon.

    The total may move: a training that ends by time says how many steps it will afford at its present pace.
    """

    def __init__(self) -> None:
        self._phase: str | None = None
        self._origin = (0.0, 0)

    def update(self, done: int, total: int, message: str, now: float) -> float | None:
        """Seconds left; None until the phase has moved on."""
        phase = message.split(":")[0].split(",")[0].rstrip("0123456789. ")
        if phase != self._phase or done < self._origin[1]:
            self._phase, self._origin = phase, (now, done)
        since, first = self._origin
        return (now - since) / (done - first) * (total - done) if done > first else None


class JobProcess:
    """Context of one attempt: enters by taking the job over, leaves by recording how it ended."""

    def __init__(self, job_dir: Path, *, grace_s: float = GRACE_S):
        self.job_dir = job_dir
        self.grace_s = grace_s
        self.status = read_status(job_dir)
        self.exit_code = 0
        self._eta = Eta()
        self._terminated = threading.Event()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._write_error: OSError | SeminarError | None = None
        self._tickets: list[Ticket] = []
        self._followers: LocalFollowers | ClusterFollowers | None = None
        self._process = psutil.Process()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> JobProcess:
        hint = "resume the job where it lies now: training continues from its last checkpoint"
        self._held = HeldDirectory(self.job_dir, "the job's directory", hint)
        self._owner = (self.job_dir / "owner.lock").open("a")
        fcntl.flock(self._owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for partial in self.job_dir.glob(".partial-*"):
            partial.unlink(missing_ok=True)
        self.status = replace(
            read_status(self.job_dir),
            state="queued", pid=os.getpid(), pid_identity=process_identity(os.getpid()), host=socket.gethostname(),
            step=0, steps=None, message="starting", eta_s=None, started_s=None, ended_s=None, error=None,
        )  # fmt: skip
        self.status.attempt += 1
        (self.job_dir / "heartbeat").touch()
        (self.job_dir / "reserve").write_bytes(b"\0" * RESERVE_BYTES)
        write_status(self.job_dir, self.status)
        signal.signal(signal.SIGTERM, lambda *_: self._terminated.set())
        signal.signal(signal.SIGINT, lambda *_: self._terminated.set())
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._ended.set()
        self._thread.join()
        error = self._held.error() or error
        death = self._death_behind(error)
        if death is not None:
            logger.error("%s", death.as_error()["message"], exc_info=error)
            self._record("failed", death.as_error())
            self.exit_code = 1
        elif error is None:
            self._record("done", None)
        elif isinstance(error, Cancelled) or (isinstance(error, SeminarError) and error.kind == Cancelled.kind):
            self._record("stopped", None)
            self.exit_code = 130
        else:
            logger.error("the job failed", exc_info=(type(error), error, trace))
            self._record("failed", describe_failure(error))
            self.exit_code = 1
        if self._followers is not None:
            self._followers.end(PART_S if error is None else 1.0)
        for ticket in self._tickets:
            ticket.release()
        self._owner.close()
        self._held.close()
        return True

    def _death_behind(self, error: BaseException | None) -> Death | None:
        """What another process died of, when that is what ended this one: here only a connection broke."""
        if error is None or self._followers is None:
            return None
        lost_others = isinstance(error, SeminarError) and error.kind == PeerError.kind
        if isinstance(error, SeminarError) and not lost_others:
            return None
        death = looked_up(self._followers, self.job_dir)
        of_its_own = death is not None and (death.error or {}).get("kind") != PeerError.kind
        return death if of_its_own or lost_others else None

    def lead(self, followers: LocalFollowers | ClusterFollowers) -> None:
        """Several processes carry the job out, of which this is the first."""
        self._followers = followers

    def wait_for_device(self, device: str) -> None:
        """Queue for `device` and return when it is ours.

        Raises:
            Cancelled: asked to stop while waiting.
        """
        if not self._tickets:
            self.status.device = device
        ticket = Ticket(self.job_dir.parent / ".slots", device, self.job_dir.name)
        self._tickets.append(ticket)
        while ahead := ticket.ahead():
            self._update(message=f"waiting for {device}: {len(ahead)} ahead, first {ahead[0]}")
            self.raise_if_asked_to_stop()
            time.sleep(0.2)

    def begin(self, makes_run: bool) -> None:
        """The work itself begins."""
        now = time.time()
        first = self.status.first_started_s or now
        self._update(state="running", started_s=now, first_started_s=first, message="preparing", makes_run=makes_run)
        self._write()

    def made(self, run_dir: Path) -> bool:
        """Whether the run that lies there was made by this job: it was to make it, and has begun before it."""
        card, began = run_dir / "run.json", self.status.first_started_s
        if not self.status.makes_run or began is None or not card.exists():
            return False
        return card.stat().st_mtime >= began - CLOCK_SLACK_S

    def leave(self, run_dir: Path) -> None:
        """The work ends; a run of the name that is made after it came to none is not this job's."""
        if self._held.error() is None:  # else the run was moved along with the job
            self._update(makes_run=self.made(run_dir))

    def progress(self, done: int, total: int, message: str) -> None:
        """Report, and obey: the callback that the job's command calls.

        Raises:
            Cancelled: asked to stop.
            OSError: the status could not be written (a full disk).
        """
        eta_s = self._eta.update(done, total, message, time.monotonic())
        self._update(step=done, steps=total, message=message, eta_s=eta_s)
        self.raise_if_asked_to_stop()

    def raise_if_asked_to_stop(self) -> None:
        """Raise when someone asked, or when the heartbeat could not be written."""
        if self._write_error is not None:
            raise self._write_error
        if self._terminated.is_set() or cancel_age_s(self.job_dir) is not None:
            raise Cancelled("the job was asked to stop", hint="resume it to continue from its last checkpoint")

    def _update(self, **values: Any) -> None:
        with self._lock:
            for key, value in values.items():
                setattr(self.status, key, value)

    def _write(self) -> None:
        with self._lock:
            write_status(self.job_dir, self.status)

    def _measure(self) -> None:
        import sys

        memory = self._process.memory_info().rss / 2**20
        memory += 0.0 if self._followers is None else self._followers.memory_mb()
        values: dict[str, Any] = {"memory_mb": round(memory, 1), "cpu_percent": self._process.cpu_percent()}
        torch = sys.modules.get("torch")
        if torch is not None and getattr(torch, "cuda", None) is not None and torch.cuda.is_initialized():
            values["device_memory_mb"] = round(torch.cuda.memory_allocated() / 2**20, 1)
        self._update(**values)

    def _beat(self) -> None:
        """Touch the heartbeat, write what changed, and enforce the grace period, also after another's death."""
        asked_at: float | None = None
        alone_since: float | None = None
        gone: SeminarError | None = None
        while not self._ended.wait(BEAT_S):
            try:
                self._measure()
                os.utime(self.job_dir / "heartbeat")
                self._write()
            except OSError as error:
                gone = self._held.error()
                self._write_error = gone or error
            if gone is not None or self._terminated.is_set() or cancel_age_s(self.job_dir) is not None:
                asked_at = asked_at or time.monotonic()
                if time.monotonic() - asked_at > self.grace_s and not self._ended.is_set():
                    words = f"ended after {self.grace_s:g} s without reaching a safe point"
                    if gone is None:
                        self._record("stopped", None, words)
                    else:
                        self._record("failed", gone.as_dict(), words)
                    end_all_at_once()
            death = None if self._followers is None else looked_up(self._followers, self.job_dir, 0.0)
            if death is not None:
                alone_since = alone_since or time.monotonic()
                if time.monotonic() - alone_since > self.grace_s and not self._ended.is_set():
                    self._record("failed", death.as_error())
                    end_all_at_once()

    def _record(self, state: str, error: dict[str, str] | None, message: str | None = None) -> None:
        """Write the last status, where the job lies now; the reserve makes room, a full disk gets a few chances."""
        job_dir = self._held.present() or self.job_dir
        (job_dir / "reserve").unlink(missing_ok=True)
        for partial in job_dir.glob(".partial-*"):
            partial.unlink(missing_ok=True)
        message = message or {"done": "done", "stopped": "stopped as asked"}.get(state, "failed")
        self._update(state=state, error=error, ended_s=time.time(), eta_s=None, message=message)
        for chance in range(10):
            try:
                with self._lock:
                    write_status(job_dir, self.status)
                return
            except FileNotFoundError:
                logger.error("the job's directory %s is gone: how it ended is recorded nowhere", job_dir)
                return
            except OSError:
                logger.warning("the last status could not be written, chance %d of 10", chance + 1)
                time.sleep(0.3)


def end_all_at_once() -> None:
    """Kill this process, and its whole group where it leads one."""
    os.kill(0 if os.getpgid(0) == os.getpid() else os.getpid(), signal.SIGKILL)


def follow_job(job_dir: Path, rank: int, world: int, execute: Callable[[JobSpec, bool], dict[str, Any]]) -> int:
    """Be process `rank` of a job of `world` processes: carry out its words in silence; returns the exit status.

    Args:
        job_dir: the job's directory, of which only `ranks/` is written.
        rank, world: this process's place.
        execute: as for `run_job`.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the first process is asked, and takes the others along
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=leave_when_alone, args=(job_dir, os.getppid()), name="watch", daemon=True).start()
    try:
        with reporting_to(silent):
            execute(read_spec(job_dir), wait_for_beginning(job_dir))
    except (SeminarError, OSError, RuntimeError, MemoryError, ValueError, TypeError, LookupError) as error:
        logger.error("process %d of %d failed", rank, world, exc_info=error)
        tell(job_dir, Death(rank, world, socket.gethostname(), 1, describe_failure(error), False, time.time()))
        return 1
    return 0


def run_job(
    job_dir: Path,
    execute: Callable[[JobSpec, bool], dict[str, Any]],
    *,
    grace_s: float = GRACE_S,
    command: Sequence[str] = (),
) -> int:
    """Run one attempt of the job in `job_dir` in this process and return its exit status.

    Args:
        job_dir: the job's directory.
        execute: carries out the specification's command and returns its answer; its second argument says whether an
            earlier attempt of this job left a run that is to be continued.
        grace_s: seconds between the request to stop and the kill.
        command: starts a further process of the same job on this machine.
    """
    with JobProcess(job_dir, grace_s=grace_s) as job:
        spec = read_spec(job_dir)
        if spec.engine == "local":
            for device in slot_names(spec.command, spec.device, spec.processes):
                job.wait_for_device(device)
        else:
            job.status.device = slot_name(spec.command, spec.device)
        run_dir = Path(spec.workspace) / "runs" / (spec.option("run") or "-")
        continuing = job.made(run_dir)
        job.begin(makes_run=job.status.makes_run or not run_dir.exists() or "--overwrite" in spec.words)
        if spec.processes > 1:
            local = spec.engine == "local"
            job.lead(LocalFollowers(command, spec.processes) if local else ClusterFollowers(spec.processes))
            begin(job_dir, continuing=continuing)
        try:
            with reporting_to(job.progress):
                answer = execute(spec, continuing)
        finally:
            job.leave(run_dir)
        write_json(job_dir / "result.json", answer, grow=False)
        trained = spec.command in TRAININGS and (run_dir / "metrics.jsonl").is_file()
        if trained and importlib.util.find_spec("tensorboard") is not None:
            from ..training.tensorboard import write_events  # pulls pandas, which a waiting job does not need

            write_events(run_dir)
    return job.exit_code
