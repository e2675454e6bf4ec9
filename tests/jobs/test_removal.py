"""What a live job or a training makes or reads is not deleted, whether its words name it or a run among them does."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from seminar_core.errors import NotReadyError
from seminar_core.files import write_json
from seminar_core.jobs.removal import delete
from seminar_core.jobs.state import JobSpec, JobStatus, write_spec, write_status
from seminar_core.training import run_files
from seminar_core.workspace import Workspace


@pytest.fixture
def kept(workspace: Workspace) -> Workspace:
    """Data sets `d` and `other`; run `child` of `d` started from `psu` of `d`; a map file."""
    for name in ("d", "other"):
        write_json(workspace.dataset_dir(name) / "dataset.json", {"current": "1"})
    for name, parent in (("psu", None), ("child", "psu")):
        write_json(workspace.run_dir(name) / "run.json", {"name": name, "dataset": "d", "parent": parent})
        run_files.write_status(workspace.run_dir(name), state="done")
    write_json(workspace.maps / "drawn.parquet", {})
    return workspace


def waiting(workspace: Workspace, line: str) -> None:
    """A job that was started just now and has no process yet."""
    job_dir = workspace.job_dir("job-0001")
    job_dir.mkdir(parents=True)
    write_spec(job_dir, JobSpec(tuple(shlex.split(line)), str(workspace.root)))
    write_status(job_dir, JobStatus())


READ_BY = [
    ("evaluate --run child", {"dataset d", "run child", "run psu"}),
    ("codebooks --run=child", {"dataset d", "run child", "run psu"}),
    ("map --run child --out maps/drawn.parquet", {"dataset d", "run child", "run psu", "map drawn"}),
    ("finetune --dataset d --run new --from psu", {"dataset d", "run psu"}),
    ("finetune --dataset other --run child --overwrite", {"dataset other", "run child"}),
    ("encode --dataset d", {"dataset d"}),
    ("import table there --name other", {"dataset other"}),
]


@pytest.mark.parametrize(("line", "used"), READ_BY)
def test_what_a_live_job_makes_or_reads_is_not_deleted(kept: Workspace, line: str, used: set[str]):
    waiting(kept, line)
    refused = set()
    for kind, name in (("map", "drawn"), ("run", "child"), ("run", "psu"), ("dataset", "d"), ("dataset", "other")):
        try:
            delete(kept, kind, name)
        except NotReadyError as error:
            assert error.message == f"{kind} {name!r} is in use: job job-0001 is queued"
            refused.add(f"{kind} {name}")
    assert refused == used


def test_what_a_training_without_a_job_reads_is_not_deleted(kept: Workspace):
    run_files.write_status(kept.run_dir("child"), state="running")
    for kind, name in (("dataset", "d"), ("run", "psu"), ("run", "child")):
        with pytest.raises(NotReadyError, match=f"{kind} '{name}' is in use: run 'child' is being trained by process"):
            delete(kept, kind, name)
    delete(kept, "dataset", "other")
    run_files.write_status(kept.run_dir("child"), state="stopped")
    assert delete(kept, "dataset", "d")["dependents"] == {"runs": ["child", "psu"]}


def test_runs_that_name_each_other_are_looked_at_once(kept: Workspace):
    write_json(kept.run_dir("psu") / "run.json", {"name": "psu", "dataset": "d", "parent": "child"})
    waiting(kept, "evaluate --run child")
    with pytest.raises(NotReadyError, match="job-0001"):
        delete(kept, "run", "psu")
    assert Path(kept.run_dir("psu")).is_dir()
