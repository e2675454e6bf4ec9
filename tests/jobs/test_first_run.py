"""The first run of a data set: three jobs that follow each other, from the workspace's state alone."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from seminar_core.jobs import control as jobs
from seminar_core.jobs import engines, first_run
from seminar_core.jobs.removal import delete
from seminar_core.jobs.state import LIVE
from seminar_core.retrieval.spec import DEFAULT
from seminar_core.search.study import codebook_names
from seminar_core.training.run_files import list_runs
from seminar_core.workspace import Workspace
from tests.tiny import make_dataset

DOUBLE = Path(__file__).with_name("job_double.py")
TINY = tuple(
    word
    for setting in ("steps=2", "width=32", "batch_size=4", "targets_per_life=2", "validation_people=4")
    for word in ("--set", setting)
)


def until_it_rests(workspace: Workspace, budget: tuple[str, ...] | None, seconds: float = 150) -> first_run.FirstRun:
    """Look again and again, as the page does, until nothing is live."""
    until = time.monotonic() + seconds
    while (now := first_run.advance(workspace, "tiny", budget)).live:
        assert time.monotonic() < until, f"still {now}"
        time.sleep(0.1)
    return now


def test_the_steps_are_bounded_and_a_budget_replaces_that():
    pretrain, finetune, codebooks = (first_run.words("sample", step) for step in first_run.STEPS)
    assert pretrain[-4:] == ["--set", "steps=250", "--set", "seconds=60"]
    assert finetune[-4:] == ["--set", "steps=150", "--set", "seconds=60"]
    assert finetune[finetune.index("--from") + 1] == pretrain[pretrain.index("--run") + 1] == "sample-first-psu"
    assert codebooks == ["codebooks", "--run", "sample-first", "--rows", "5000"]
    assert first_run.words("sample", "pretrain", TINY)[-len(TINY) :] == list(TINY)


def test_it_ends_with_a_run_that_can_be_searched(workspace: Workspace):
    make_dataset(workspace, people=8, longest=30)
    assert not first_run.advance(workspace, "tiny", TINY).started
    first_run.start(workspace, "tiny", TINY)
    now = until_it_rests(workspace, TINY)
    assert now.finished, jobs.rows(workspace)
    found = {row["run"]: row["state"] for row in list_runs(workspace)["runs"]}
    assert found.items() >= {"tiny-first-psu": "done", "tiny-first": "done"}.items()
    assert codebook_names(workspace.run_dir("tiny-first")) == [DEFAULT]
    delete(workspace, "run", "tiny-first")
    assert not first_run.advance(workspace, "tiny", TINY).live  # not by itself
    assert first_run.start(workspace, "tiny", TINY)["command"] == "finetune"
    assert until_it_rests(workspace, TINY).finished


@pytest.mark.parametrize("mode", ["raise", "memory"])
def test_a_failed_step_waits_until_somebody_starts_it_again(workspace: Workspace, monkeypatch, mode: str):
    monkeypatch.setattr(engines, "runner_command", lambda job_dir: [sys.executable, str(DOUBLE), str(job_dir), "1"])
    broken = ("--set", "steps=3", "--set", f"mode={mode}")
    first_run.start(workspace, "tiny", broken)
    now = until_it_rests(workspace, broken)
    assert (now.done, now.next_step, now.finished) == (0, "pretrain", False)
    assert now.job["state"] == "failed" and now.job["state"] not in LIVE
    assert first_run.advance(workspace, "tiny", broken).job["job"] == now.job["job"]
    again = first_run.start(workspace, "tiny", ("--set", "steps=3"))
    until_it_rests(workspace, ("--set", "steps=3"))
    assert jobs.show(workspace, again["job"])["state"] == "done"
