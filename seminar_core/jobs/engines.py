"""Where a job's process is started: on this machine, or by a Slurm cluster through submitit.

Training, background jobs. An engine is three functions over a job directory; the specification, the run folder and the
job's process are the same for all. Departures from submitit's habits: its job state is not trusted (a local job opened
anew reports none, and without accounting Slurm says UNKNOWN), so the state comes from the run folder and `squeue`; its
SIGTERM is swallowed, so cancelling goes through the job's cancel flag, which the job reads at every step.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Protocol

from ..errors import NotReadyError, UnknownNameError
from ..files import read_json, write_json
from .ranks import watched
from .state import (
    LIVE,
    STARTING_S,
    JobSpec,
    JobStatus,
    cancel_age_s,
    heartbeat_age_s,
    is_alive,
    read_status,
    status_time_s,
    true_state,
)

PROJECT = Path(__file__).resolve().parents[2]
UNASKED = "UNASKED"
"""Instead of Slurm's word for a job, where its queue cannot be asked."""
_STARTED: list[subprocess.Popen[bytes]] = []


def runner_command(job_dir: Path) -> list[str]:
    """The command line of the job's process."""
    return [sys.executable, "-m", "seminar_core.cli.job_runner", str(job_dir)]


def runner_environment(threads: int) -> dict[str, str]:
    """The environment of the job's process: pinned threads, and the package found from any folder."""
    paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "passive",
    }


class Engine(Protocol):
    """Starts a job's process, tells its state, and ends it the hard way."""

    name: str

    def start(self, job_dir: Path, spec: JobSpec) -> None: ...

    def state(self, job_dir: Path, status: JobStatus) -> str: ...

    def kill(self, job_dir: Path, status: JobStatus) -> None: ...


class LocalEngine:
    """A process of its own on this machine, in its own session, so that it outlives whoever started it."""

    name = "local"

    def start(self, job_dir: Path, spec: JobSpec) -> None:
        """Start the process; it queues for its device by itself."""
        for child in list(_STARTED):
            if child.poll() is not None:
                _STARTED.remove(child)
        with (job_dir / "log").open("ab") as log:
            process = subprocess.Popen(
                runner_command(job_dir),
                cwd=spec.folder or None,
                env=runner_environment(spec.threads),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        _STARTED.append(process)

    def state(self, job_dir: Path, status: JobStatus) -> str:
        """The derived state of `job_state.true_state`."""
        return true_state(job_dir, status)

    def kill(self, job_dir: Path, status: JobStatus) -> None:
        """Kill the job's whole process group, if its leader is still the process that the status names."""
        if status.pid is None or not is_alive(status):
            return
        try:
            if os.getpgid(status.pid) == status.pid:
                os.killpg(status.pid, signal.SIGKILL)
            else:
                os.kill(status.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


class RunJob:
    """What submitit starts on the cluster: a process of the job; when Slurm takes the node away, the same again.

    Pickled by submitit into the job's own directory and read back by the node only.
    """

    def __init__(self, command: list[str], threads: int, job_dir: str):
        self.command = command
        self.threads = threads
        self.job_dir = job_dir

    def __call__(self) -> int:
        return watched(self.command, runner_environment(self.threads), Path(self.job_dir))

    def checkpoint(self) -> Any:
        """Asked by submitit before a preemption or time-out: requeue the same work, which continues its run."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class SlurmEngine:
    """A Slurm cluster through submitit; the workspace must be on a disk that the nodes share.

    A job that the cluster ended and put back into its queue is queued, not stopped.
    """

    name = "slurm"

    def start(self, job_dir: Path, spec: JobSpec) -> None:
        """Submit the job.

        Raises:
            NotReadyError: submitit or Slurm is not installed, or the cluster refuses the job; its words are passed on.
        """
        if importlib.util.find_spec("submitit") is None:
            raise NotReadyError(
                "the slurm engine needs submitit, which is not installed",
                hint="install the optional requirements: pip install submitit==1.5.4; or use --engine local",
            )
        if shutil.which("sbatch") is None:
            raise NotReadyError(
                "the slurm engine needs sbatch, which is not on this machine's path",
                hint="start the job on a machine of the cluster, or use --engine local",
            )
        import submitit
        from submitit.core.utils import FailedJobError

        executor = submitit.SlurmExecutor(folder=str(job_dir / "slurm"), max_num_timeout=100, python=sys.executable)
        each = spec.processes // spec.nodes
        options: dict[str, Any] = {"cpus_per_task": spec.threads, "time": slurm_minutes(), "signal_delay_s": 30}
        options |= {"nodes": spec.nodes, "ntasks_per_node": each}
        if spec.device.startswith("cuda"):
            options["gpus_per_node"] = each
        executor.update_parameters(job_name=job_dir.name, setup=[f"export PYTHONPATH={PROJECT}"], **options)
        try:
            job = executor.submit(RunJob(runner_command(job_dir), spec.threads, str(job_dir)))
        except (FailedJobError, subprocess.CalledProcessError) as error:
            raise NotReadyError(
                f"the cluster refused the job: {str(error).strip().splitlines()[-1]}",
                hint="ask `sinfo` whether a node is up, or use --engine local",
            ) from error
        write_json(job_dir / "engine.json", {"slurm_job": job.job_id, "submitted_s": time.time()})

    def state(self, job_dir: Path, status: JobStatus) -> str:
        """What the job wrote, checked against the queue: a job that Slurm no longer knows is over.

        Where the queue cannot be asked (no Slurm on this machine, its controller is away), the heartbeat tells.
        """
        stopping = cancel_age_s(job_dir) is not None
        ended_by_cluster = status.state == "stopped" and not stopping
        if status.state not in LIVE and not ended_by_cluster:
            return status.state
        queue = "PENDING" if is_submitted_now(job_dir, status) else self.queue_state(job_dir)
        if ended_by_cluster:
            return "queued" if queue in ("PENDING", "CONFIGURING", "REQUEUED", "RUNNING") else "stopped"
        if queue is None:
            final = read_status(job_dir)
            return final.state if final.state not in LIVE else ("stopped" if stopping else "lost")
        if queue == UNASKED and status.pid is not None:
            return true_state(job_dir, status)
        if stopping:
            return "stopping"
        begun = status.state == "running" and heartbeat_age_s(job_dir) is not None
        return "running" if queue == "RUNNING" and begun else "queued"

    def queue_state(self, job_dir: Path) -> str | None:
        """Slurm's word for the job (PENDING, RUNNING, ...); None when it is no longer in the queue, else `UNASKED`."""
        if not (job_dir / "engine.json").is_file():
            return None
        number = str(read_json(job_dir / "engine.json")["slurm_job"])
        answer = told_by("squeue", "--noheader", "--jobs", number, "--states", "all", "--format", "%T")
        if answer is None or (answer.returncode and "Invalid job id" not in answer.stderr):
            return UNASKED
        word = answer.stdout.strip()
        return word if word in ("PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "COMPLETING", "REQUEUED") else None

    def kill(self, job_dir: Path, status: JobStatus) -> None:
        """Take the job off the cluster.

        Raises:
            NotReadyError: Slurm cannot be reached from here.
        """
        if (job_dir / "engine.json").is_file():
            number = str(read_json(job_dir / "engine.json")["slurm_job"])
            if told_by("scancel", "--full", number) is None:
                raise NotReadyError(
                    f"job {job_dir.name} is asked to stop, but scancel, which takes it off the cluster, cannot be run "
                    "here",
                    hint=f"run `scancel --full {number}` on a machine of the cluster, or wait until the job sees it",
                )


def told_by(*command: str) -> subprocess.CompletedProcess[str] | None:
    """What a command of Slurm answers; None where this machine has none, or nobody answers in 30 s."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None


def is_submitted_now(job_dir: Path, status: JobStatus) -> bool:
    """Whether a job is on its way to the cluster, which has given it no number yet."""
    asked_s = status_time_s(job_dir)
    if status.state != "queued" or status.pid is not None or time.time() - asked_s > STARTING_S:
        return False
    number = job_dir / "engine.json"
    return not number.is_file() or number.stat().st_mtime < asked_s


def slurm_minutes() -> int:
    """The time limit asked for: `$SEMINAR_SLURM_MINUTES`, else a day (a requeued job continues where it was)."""
    return int(os.environ.get("SEMINAR_SLURM_MINUTES", "1440"))


ENGINES: dict[str, Engine] = {"local": LocalEngine(), "slurm": SlurmEngine()}


def engine_named(name: str) -> Engine:
    """The engine called `name`.

    Raises:
        UnknownNameError: not one of `ENGINES`.
    """
    if name not in ENGINES:
        raise UnknownNameError("engine", name, ENGINES)
    return ENGINES[name]
