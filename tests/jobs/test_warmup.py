"""Warm-ups of several sessions: each has an answer of its own, and what is over does not pile up."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from seminar_core.errors import UnknownJobError
from seminar_core.jobs import control as jobs
from seminar_core.jobs import engines, warmup
from seminar_core.jobs.state import LIVE, read_status, write_status
from seminar_core.workspace import Workspace

DOUBLE = Path(__file__).with_name("job_double.py")


@pytest.fixture(autouse=True)
def double(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "runner_command", lambda job_dir: [sys.executable, str(DOUBLE), str(job_dir), "1"])


def training(**told: object) -> list[str]:
    words = ["pretrain", "--dataset", "small", "--run", "mine"]
    return [*words, *(word for key, value in told.items() for word in ("--set", f"{key}={value}"))]


def ended(workspace: Workspace, job: str) -> dict:
    until = time.monotonic() + 20
    while (row := warmup.row(workspace, job))["state"] in LIVE:
        assert time.monotonic() < until
        time.sleep(0.05)
    return row


def test_a_session_keeps_its_own_warm_up_when_another_measures(workspace: Workspace):
    mine = warmup.begin(workspace, training(batch_size=2))
    run = warmup.scratch(workspace).run_dir(ended(workspace, mine)["run"])
    (run / "metrics.jsonl").write_text("{}\n")
    another = warmup.begin(workspace, training(batch_size=64, pause=0.1))
    assert another != mine and warmup.row(workspace, another)["run"] != run.name
    assert "batch_size=2" in warmup.row(workspace, mine)["words"]
    assert (run / "metrics.jsonl").is_file() and not (run / "checkpoints").exists()
    third = warmup.begin(workspace, training(steps=1))
    assert warmup.row(workspace, another)["state"] in LIVE
    warmup.cancel(workspace, another)
    ended(workspace, third)


def test_figures_of_warm_ups_go_after_a_while(workspace: Workspace):
    job = warmup.begin(workspace, training())
    inner, row = warmup.scratch(workspace), ended(workspace, job)
    status = read_status(inner.job_dir(job))
    status.ended_s = time.time() - warmup.KEPT_S - 1
    write_status(inner.job_dir(job), status)
    other = warmup.begin(workspace, training())
    assert other != job and not inner.run_dir(row["run"]).exists()
    with pytest.raises(UnknownJobError):
        warmup.row(workspace, job)
    ended(workspace, other)


def test_a_warm_up_is_started_as_its_training_would_be(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    told: dict = {}
    monkeypatch.setattr(jobs, "start", lambda _, words, **launch: told.update(launch) or {"job": "pretrain-0001"})
    warmup.begin(workspace, training(), engine="slurm", processes=4, nodes=2)
    assert told == {"engine": "slurm", "processes": 4, "nodes": 2}
