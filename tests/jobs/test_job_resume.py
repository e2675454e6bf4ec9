"""Stop, kill and resume through real jobs: the weights equal those of a run that nobody touched."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest
from safetensors.torch import load_file

from seminar_core.files import read_json
from seminar_core.jobs import control as jobs
from seminar_core.jobs.state import read_status, write_status
from seminar_core.processes import process_identity
from seminar_core.training.curves import Curves
from seminar_core.workspace import Workspace

pytestmark = pytest.mark.slow
SMALL = {"steps": 800, "seconds": 10000, "evaluate_every": 100, "validation_people": 20, "batch_size": 4}
SMALL |= {"max_length": 40, "targets_per_life": 4, "width": 16, "patience": 99}


def words(run: str) -> list[str]:
    settings = [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]
    return ["pretrain", "--dataset", "sample", "--run", run, "--device", "cpu", *settings]


def wait_for(what: Callable[[], bool], seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def finish(workspace: Workspace, job: str) -> None:
    wait_for(lambda: jobs.show(workspace, job)["state"] not in ("queued", "running"))
    row = jobs.show(workspace, job)
    assert row["state"] == "done", row["error"]


def training_step(workspace: Workspace, job: str) -> int:
    row = jobs.show(workspace, job)
    return row["step"] if row["message"].startswith("training") else 0


def test_cancelled_killed_and_resumed_equals_untouched(workspace: Workspace):
    whole = jobs.start(workspace, words("whole"))["job"]
    finish(workspace, whole)
    broken = jobs.start(workspace, words("broken"))["job"]
    wait_for(lambda: training_step(workspace, broken) >= 7)
    assert jobs.cancel(workspace, broken)["state"] == "stopped"
    jobs.resume(workspace, broken)
    wait_for(lambda: training_step(workspace, broken) >= 14)
    pid = jobs.show(workspace, broken)["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: process_identity(pid) is None)
    assert jobs.show(workspace, broken)["state"] == "lost"
    jobs.resume(workspace, broken)
    finish(workspace, broken)
    assert jobs.show(workspace, broken)["attempt"] == 3
    kept = [workspace.run_dir(run) / "checkpoints" / "last" / "weights.safetensors" for run in ("whole", "broken")]
    a, b = (load_file(path) for path in kept)
    assert set(a) == set(b) and max(float((a[name] - b[name]).abs().max()) for name in a) <= 1e-6
    curves = [Curves(workspace.run_dir(run) / "metrics.jsonl") for run in ("whole", "broken")]
    for one in curves:
        one.update()
    first, second = (one.series("validation/MRR") for one in curves)
    assert first["step"].tolist() == second["step"].tolist() and first["value"].tolist() == second["value"].tolist()


def test_out_of_memory_goes_on_with_half_the_batch_from_the_checkpoint(workspace: Workspace):
    job = jobs.start(workspace, words("tight"))["job"]
    wait_for(lambda: training_step(workspace, job) >= 12)
    jobs.cancel(workspace, job)
    status = read_status(workspace.job_dir(job))  # the error is put in by hand: a real one would take the machine down
    status.state, status.error = "failed", {"kind": "out_of_memory", "message": "no room", "hint": "halve"}
    write_status(workspace.job_dir(job), status)
    assert jobs.show(workspace, job)["smaller_batch"] == 2
    before = read_json(workspace.run_dir("tight") / "run.json")["config"]
    jobs.resume(workspace, job, smaller_batch=True)
    finish(workspace, job)
    after = read_json(workspace.run_dir("tight") / "run.json")["config"]
    assert after["batches"] == {**before["batches"], "batch_size": 2}
    assert {**after, "batches": None} == {**before, "batches": None}
    assert read_json(workspace.run_dir("tight") / "status.json")["steps"] == SMALL["steps"]
