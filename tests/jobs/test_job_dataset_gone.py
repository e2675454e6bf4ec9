"""A data set that is deleted while its job waits in the queue: the job fails with that as its reason."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import pytest

from seminar_core.jobs import control as jobs
from seminar_core.jobs import engines
from tests.training.tiny_training import tiny_workspace

DOUBLE = Path(__file__).with_name("job_double.py")


def test_a_data_set_deleted_while_queued_is_the_jobs_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real = engines.runner_command

    def runner(job_dir: Path) -> list[str]:
        return [sys.executable, str(DOUBLE), str(job_dir), "1"] if job_dir.name.endswith("1") else real(job_dir)

    monkeypatch.setattr(engines, "runner_command", runner)
    workspace = tiny_workspace(tmp_path)
    line = ["pretrain", "--dataset", "tiny", "--device", "cpu"]
    holder = jobs.start(workspace, [*line, "--run", "holder", "--set", "steps=10000", "--set", "pause=0.02"])["job"]
    waiting = jobs.start(workspace, [*line, "--run", "late", "--set", "steps=1"])
    assert waiting["state"] == "queued"
    shutil.rmtree(workspace.dataset_dir("tiny"))
    jobs.cancel(workspace, holder)
    until = time.monotonic() + 60
    while (row := jobs.show(workspace, waiting["job"]))["state"] != "failed":
        assert time.monotonic() < until, row
        time.sleep(0.05)
    assert row["error"]["kind"] == "unknown_dataset" and "tiny" in row["error"]["message"] and row["error"]["hint"]
    assert not workspace.run_dir("late").exists()
