"""Background jobs as people handle them: start, list, show, cancel, resume, read the log, delete.

Training, background jobs; the command line's `jobs` and the Training station call these. Nothing here runs a job: an
engine starts its process (`engines`), the process keeps its own directory (`job_process`), and what is shown is derived
from that directory and the process itself (`job_state`). A thread is never used, nor the page's own process.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..access import audited, person
from ..errors import (
    CorruptFileError,
    ExistsError,
    MissingFileError,
    NotReadyError,
    ResourceError,
    SeminarError,
    UnknownJobError,
)
from ..files import locked, read_json, write_json
from ..workspace import Workspace, checked_name
from . import smaller_batch as smaller
from .engines import engine_named
from .state import (
    GRACE_S,
    LIVE,
    TRAININGS,
    JobSpec,
    JobStatus,
    cancel_age_s,
    heartbeat_age_s,
    read_spec,
    read_status,
    write_spec,
    write_status,
)

POLL_S = 0.05
MOST_LIVE = 50
"""Jobs that may wait or run at once, where $SEMINAR_MOST_JOBS says nothing else."""
MOST_PER_PROCESSOR = 4
PATIENCE_S = 3.0
"""Seconds beyond the grace period before the canceller kills from outside what did not end itself."""


def job_names(workspace: Workspace) -> list[str]:
    """Names of all jobs, oldest first."""
    if not workspace.jobs.is_dir():
        return []
    folders = [path for path in workspace.jobs.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return sorted((path.name for path in folders), key=lambda name: (number_of(name), name))


def number_of(job: str) -> int:
    """The number in a job's name; 0 for a folder that somebody else has named."""
    number = job.rpartition("-")[2]
    return int(number) if number.isdecimal() else 0


def next_number(workspace: Workspace) -> int:
    """A number that no job has had: who still watches a job that was forgotten is not shown another one."""
    kept = workspace.jobs / ".slots" / "last.json"
    last = max(map(number_of, job_names(workspace)), default=0)
    with suppress(MissingFileError, CorruptFileError):
        last = max(last, int(read_json(kept)))
    write_json(kept, last + 1)
    return last + 1


def existing_job(workspace: Workspace, job: str) -> Path:
    """The directory of `job`.

    Raises:
        UnknownJobError: there is none; the message lists the known ones.
    """
    path = workspace.job_dir(job)
    if not path.is_dir():
        raise UnknownJobError("job", job, job_names(workspace))
    return path


def start(
    workspace: Workspace,
    words: Sequence[str],
    *,
    engine: str = "local",
    threads: int | None = None,
    processes: int = 1,
    nodes: int = 1,
    folder: str = "",
) -> dict:
    """Start `words` (a command line without the program) as a background job and return its row at once.

    Args:
        workspace: where the job is to be.
        words: the command and its options.
        engine: who starts it.
        threads: of each process; as this process has unless given.
        processes: that train it together.
        nodes: machines of a cluster over which they are spread evenly.
        folder: that relative paths among the words start from; the present one unless given.

    Raises:
        UnknownNameError: a command that cannot be a job, or an unknown engine.
        ConfigError: processes and nodes that do not fit together, the command or the engine.
        ExistsError: a live job makes the same run already, so a second press of the button changes nothing.
        NotReadyError: the engine refuses, or a live job reads the run that is to be replaced.
        NotAllowedError: the person of the moment is no operator.
        ResourceError: too many jobs wait, or too many processes were asked for.
        UnsafePathError: the run or data set that it is to make has a name that would leave the workspace.
    """
    words = tuple(word for word in words if word != "--json")
    count = threads or int(os.environ.get("OMP_NUM_THREADS") or 1)
    engine_named(engine)
    who = person().name
    spec = JobSpec(words, str(workspace.root), engine, folder or os.getcwd(), count, time.time(), processes, nodes, who)
    for option, what in (("run", "run"), ("from", "run"), ("name", "data set")):
        if (name := spec.option(option)) is not None:
            checked_name(name, what)
    with audited(workspace, "start job", " ".join(words)):
        return _start(workspace, spec)


def _start(workspace: Workspace, spec: JobSpec) -> dict[str, Any]:
    workspace.jobs.mkdir(parents=True, exist_ok=True)
    with locked(workspace.jobs / ".slots" / "start.lock"):
        refuse_too_many(workspace, spec)
        refuse_twice(workspace, spec)
        refuse_to_replace(workspace, spec)
        job_dir = workspace.job_dir(f"{spec.command}-{next_number(workspace):04d}")
        job_dir.mkdir()
        write_spec(job_dir, spec)
        launch(job_dir, spec, JobStatus())
    wait_for_process(job_dir, spec)
    return row(job_dir)


def refuse_too_many(workspace: Workspace, spec: JobSpec) -> None:
    """Refuse more jobs than people can oversee, or more processes than this machine has processors.

    Raises:
        ResourceError: with the number and the rule.
    """
    live = [other["job"] for other in rows(workspace) if other["state"] in LIVE]
    most = int(os.environ.get("SEMINAR_MOST_JOBS") or MOST_LIVE)
    if len(live) >= most:
        raise ResourceError(
            f"{len(live)} jobs are waiting or running, at most {most} may be",
            hint="wait for one or cancel one (`jobs list`); SEMINAR_MOST_JOBS sets another limit",
        )
    processors = os.cpu_count() or 1
    if spec.engine == "local" and spec.processes > MOST_PER_PROCESSOR * processors:
        raise ResourceError(
            f"{spec.processes} processes were asked for, this machine has {processors} processors and takes at most "
            f"{MOST_PER_PROCESSOR} processes for each",
            hint="ask for fewer processes, or use --engine slurm",
        )


def refuse_twice(workspace: Workspace, spec: JobSpec) -> None:
    """Refuse a job that makes what a live job is making.

    Raises:
        ExistsError: naming that job.
    """
    for other in rows(workspace):
        if other["state"] in LIVE and read_spec(workspace.job_dir(other["job"])).makes == spec.makes:
            raise ExistsError(
                f"job {other['job']} is {other['state']} and makes {spec.makes[1]!r} already",
                hint=f"watch it (jobs show {other['job']}), cancel it, or choose another name",
            )


def refuse_to_replace(workspace: Workspace, spec: JobSpec) -> None:
    """Refuse a training that replaces a run which a live job reads.

    Raises:
        NotReadyError: naming that job.
    """
    if spec.command not in TRAININGS or "--overwrite" not in spec.words:
        return
    for other in rows(workspace):
        if other["state"] in LIVE:
            reading = read_spec(workspace.job_dir(other["job"]))
            if spec.run in (reading.option("run"), reading.option("from")):
                raise NotReadyError(
                    f"run {spec.run!r} cannot be replaced now: job {other['job']} is {other['state']} and reads it",
                    hint=f"wait for it, cancel it (jobs cancel {other['job']}), or choose another name",
                )


def launch(job_dir: Path, spec: JobSpec, status: JobStatus) -> None:
    """Hand the job to its engine; a refusal is recorded as the job's failure and raised."""
    (job_dir / "cancel").unlink(missing_ok=True)
    status.state, status.pid, status.pid_identity, status.host = "queued", None, None, None
    status.error, status.message = None, "starting"
    write_status(job_dir, status)
    try:
        engine_named(spec.engine).start(job_dir, spec)
    except SeminarError as error:
        status.state, status.error, status.message = "failed", error.as_dict(), "could not be started"
        write_status(job_dir, status)
        raise


def wait_for_process(job_dir: Path, spec: JobSpec, seconds: float = 10.0) -> None:
    """Wait until the local process has taken the job over, so that its id and its place in the queue are known."""
    until = time.monotonic() + seconds
    while spec.engine == "local" and time.monotonic() < until and read_status(job_dir).pid is None:
        time.sleep(POLL_S)


def row(job_dir: Path) -> dict[str, Any]:
    """What is known of one job, as `jobs list` answers, and more; one whose status is damaged has failed with that."""
    try:
        status = read_status(job_dir)
    except CorruptFileError as broken:
        status = JobStatus(state="failed", error=broken.as_dict(), message="its status is damaged")
    unknown = ("command", "run", "engine", "folder", "dataset", "created_s", "smaller_batch")
    facts: dict[str, Any] = dict.fromkeys(unknown)
    facts |= {"processes": 1, "nodes": 1}
    facts["words"] = []
    error = status.error
    state = status.state
    try:
        spec = read_spec(job_dir)
        state = engine_named(spec.engine).state(job_dir, status)
    except SeminarError as broken:
        error = error or broken.as_dict()
        state = "failed" if state in LIVE else state
    else:
        if state != status.state:
            status = read_status(job_dir)
            error = status.error
        facts = {
            "command": spec.command, "run": spec.run, "engine": spec.engine, "words": list(spec.words),
            "folder": spec.folder, "dataset": spec.option("dataset"), "created_s": spec.created_s,
            "smaller_batch": smaller.offered(spec, status), "processes": spec.processes, "nodes": spec.nodes,
        }  # fmt: skip
    if state == "lost" and error is None:
        error = _lost(facts["command"], facts["processes"], status.pid)
    age = heartbeat_age_s(job_dir)
    last_seen_s = None if age is None or state in LIVE else time.time() - age
    return {
        "job": job_dir.name, **facts, "state": state, "step": status.step, "steps": status.steps,
        "eta_s": round(status.eta_s, 1) if status.eta_s is not None and state == "running" else None,
        "device": status.device, "pid": status.pid, "heartbeat_age_s": None if age is None else round(age, 2),
        "attempt": status.attempt, "error": error, "message": status.message, "started_s": status.started_s,
        "ended_s": status.ended_s or last_seen_s, "memory_mb": status.memory_mb,
        "device_memory_mb": status.device_memory_mb, "cpu_percent": status.cpu_percent,
    }  # fmt: skip


def _lost(command: str | None, processes: int, pid: int | None) -> dict[str, str]:
    """The error of a job whose process is gone."""
    if command in TRAININGS:
        hint = "resume the job: it continues from its last checkpoint"
    elif command == "encode":
        hint = "resume the job: it continues with the shards that are missing"
    else:
        hint = "resume the job or start it again: it begins anew"
    message = f"{first_of(processes)} {pid} ended without a word (killed, or the machine went down)"
    return {"kind": "lost", "message": message, "hint": hint}


def first_of(processes: int) -> str:
    """The process that a job's number names, in words."""
    return "the process" if processes == 1 else f"process 0 of {processes} (counted from 0), number"


def rows(workspace: Workspace) -> list[dict[str, Any]]:
    """All jobs, oldest first."""
    return [row(workspace.job_dir(name)) for name in job_names(workspace)]


def show(workspace: Workspace, job: str) -> dict[str, Any]:
    """One job."""
    return row(existing_job(workspace, job))


def result(workspace: Workspace, job: str) -> dict[str, Any]:
    """The answer of a job that is done.

    Raises:
        MissingFileError: it has none.
    """
    answer: dict[str, Any] = read_json(existing_job(workspace, job) / "result.json")
    return answer


def cancel(workspace: Workspace, job: str, *, wait: bool = True) -> dict[str, Any]:
    """Ask the job to stop; it checkpoints and ends, or is killed after the grace period.

    Args:
        workspace: where the job is.
        job: its name.
        wait: return only once it has ended; without, `enforce` must be called later.

    Raises:
        NotReadyError: the job is over already.
    """
    with audited(workspace, "cancel job", job):
        job_dir = existing_job(workspace, job)
        now = row(job_dir)
        if now["state"] not in LIVE:
            raise NotReadyError(
                f"job {job} is {now['state']}; only a queued or running job can be cancelled",
                hint="see `jobs list` for the live ones",
            )
        if cancel_age_s(job_dir) is None:
            (job_dir / "cancel").touch()
        if now["state"] == "queued" and now["engine"] == "slurm":  # also one that the cluster has put back
            engine_named("slurm").kill(job_dir, read_status(job_dir))
    while wait and (now := enforce(job_dir))["state"] in LIVE:
        time.sleep(POLL_S)
    return now if wait else row(job_dir)


def enforce(job_dir: Path) -> dict[str, Any]:
    """Kill the job when it was asked to stop, did not, and did not end itself either; return its row."""
    now = row(job_dir)
    age = cancel_age_s(job_dir)
    if now["state"] in LIVE and age is not None:
        spec = read_spec(job_dir)
        waiting_in_cluster = spec.engine == "slurm" and now["pid"] is None
        if age > GRACE_S + PATIENCE_S or waiting_in_cluster:
            engine_named(spec.engine).kill(job_dir, read_status(job_dir))
    return row(job_dir) if age is not None else now


def resume(workspace: Workspace, job: str, *, smaller_batch: bool = False) -> dict[str, Any]:
    """Start a further attempt of a job that ended early; training continues from the last checkpoint.

    Args:
        workspace: where the job is.
        job: its name.
        smaller_batch: with half the batch, for a training that ran out of memory.

    Raises:
        NotReadyError: the job is live, or done, or a smaller batch is not what it needs.
        ExistsError: another live job makes the same run.
    """
    job_dir = existing_job(workspace, job)
    with audited(workspace, "resume job", job), locked(workspace.jobs / ".slots" / "start.lock"):
        now = row(job_dir)
        if now["state"] in LIVE or now["state"] == "done":
            raise NotReadyError(
                f"job {job} is {now['state']}; only a stopped, failed or lost job can be resumed",
                hint="cancel it first" if now["state"] in LIVE else "start a new job",
            )
        spec = read_spec(job_dir)
        refuse_twice(workspace, spec)
        if smaller_batch:
            spec = smaller.halve(job_dir, spec, read_status(job_dir))
        launch(job_dir, spec, read_status(job_dir))
    wait_for_process(job_dir, spec)
    return row(job_dir)


def logs(workspace: Workspace, job: str, lines: int = 200) -> list[str]:
    """The last `lines` lines of the job's log; at most its last megabyte is read."""
    path = existing_job(workspace, job) / "log"
    if not path.is_file():
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2**20))
        return file.read().decode("utf-8", errors="replace").splitlines()[-lines:]


def delete(workspace: Workspace, job: str) -> None:
    """Delete the job's directory; what it made stays.

    Raises:
        NotReadyError: the job is live.
    """
    job_dir = existing_job(workspace, job)
    with audited(workspace, "delete job", job):
        state = row(job_dir)["state"]
        if state in LIVE:
            raise NotReadyError(f"job {job} is {state}; a live job cannot be deleted", hint="cancel it first")
        shutil.rmtree(job_dir)
