"""What a job is on disk, and what can truthfully be said about it: specification, status, and whether it lives.

Training, background jobs. A job is the directory `jobs/<job>/`:

- `spec.json`: what to do (`JobSpec`), written once and read strictly;
- `status.json`: how far it is (`JobStatus`), replaced atomically, written by the job's own process while it lives;
- `heartbeat`: touched by that process every half second; `log`: its standard error; `result.json`: its answer;
- `cancel`: present when someone asked it to stop, its time being the moment of asking.

The state that people see is *derived* here from these files and from the process itself, so that a job whose process
vanished is shown as lost and never as running. A process is known by its id *and* its identity (`processes`): ids are
used again, clocks are set, and a dead child of a server that does not collect it stays as a zombie.
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from ..errors import ConfigError, CorruptFileError, MissingFileError, UnknownNameError
from ..files import read_json, write_json
from ..processes import is_same_process

COMMANDS = ("import", "encode", "pretrain", "finetune", "evaluate", "codebooks", "map", "reproduce", "bench")
TRAININGS = ("pretrain", "finetune")
SHARED_COMMANDS = (*TRAININGS, "encode")
"""Commands that several processes can carry out together; those of `encode` take turns at its shards."""
OF_A_RUN = (*TRAININGS, "evaluate", "codebooks", "map")
"""Commands whose `--run` is the run that they make or read."""
MADE = {"import": ("data set", "name"), "pretrain": ("run", "run"), "finetune": ("run", "run"), "map": ("file", "out")}
"""What a command makes, and the option that names it; any other is known by all its words."""
STATES = ("queued", "running", "stopping", "stopped", "failed", "done", "lost")
LIVE = ("queued", "running", "stopping")
GRACE_S = 10.0
"""Seconds between the request to stop and the kill."""
STARTING_S = 30.0
"""Seconds a queued job may stay without a process before it counts as lost."""
FOREIGN_HEARTBEAT_S = 60.0
"""Age of the heartbeat after which a job of another machine counts as lost: its process cannot be asked from here."""


@dataclass(frozen=True)
class JobSpec:
    """What a job does; `words` are the command line after `python -m seminar_core`, without `--json`/`--workspace`.

    `processes` train it together, spread evenly over `nodes` machines of a cluster. `who` asked for it.
    """

    words: tuple[str, ...]
    workspace: str
    engine: str = "local"
    folder: str = ""
    threads: int = 1
    created_s: float = 0.0
    processes: int = 1
    nodes: int = 1
    who: str = ""

    def __post_init__(self) -> None:
        if not self.words or self.words[0] not in COMMANDS:
            raise UnknownNameError("job command", self.words[0] if self.words else "", COMMANDS)
        if self.threads < 1:
            raise ConfigError(f"threads is {self.threads}; at least 1 is needed", hint="set threads to 1 or more")
        self._check_processes()

    def _check_processes(self) -> None:
        processes, nodes = self.processes, self.nodes
        if processes < 1 or nodes < 1 or processes % nodes:
            raise ConfigError(
                f"{processes} processes cannot be spread evenly over {nodes} nodes",
                hint="let processes be a multiple of nodes, both at least 1",
            )
        if processes > 1 and self.command not in SHARED_COMMANDS:
            raise ConfigError(
                f"{self.command} works in one process, {processes} were asked for",
                hint=f"several processes are for {' and '.join(SHARED_COMMANDS)}",
            )
        if nodes > 1 and self.engine == "local":
            raise ConfigError(
                f"the local engine has this machine only, {nodes} nodes were asked for", hint="use --engine slurm"
            )

    @property
    def command(self) -> str:
        return self.words[0]

    @property
    def run(self) -> str | None:
        """The run, data set or file by which the job is listed."""
        return self.option("run") or self.option("name") or self.option("out")

    @property
    def makes(self) -> tuple[str, str]:
        """Kind and name of what the job makes; two live jobs never make the same, any number may read it."""
        kind, option = MADE.get(self.command, ("answer", ""))
        name = self.option(option) or " ".join(self.words)
        return kind, str(Path(self.folder, name)) if kind == "file" else name

    @property
    def device(self) -> str:
        """The device that was asked for."""
        return self.option("device") or "auto"

    def option(self, name: str) -> str | None:
        """The last value of `--name VALUE` or `--name=VALUE` among the words."""
        value = None
        for i, word in enumerate(self.words):
            if word == f"--{name}" and i + 1 < len(self.words):
                value = self.words[i + 1]
            elif word.startswith(f"--{name}="):
                value = word.partition("=")[2]
        return value

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> JobSpec:
        """Read strictly.

        Raises:
            ConfigError: an unknown key, a missing one, or a value of the wrong kind.
        """
        known = {f.name for f in fields(cls)}
        hint = "undo the edit of spec.json, or start the job anew"
        if not isinstance(values, dict) or not isinstance(values.get("words", []), list):
            raise ConfigError("the job's spec.json is no table whose 'words' are a list", hint=hint)
        unknown = sorted(set(values) - known)
        if unknown or not {"words", "workspace"} <= set(values):
            what = f"unknown keys {unknown}" if unknown else "no 'words' or no 'workspace'"
            raise ConfigError(f"the job's spec.json has {what}; known keys: {', '.join(sorted(known))}", hint=hint)
        try:
            return cls(**{**values, "words": tuple(str(w) for w in values["words"])})
        except TypeError as error:
            raise ConfigError(f"the job's spec.json has a value of the wrong kind: {error}", hint=hint) from error


@dataclass
class JobStatus:
    """What the job's process last wrote about itself."""

    state: str = "queued"
    attempt: int = 0
    pid: int | None = None
    pid_identity: str | None = None
    host: str | None = None
    device: str | None = None
    step: int = 0
    steps: int | None = None
    message: str = ""
    eta_s: float | None = None
    first_started_s: float | None = None
    started_s: float | None = None
    ended_s: float | None = None
    error: dict[str, str] | None = None
    memory_mb: float | None = None
    device_memory_mb: float | None = None
    cpu_percent: float | None = None
    makes_run: bool = False
    """Whether the run was this job's to make (new, or to be overwritten): only then may an attempt continue it."""


def write_spec(job_dir: Path, spec: JobSpec) -> None:
    """Write the specification; done once, before anything starts."""
    write_json(job_dir / "spec.json", asdict(spec))


def read_spec(job_dir: Path) -> JobSpec:
    """Read the specification strictly; raises what `JobSpec` raises.

    Its workspace is the one that the job lies in now, and a folder that has gone gives way to the workspace's own.
    """
    spec = JobSpec.from_dict(read_json(job_dir / "spec.json"))
    workspace = job_dir.absolute().parents[1]
    folder = spec.folder if not spec.folder or Path(spec.folder).is_dir() else str(workspace.parent)
    return replace(spec, workspace=str(workspace), folder=folder)


def write_status(job_dir: Path, status: JobStatus) -> None:
    """Replace the status atomically."""
    write_json(job_dir / "status.json", asdict(status), grow=False)


def read_status(job_dir: Path) -> JobStatus:
    """Read the status as its process wrote it; a job that has not been written yet is queued.

    Raises:
        CorruptFileError: it is no JSON object, or its state is none.
    """
    try:
        values = read_json(job_dir / "status.json")
    except MissingFileError:
        return JobStatus()
    if not isinstance(values, dict) or values.get("state", "queued") not in STATES:
        raise CorruptFileError(
            f"{job_dir / 'status.json'} is no JSON object with one of the states {', '.join(STATES)}",
            hint="delete the job's folder and start the job again",
        )
    known = {f.name for f in fields(JobStatus)}
    return JobStatus(**{key: value for key, value in values.items() if key in known})


def is_alive(status: JobStatus) -> bool:
    """Whether the very process that wrote `status` still runs on this machine."""
    return is_same_process(status.pid, status.pid_identity)


def heartbeat_age_s(job_dir: Path, now: float | None = None) -> float | None:
    """Seconds since the process last touched its heartbeat; None before the first."""
    try:
        return max(0.0, (time.time() if now is None else now) - (job_dir / "heartbeat").stat().st_mtime)
    except FileNotFoundError:
        return None


def cancel_age_s(job_dir: Path) -> float | None:
    """Seconds since someone asked the job to stop; None when nobody did."""
    try:
        return max(0.0, time.time() - (job_dir / "cancel").stat().st_mtime)
    except FileNotFoundError:
        return None


def true_state(job_dir: Path, status: JobStatus) -> str:
    """The state to show: what the process wrote, unless that process is gone without having said how it ended."""
    if status.state not in LIVE:
        return status.state
    asked_to_stop = cancel_age_s(job_dir) is not None
    if status.host is not None and status.host != socket.gethostname():
        age = heartbeat_age_s(job_dir)
        alive = age is not None and age < FOREIGN_HEARTBEAT_S
    elif status.pid is None:
        alive = time.time() - status_time_s(job_dir) < STARTING_S
    else:
        alive = is_alive(status)
    if alive:
        return "stopping" if asked_to_stop else status.state
    final = read_status(job_dir)
    if final.state not in LIVE or final.pid != status.pid:
        return final.state if final.state not in LIVE else true_state(job_dir, final)
    return "stopped" if asked_to_stop else "lost"


def status_time_s(job_dir: Path) -> float:
    """When the status was last written; zero when it never was."""
    try:
        return os.stat(job_dir / "status.json").st_mtime
    except FileNotFoundError:
        return 0.0
