"""A real job on a real one-node Slurm: it runs, is cancelled, is requeued and goes on; `make test-slurm`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from seminar_core.errors import NotReadyError
from seminar_core.files import read_json
from seminar_core.jobs import control as jobs
from seminar_core.jobs import engines
from seminar_core.workspace import Workspace
from tests.jobs.slurm_node import SlurmNode
from tests.training.tiny_training import SMALL, tiny_workspace

pytestmark = pytest.mark.slurm
ROOT = Path(__file__).resolve().parents[2]
DOUBLE = Path(__file__).with_name("job_double.py")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmNode]:
    pytest.importorskip("submitit", reason="submitit is not installed: pip install submitit==1.5.4")
    started = SlurmNode(tmp_path_factory.mktemp("slurm"))
    if started.reason is not None:
        pytest.skip(started.reason)
    yield started
    started.stop()


@pytest.fixture(autouse=True)
def double(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "runner_command", lambda job_dir: [sys.executable, str(DOUBLE), str(job_dir)])


def words(run: str = "r", **told: object) -> list[str]:
    options = [word for key, value in told.items() for word in ("--set", f"{key}={value}")]
    return ["pretrain", "--dataset", "small", "--run", run, *options]


def wait_for(what: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.1)


def state(workspace: Workspace, job: str) -> str:
    return jobs.show(workspace, job)["state"]


def steps_seen(workspace: Workspace, run: str = "r") -> list[int]:
    path = workspace.run_dir(run) / "seen.txt"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def slurm_number(workspace: Workspace, job: str) -> str:
    return read_json(workspace.job_dir(job) / "engine.json")["slurm_job"]


def test_the_cluster_runs_a_job_with_the_same_folder(node: SlurmNode, workspace: Workspace):
    job = jobs.start(workspace, words(steps=5), engine="slurm")["job"]
    wait_for(lambda: state(workspace, job) == "done")
    row = jobs.show(workspace, job)
    assert (row["engine"], row["step"], row["attempt"], row["error"]) == ("slurm", 5, 1, None)
    assert read_json(workspace.job_dir(job) / "result.json") == {"run": "r", "steps": 5}


def test_cancel_stops_a_running_job_within_ten_seconds_and_resume_continues_it(node: SlurmNode, workspace: Workspace):
    job = jobs.start(workspace, words(steps=60, pause=0.1), engine="slurm")["job"]
    wait_for(lambda: len(steps_seen(workspace)) >= 3)
    assert state(workspace, job) == "running"
    began = time.monotonic()
    assert jobs.cancel(workspace, job)["state"] == "stopped"
    assert time.monotonic() - began < 10
    wait_for(lambda: node.ask("squeue", "--noheader", "--jobs", slurm_number(workspace, job)) == "", 20)
    jobs.resume(workspace, job)
    wait_for(lambda: state(workspace, job) == "done")
    assert steps_seen(workspace) == list(range(60))


def test_a_requeued_job_goes_on_from_its_checkpoint(node: SlurmNode, workspace: Workspace):
    job = jobs.start(workspace, words(steps=40, pause=0.1), engine="slurm")["job"]
    wait_for(lambda: len(steps_seen(workspace)) >= 3)
    number = slurm_number(workspace, job)
    node.ask("scontrol", "requeue", number)
    wait_for(lambda: state(workspace, job) == "queued")
    time.sleep(
        2
    )  # Slurm tells an old start from a new one by the second: sooner, the node takes the new one for killed

    def begun_again() -> bool:
        node.ask("scontrol", "update", f"jobid={number}", "starttime=now")  # Slurm holds a requeued job for 120 s
        return jobs.show(workspace, job)["attempt"] == 2

    wait_for(begun_again, 200)
    wait_for(lambda: state(workspace, job) == "done")
    assert jobs.show(workspace, job)["attempt"] == 2
    seen = steps_seen(workspace)
    assert sorted(set(seen)) == list(range(40)) and len(seen) <= 42


def test_a_requeued_job_that_is_cancelled_leaves_the_clusters_queue(node: SlurmNode, workspace: Workspace):
    job = jobs.start(workspace, words(steps=400, pause=0.1), engine="slurm")["job"]
    wait_for(lambda: len(steps_seen(workspace)) >= 3)
    number = slurm_number(workspace, job)
    node.ask("scontrol", "requeue", number)
    wait_for(lambda: state(workspace, job) == "queued" and "PENDING" in node.ask("squeue", "-h", "-o", "%T"))
    assert jobs.cancel(workspace, job)["state"] == "stopped"
    wait_for(lambda: node.ask("squeue", "-h", "-o", "%T", "--jobs", number) == "", 20)


def test_a_job_waiting_for_the_cluster_is_queued_and_can_be_cancelled(node: SlurmNode, workspace: Workspace):
    node.ask("scontrol", "update", "partitionname=all", "state=down")
    job = jobs.start(workspace, words(steps=5), engine="slurm")["job"]
    assert state(workspace, job) == "queued"
    assert jobs.cancel(workspace, job)["state"] == "stopped"
    node.ask("scontrol", "update", "partitionname=all", "state=up")


def test_a_job_killed_on_its_node_is_lost(node: SlurmNode, workspace: Workspace):
    job = jobs.start(workspace, words(steps=600, pause=0.1), engine="slurm")["job"]
    wait_for(lambda: len(steps_seen(workspace)) >= 2)
    os.kill(jobs.show(workspace, job)["pid"], signal.SIGKILL)
    wait_for(lambda: state(workspace, job) == "lost")


def test_a_job_taken_off_by_the_cluster_stops_at_a_checkpoint(node: SlurmNode, workspace: Workspace):
    job = jobs.start(workspace, words(steps=600, pause=0.1), engine="slurm")["job"]
    wait_for(lambda: len(steps_seen(workspace)) >= 2)
    node.ask("scancel", "--full", slurm_number(workspace, job))
    wait_for(lambda: state(workspace, job) == "stopped")
    assert (workspace.run_dir("r") / "stopped_at").exists()


def test_a_refusing_cluster_is_a_named_error_and_the_job_failed(
    node: SlurmNode, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SBATCH_PARTITION", "nowhere")
    with pytest.raises(NotReadyError, match="the cluster refused the job"):
        jobs.start(workspace, words(steps=5), engine="slurm")
    row = jobs.rows(workspace)[0]
    assert row["state"] == "failed" and row["error"]["kind"] == "not_ready"


@pytest.fixture
def trained_by_two(
    node: SlurmNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, double: None
) -> Iterator[Callable[..., tuple[Workspace, str]]]:
    """Starts a real pretraining of two tasks on the cluster."""
    if (os.cpu_count() or 1) < 2:
        pytest.skip("two tasks need two cores")
    monkeypatch.setattr(
        engines, "runner_command", lambda folder: [sys.executable, "-m", "seminar_core.cli.job_runner", str(folder)]
    )
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    monkeypatch.chdir(tmp_path)
    workspace = tiny_workspace(tmp_path)

    def begin(**told: object) -> tuple[Workspace, str]:
        settings = {**SMALL, "evaluate_every": 4, "seconds": 1e6, "patience": 10**6, "frames": 0, **told}
        line = ["pretrain", "--dataset", "tiny", "--run", "both"]
        line += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
        return workspace, jobs.start(workspace, line, engine="slurm", processes=2)["job"]

    yield begin
    for row in jobs.rows(workspace):
        if row["state"] in ("queued", "running"):
            jobs.cancel(workspace, row["job"])


def task_of(workspace: Workspace, job: str, rank: int) -> int:
    """The process that is task `rank` of the job."""
    found = [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if str(workspace.job_dir(job)) in (process.info["cmdline"] or [])
        and process.environ().get("SLURM_PROCID") == str(rank)
    ]
    (only,) = found
    return only


def test_a_job_of_two_tasks_is_one_run_with_one_status(trained_by_two: Callable[..., tuple[Workspace, str]]):
    workspace, job = trained_by_two(steps=8)
    wait_for(lambda: state(workspace, job) not in ("queued", "running"), 120)
    row = jobs.show(workspace, job)
    assert (row["state"], row["error"], row["attempt"]) == ("done", None, 1), jobs.logs(workspace, job, 40)
    answer = read_json(workspace.job_dir(job) / "result.json")
    assert (answer["processes"], answer["steps"]) == (2, 8)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_task_is_the_jobs_reason(trained_by_two: Callable[..., tuple[Workspace, str]], rank: int):
    workspace, job = trained_by_two(steps=100_000)
    wait_for(lambda: jobs.show(workspace, job)["message"].startswith("training"), 120)
    os.kill(task_of(workspace, job, rank), signal.SIGKILL)
    wait_for(lambda: state(workspace, job) not in ("queued", "running"), 60)
    row = jobs.show(workspace, job)
    assert (row["state"], row["error"]["kind"]) == ("failed", "process_died")
    assert row["error"]["message"].startswith(f"process {rank} of 2 ")
    assert row["error"]["message"].endswith("was killed by signal 9 (SIGKILL)")
    wait_for(lambda: engines.SlurmEngine().queue_state(workspace.job_dir(job)) is None, 60)


def test_two_tasks_of_srun_train_one_run(node: SlurmNode, tmp_path: Path):
    if (os.cpu_count() or 1) < 2:
        pytest.skip("two tasks need two cores")
    tiny_workspace(tmp_path)
    settings = {**SMALL, "steps": 4, "evaluate_every": 4, "seconds": 1e6}
    line = [sys.executable, "-m", "seminar_core", "pretrain", "--dataset", "tiny", "--run", "both", "--json"]
    line += ["--workspace", str(tmp_path / "workspace")]
    line += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(
        ["srun", "--ntasks", "2", *line],
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    (only,) = done.stdout.splitlines()
    answer = json.loads(only)
    assert (answer["processes"], answer["steps"]) == (2, 4)
    assert read_json(tmp_path / "workspace" / "runs" / "both" / "status.json")["state"] == "done"
