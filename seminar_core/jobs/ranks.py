"""One job in several processes: who leads, who follows, and what one of them died of.

Training, background jobs. The first process is the job: it alone queues, writes the status and answers. The others
follow: they carry out the same words in silence, leave the stopping to the first, and end when it is gone. On this
machine the first process starts them and sees how they end; on a cluster each is watched by the process that Slurm
started, which leaves word in `ranks/` of the job's folder. When one dies, the others notice a broken connection only,
so the job's reason is looked up here.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from ..errors import NoMemoryError, PeerError, SeminarError
from ..files import read_json, write_json
from .state import FOREIGN_HEARTBEAT_S, LIVE, cancel_age_s, heartbeat_age_s, read_status, write_status

ATTEMPT = "SEMINAR_JOB_ATTEMPT"
WATCH_S = 0.5
PART_S = 15.0
"""Seconds a follower may go on after the first process has recorded the job's end."""
TOLD_S = 5.0
"""Seconds to wait for word of a death after a connection has broken."""


@dataclass(frozen=True)
class Death:
    """How one process of several ended before its time.

    Fields:
        rank, world, host: which one, of how many, where.
        code: its exit status, negative for a signal.
        error: what it said itself, where it could.
        ran_out: whether the kernel has killed for want of memory meanwhile.
        time_s: when.
    """

    rank: int
    world: int
    host: str
    code: int
    error: dict[str, str] | None = None
    ran_out: bool = False
    time_s: float = 0.0

    def as_error(self) -> dict[str, str]:
        """The job's reason, in words."""
        who = f"process {self.rank} of {self.world} (counted from 0, on {self.host})"
        if self.error is not None:
            return {**self.error, "message": f"{who}: {self.error['message']}"}
        hint = "resume the job: it continues from its last checkpoint"
        if self.code >= 0:
            return {
                "kind": PeerError.kind,
                "message": f"{who} ended with exit status {self.code}",
                "hint": f"the job's log says why; then {hint}",
            }
        killed = f"{who} was killed by signal {-self.code} ({signal_name(-self.code)})"
        if self.ran_out and self.code == -signal.SIGKILL:  # the kernel kills by no other signal
            smaller = "resume with half the batch (jobs resume JOB --smaller-batch), or start fewer processes"
            return {"kind": NoMemoryError.kind, "message": f"{killed}: its machine ran out of memory", "hint": smaller}
        return {"kind": PeerError.kind, "message": killed, "hint": hint}


def signal_name(number: int) -> str:
    """SIGKILL for 9; the number where it has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def cause(deaths: Sequence[Death]) -> Death | None:
    """The death that came first: one by a signal, else by an error of its own; who lost a peer died of another."""
    primary = [death for death in deaths if death.code < 0 or (death.error or {}).get("kind") != PeerError.kind]
    order = sorted(primary or deaths, key=lambda death: (death.code >= 0, death.error is None, death.time_s))
    return order[0] if order else None


def kills_for_memory() -> int:
    """How often the kernel has killed for want of memory: in this control group, else on this machine."""
    group = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError):
        own = Path("/proc/self/cgroup").read_text().strip().rpartition(":")[2].lstrip("/")
        group = group / own if (group / own / "memory.events").exists() else group
    for path in (group / "memory.events", Path("/proc/vmstat")):
        with contextlib.suppress(OSError):
            for line in path.read_text().splitlines():
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count)
    return 0


def loopback() -> str | None:
    """The interface of 127.0.0.1, over which the processes of one machine talk."""
    for name, addresses in psutil.net_if_addrs().items():
        if any(address.address == "127.0.0.1" for address in addresses):
            return name
    return None


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class LocalFollowers:
    """The processes 1 .. world - 1 of a job on this machine, started by the first and ended with it.

    Args:
        command: what each runs; the environment tells it its place.
        world: how many processes there are with the first.
    """

    def __init__(self, command: Sequence[str], world: int):
        self.world = world
        self._kills = kills_for_memory()
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(world)}
        shared[ATTEMPT] = f"{os.getpid()}-{time.time()}"
        interface = loopback()
        if interface is not None:
            shared.setdefault("GLOO_SOCKET_IFNAME", os.environ.get("GLOO_SOCKET_IFNAME", interface))
        self.processes = {
            rank: subprocess.Popen(
                command, env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdin=subprocess.DEVNULL,
            )
            for rank in range(1, world)
        }  # fmt: skip
        os.environ.update({**shared, "RANK": "0", "LOCAL_RANK": "0"})

    def deaths(self, job_dir: Path) -> list[Death]:
        """Those that ended with an error or by a signal."""
        found = []
        for rank, process in self.processes.items():
            code = process.poll()
            if code:
                said = told(job_dir, rank) if code > 0 else None
                error, when = (said.error, said.time_s) if said else (None, time.time())
                ran_out = kills_for_memory() > self._kills
                found.append(Death(rank, self.world, socket.gethostname(), code, error, ran_out, when))
        return found

    def memory_mb(self) -> float:
        """Memory of all of them together."""
        total = 0
        for process in self.processes.values():
            with contextlib.suppress(psutil.Error):
                total += psutil.Process(process.pid).memory_info().rss
        return total / 2**20

    def end(self, seconds: float) -> None:
        """Give them `seconds` to end by themselves, then kill those that did not."""
        until = time.monotonic() + seconds
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))
            process.kill()
            process.wait()


class ClusterFollowers:
    """The processes 1 .. world - 1 that Slurm started; known by the word that their watchers leave."""

    def __init__(self, world: int):
        self.world = world

    def deaths(self, job_dir: Path) -> list[Death]:
        """Those of whom there is word."""
        return [death for rank in range(self.world) if (death := told(job_dir, rank)) is not None and death.code]

    def memory_mb(self) -> float:
        """Not known from here."""
        return 0.0

    def end(self, seconds: float) -> None:
        """They see the first process's end by themselves."""


def attempt_key() -> str:
    """What tells this attempt's words from those of an earlier one."""
    step = [os.environ.get(name, "") for name in ("SLURM_JOB_ID", "SLURM_RESTART_COUNT", "SLURM_STEP_ID")]
    return os.environ.get(ATTEMPT) or "-".join(step)


def begin(job_dir: Path, *, continuing: bool) -> None:
    """Tell the others that the work begins, and whether it continues an earlier attempt."""
    (job_dir / "ranks").mkdir(exist_ok=True)
    write_json(job_dir / "ranks" / "begun.json", {"attempt": attempt_key(), "continuing": continuing})


def wait_for_beginning(job_dir: Path) -> bool:
    """Wait until the first process begins this attempt; whether it continues an earlier one."""
    path = job_dir / "ranks" / "begun.json"
    while not (path.is_file() and (said := read_json(path))["attempt"] == attempt_key()):
        time.sleep(0.1)
    return bool(said["continuing"])


def tell(job_dir: Path, death: Death) -> None:
    """Leave word of a death in the job's folder; a disk that is full keeps its silence."""
    (job_dir / "ranks").mkdir(exist_ok=True)
    with contextlib.suppress(OSError):
        write_json(job_dir / "ranks" / f"{death.rank}.json", {"attempt": attempt_key(), **asdict(death)})


def told(job_dir: Path, rank: int) -> Death | None:
    """The word of this attempt about process `rank`; None where there is none."""
    path = job_dir / "ranks" / f"{rank}.json"
    if not path.is_file():
        return None
    said = read_json(path)
    return Death(**said) if said.pop("attempt") == attempt_key() else None


def looked_up(followers: LocalFollowers | ClusterFollowers, job_dir: Path, seconds: float = TOLD_S) -> Death | None:
    """What one of the others died of; waits up to `seconds` for word of it."""
    until = time.monotonic() + seconds
    while True:
        death = cause(followers.deaths(job_dir))
        if death is not None or time.monotonic() > until:
            return death
        time.sleep(0.1)


def leave_when_alone(job_dir: Path, parent: int) -> None:
    """End this process soon after its parent, or after the job's end, whichever it sees."""
    over_since: float | None = None
    while True:
        time.sleep(WATCH_S)
        try:
            age = heartbeat_age_s(job_dir)
            silent = age is not None and age > FOREIGN_HEARTBEAT_S
            over = read_status(job_dir).state not in LIVE or silent
        except (OSError, SeminarError):  # a share that is away for a moment: this watch must outlive it
            over = False
        over_since = (over_since or time.monotonic()) if over else None
        if os.getppid() != parent or (over_since is not None and time.monotonic() - over_since > PART_S):
            os.kill(os.getpid(), signal.SIGKILL)


def watched(command: Sequence[str], environment: Mapping[str, str], job_dir: Path) -> int:
    """Run one process of a step of Slurm, leave word if it is killed, and return its exit status.

    The first process cannot say itself that it was killed, so its watcher records the job's failure.
    """
    rank, world = int(os.environ.get("SLURM_PROCID", "0")), int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))
    kills = kills_for_memory()
    code = subprocess.run(command, env=dict(environment), stdin=subprocess.DEVNULL, check=False).returncode
    if world > 1 and code < 0:
        ran_out = kills_for_memory() > kills
        death = Death(rank, world, socket.gethostname(), code, None, ran_out, time.time())
        tell(job_dir, death)
        status = read_status(job_dir)
        if rank == 0 and status.state in LIVE and cancel_age_s(job_dir) is None:
            status.state, status.error, status.ended_s = "failed", death.as_error(), death.time_s
            status.message, status.eta_s = "failed", None
            write_status(job_dir, status)
    return code
