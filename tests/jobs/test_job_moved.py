"""Directories that go while they are written into: a workspace moved, a run or a job removed by hand.

Nothing grows again at the old place, the reason is named, and the job goes on from where it lies now.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from seminar_core.access import AUDIT
from seminar_core.errors import GoneError
from seminar_core.files import HeldDirectory
from seminar_core.jobs import control as jobs
from seminar_core.jobs import engines
from seminar_core.jobs.state import read_spec
from seminar_core.processes import process_identity
from seminar_core.training.pretrain import pretrain
from seminar_core.training.recipe import PretrainConfig
from seminar_core.training.session import Orders
from seminar_core.training.settings import with_values
from seminar_core.workspace import Workspace
from tests.training.tiny_training import SMALL, tiny_workspace

DOUBLE = Path(__file__).with_name("job_double.py")
CONFIG = with_values(PretrainConfig(), {**SMALL, "steps": 30})


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "runner_command", lambda job_dir: [sys.executable, str(DOUBLE), str(job_dir), "1"])


def words(**told: object) -> list[str]:
    settings = [word for key, value in told.items() for word in ("--set", f"{key}={value}")]
    return ["pretrain", "--dataset", "small", "--run", "r", *settings]


def wait_for(what: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def started(workspace: Workspace, **told: object) -> dict:
    """A job that is at work."""
    row = jobs.start(workspace, words(**told))
    wait_for(lambda: (workspace.run_dir("r") / "seen.txt").exists() or told.get("mode") == "deaf")
    wait_for(lambda: jobs.show(workspace, row["job"])["state"] == "running")
    return row


@pytest.mark.usefixtures("double")
def test_a_workspace_moved_under_a_job_leaves_no_ghost_and_the_job_goes_on_at_the_new_place(workspace: Workspace):
    job = started(workspace, steps=60, pause=0.03)["job"]
    moved = Workspace(workspace.root.rename(workspace.root.with_name("elsewhere")))
    wait_for(lambda: jobs.show(moved, job)["state"] == "failed")
    error = jobs.show(moved, job)["error"]
    assert error["kind"] == "gone" and f"moved to {moved.job_dir(job)}" in error["message"]
    assert not workspace.root.exists()
    assert read_spec(moved.job_dir(job)).workspace == str(moved.root)
    jobs.resume(moved, job)
    wait_for(lambda: jobs.show(moved, job)["state"] == "done")
    seen = [int(line) for line in (moved.run_dir("r") / "seen.txt").read_text().split()]
    assert sorted(set(seen)) == list(range(60)) and len(seen) <= 61
    assert not workspace.root.exists()


@pytest.mark.usefixtures("double")
def test_a_job_in_one_long_step_ends_after_the_grace_period_when_its_workspace_has_moved(workspace: Workspace):
    row = started(workspace, mode="deaf")
    moved = Workspace(workspace.root.rename(workspace.root.with_name("elsewhere")))
    wait_for(lambda: process_identity(row["pid"]) is None)
    assert jobs.show(moved, row["job"])["error"]["kind"] == "gone" and not workspace.root.exists()


@pytest.mark.usefixtures("double")
def test_a_job_whose_own_directory_was_removed_ends_and_leaves_nothing_behind(workspace: Workspace):
    row = started(workspace, steps=2000, pause=0.02)
    shutil.rmtree(workspace.job_dir(row["job"]))
    wait_for(lambda: process_identity(row["pid"]) is None)
    assert jobs.job_names(workspace) == []


def interrupted_by(what: Callable[[], object]) -> Orders:
    """Orders of a run during whose fifth step something happens to its directory."""

    def progress(done: int, total: int, message: str) -> None:
        if done == 5:
            what()

    return Orders(progress=progress)


def test_a_run_removed_by_hand_ends_with_a_named_error_and_stays_removed(tmp_path: Path):
    workspace = tiny_workspace(tmp_path)
    orders = interrupted_by(lambda: shutil.rmtree(workspace.run_dir("r")))
    with pytest.raises(GoneError, match=r"the run's directory .*/runs/r was deleted") as caught:
        pretrain(workspace, "tiny", "r", config=CONFIG, orders=orders)
    assert "train the run again" in caught.value.hint
    assert list(workspace.runs.iterdir()) == []


def test_a_training_whose_workspace_moves_ends_and_is_resumed_with_the_data_of_the_new_place(tmp_path: Path):
    workspace = tiny_workspace(tmp_path)
    moved = Workspace(tmp_path / "elsewhere")
    with pytest.raises(GoneError, match=f"moved to {moved.run_dir('r')}"):
        pretrain(
            workspace, "tiny", "r", config=CONFIG, orders=interrupted_by(lambda: workspace.root.rename(moved.root))
        )
    assert not workspace.root.exists()
    assert '"failed: gone"' in (moved.root / AUDIT).read_text().splitlines()[-1]
    assert pretrain(moved, "tiny", "r", config=CONFIG, orders=Orders(resume=True))["steps"] == 30
    assert not workspace.root.exists()


def test_another_directory_at_the_same_place_is_not_the_one_that_was_held(tmp_path: Path):
    place = tmp_path / "place"
    place.mkdir()
    held = HeldDirectory(place, "the directory", "look")
    assert held.error() is None and held.present() == place
    place.rename(tmp_path / "kept")
    place.mkdir()
    with pytest.raises(GoneError, match=f"moved to {tmp_path / 'kept'}"):
        held.check()
    held.close()
