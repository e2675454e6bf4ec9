"""A map as a background job: it ends with a whole file and a kept map, or, cancelled, with neither."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from seminar_core.jobs import control as jobs
from seminar_core.workspace import Workspace
from tests.tiny_run import make_run

ENDED = ("done", "stopped", "failed", "lost")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_run(tmp_path_factory.mktemp("map-jobs"))


def wait_until(workspace: Workspace, job: str, *states: str, seconds: float = 150) -> dict:
    until = time.monotonic() + seconds
    while (row := jobs.show(workspace, job))["state"] not in states:
        assert time.monotonic() < until and row["state"] not in ENDED, row
        time.sleep(0.05)
    return row


def started(workspace: Workspace, out: Path, seed: int) -> str:
    words = ["map", "--run", "run", "--stages", "before,after", "--seed", str(seed), "--out", str(out)]
    return str(jobs.start(workspace, words)["job"])


def test_a_map_job_runs_to_done_with_the_commands_answer(workspace: Workspace, tmp_path: Path):
    out = tmp_path / "map.parquet"
    job = started(workspace, out, 0)
    row = wait_until(workspace, job, "done")
    said = json.loads((workspace.job_dir(job) / "result.json").read_text())
    assert row["command"] == "map" and row["error"] is None and row["step"] == row["steps"] == 200
    table = pq.read_table(out)
    assert table.column_names == ["item", "channel", "stage", "x", "y"] and len(table) == said["points"]
    assert sorted(path.name for path in (workspace.maps / said["map"]).iterdir()) == ["map.json", "points.parquet"]


def test_a_cancelled_map_job_leaves_no_half_map(workspace: Workspace, tmp_path: Path):
    kept = sorted(workspace.maps.iterdir()) if workspace.maps.is_dir() else []
    out = tmp_path / "map.parquet"
    job = started(workspace, out, 1)
    until = time.monotonic() + 100
    while jobs.show(workspace, job)["steps"] != 200:  # epochs: it is drawing now
        assert time.monotonic() < until
        time.sleep(0.02)
    row = jobs.cancel(workspace, job)
    assert row["state"] == "stopped" and row["error"] is None
    assert list(tmp_path.iterdir()) == []
    assert (sorted(workspace.maps.iterdir()) if workspace.maps.is_dir() else []) == kept
    jobs.resume(workspace, job)
    wait_until(workspace, job, "done")
    assert pq.read_table(out).num_rows > 0 and len(list(workspace.maps.iterdir())) == len(kept) + 1
