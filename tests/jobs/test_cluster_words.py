"""A job of the slurm engine where the cluster's commands are missing, silent or slow: told by what its folder says."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from seminar_core.errors import NotReadyError
from seminar_core.files import write_json
from seminar_core.jobs import control as jobs
from seminar_core.jobs.state import JobSpec, JobStatus, write_spec, write_status
from seminar_core.workspace import Workspace


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """`slurm("squeue", "echo RUNNING")`: a machine whose commands of Slurm are these shell scripts."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def says(name: str, script: str) -> Path:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
        return folder / name

    return says


def submitted(workspace: Workspace, status: JobStatus, beat_s: float | None = None) -> str:
    """A job with number 7 in the cluster's queue, whose process lives on another machine; its heart beat then."""
    job_dir = workspace.job_dir("pretrain-0001")
    job_dir.mkdir(parents=True)
    write_spec(job_dir, JobSpec(("pretrain", "--dataset", "d", "--run", "r"), str(workspace.root), "slurm"))
    write_status(job_dir, status)
    write_json(job_dir / "engine.json", {"slurm_job": "7", "submitted_s": time.time()})
    if beat_s is not None:
        (job_dir / "heartbeat").touch()
        os.utime(job_dir / "heartbeat", (time.time() - beat_s,) * 2)
    return job_dir.name


def running() -> JobStatus:
    return JobStatus(state="running", pid=1, pid_identity="boot+1", host="a-node")


UNREACHABLE = "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1"
FORGOTTEN = "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1"


@pytest.mark.parametrize("queue", [None, UNREACHABLE])
@pytest.mark.parametrize(("beat_s", "state"), [(1, "running"), (300, "lost")])
def test_where_the_queue_cannot_be_asked_the_heartbeat_tells(workspace: Workspace, slurm, queue, beat_s, state):
    if queue is not None:
        slurm("squeue", queue)
    job = submitted(workspace, running(), beat_s)
    assert [row["state"] for row in jobs.rows(workspace)] == [state]
    assert jobs.show(workspace, job)["state"] == state


def test_a_job_that_waits_for_the_cluster_is_queued_where_the_queue_cannot_be_asked(workspace: Workspace, slurm):
    submitted(workspace, JobStatus())
    assert jobs.rows(workspace)[0]["state"] == "queued"


def test_a_job_that_slurm_has_forgotten_is_lost(workspace: Workspace, slurm):
    slurm("squeue", FORGOTTEN)
    submitted(workspace, running(), 1)
    assert jobs.rows(workspace)[0]["state"] == "lost"


def test_a_job_on_its_way_to_the_cluster_is_queued(workspace: Workspace, slurm):
    slurm("squeue", FORGOTTEN)
    job_dir = workspace.job_dir(submitted(workspace, JobStatus()))
    os.utime(job_dir / "engine.json", (1, 1))  # the number of the attempt before
    assert jobs.rows(workspace)[0]["state"] == "queued"
    (job_dir / "engine.json").unlink()
    assert jobs.rows(workspace)[0]["state"] == "queued"
    os.utime(job_dir / "status.json", (1, 1))  # whoever submitted it was killed meanwhile
    assert jobs.rows(workspace)[0]["state"] == "lost"


@pytest.mark.parametrize("word", ["PENDING", "RUNNING"])
def test_a_job_that_the_cluster_put_back_is_taken_off_when_cancelled(workspace: Workspace, slurm, tmp_path, word):
    slurm("squeue", f"echo {word}")
    slurm("scancel", f'echo "$@" > {tmp_path}/taken_off')
    job = submitted(workspace, JobStatus(state="stopped", pid=1, pid_identity="boot+1", host="a-node"), 1)
    assert jobs.show(workspace, job)["state"] == "queued"
    assert jobs.cancel(workspace, job)["state"] == "stopped"
    assert (tmp_path / "taken_off").read_text() == "--full 7\n"


def test_a_cancel_that_does_not_reach_the_cluster_says_what_to_type(workspace: Workspace, slurm):
    job = submitted(workspace, JobStatus())
    with pytest.raises(NotReadyError, match="scancel, which takes it off the cluster, cannot be run here") as refused:
        jobs.cancel(workspace, job)
    assert "scancel --full 7" in refused.value.hint
