"""A child is held to its memory and time, its end is named whoever ended it, and it leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from seminar_core.cli import datasets
from seminar_core.data.intake.uploads import UploadLimits, keep_upload
from seminar_core.data.opening import open_dataset
from seminar_core.errors import Cancelled, ChildDiedError, RelayedError, ResourceError
from seminar_core.jobs import control, governor
from seminar_core.jobs.governor import Bounds, supervised
from seminar_core.progress import silent
from tests.data.test_uploads import EVENTS, files

HUNGRY = "import time; held = bytearray(400_000_000); time.sleep(60)"
SLEEPY = "import time; time.sleep(60)"


@pytest.fixture
def as_child(monkeypatch):
    """`as_child(code)`: the child runs this program instead of ours."""
    real = subprocess.Popen

    def use(code: str):
        monkeypatch.setattr(
            governor.subprocess, "Popen", lambda words, **how: real([sys.executable, "-c", code], **how)
        )

    return use


@pytest.fixture
def left():
    """`left()`: the processes below this one that were not there when the test began."""

    def children() -> set[psutil.Process]:
        return set(psutil.Process().children(recursive=True))

    before = children()
    return lambda: children() - before


def test_a_child_that_takes_more_memory_than_it_may_is_stopped_with_both_numbers(as_child, left):
    as_child(HUNGRY)
    with pytest.raises(ResourceError, match=r"the work was stopped: it used \d+ MB of memory, at most 200 MB may") as e:
        supervised(["import"], "the work", Bounds(memory_mb=200), silent)
    assert "--most-memory-mb" in e.value.hint and "SEMINAR_UPLOAD_MEMORY_MB" in e.value.hint
    assert not left()


def test_a_child_that_takes_longer_than_it_may_is_stopped(as_child, left):
    as_child(SLEEPY)
    with pytest.raises(ResourceError, match="it took longer than the 1 s that it may take"):
        supervised(["import"], "the work", Bounds(seconds=1), silent)
    assert not left()


def test_a_child_that_is_killed_is_named_with_the_signal_and_where_it_was(as_child):
    as_child("import os, sys; print('sorting: 3/9', file=sys.stderr); sys.stderr.flush(); os.kill(os.getpid(), 9)")
    with pytest.raises(ChildDiedError, match=r"process \d+ was ended by SIGKILL \(signal 9\) at 'sorting' \(3 of 9\)"):
        supervised(["import"], "the work", Bounds(), silent)
    as_child("raise SystemExit(4)")
    with pytest.raises(ChildDiedError, match=r"ended without an answer \(status 4\)"):
        supervised(["import"], "the work", Bounds(), silent)


def test_a_caller_that_stops_ends_the_child(as_child, left):
    as_child(SLEEPY)

    def stop(done: int, total: int, message: str) -> None:
        raise Cancelled("asked to stop", hint="again")

    with pytest.raises(Cancelled):
        supervised(["import"], "the work", Bounds(), stop)
    assert not left()


PARENT_PROGRAM = """
import os, subprocess, sys
from seminar_core.processes import PARENT
child = "import time; from seminar_core.processes import end_with_parent; end_with_parent(); time.sleep(60)"
print(subprocess.Popen([sys.executable, "-c", child], env={**os.environ, PARENT: str(os.getpid())}).pid, flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_child_ends_with_its_parent():
    pid = int(
        subprocess.run([sys.executable, "-c", PARENT_PROGRAM], capture_output=True, text=True, check=False).stdout
    )
    until = time.monotonic() + 20
    while time.monotonic() < until and psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.1)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_the_command_in_a_child_answers_as_it_does_without(workspace, tmp_path):
    (tmp_path / "log.csv").write_bytes(EVENTS.replace(b",", b";"))
    told = {"workspace": workspace, "format": "table", "path": tmp_path / "log.csv", "name": "mine", "delimiter": ";"}
    bounds = {"most_memory_mb": 2_000, "most_seconds": 300, "no_header": False, "column": ["item=item"]}
    answer = datasets.import_supervised(workspace, tmp_path / "log.csv", "mine", told | bounds)
    assert (answer["events"], answer["guesses"]["delimiter"]) == (3, {"value": ";", "from": "told"})
    assert open_dataset(workspace, "mine").n_events == 3
    with pytest.raises(RelayedError, match="is not one character") as refused:
        datasets.import_supervised(workspace, tmp_path / "log.csv", "mine", told | bounds | {"delimiter": "no"})
    assert refused.value.kind == "config"


def test_an_import_that_is_stopped_leaves_the_old_version_and_nothing_else(workspace, tmp_path):
    folder = keep_upload(workspace, files(), UploadLimits())
    name = {"workspace": workspace, "format": "table", "name": "mine", "offer": True}
    unbounded = {"most_memory_mb": 2_000, "most_seconds": None}
    datasets.import_supervised(workspace, folder, "mine", {**name, **unbounded, "path": folder})
    before = sorted(path for path in workspace.root.rglob("*"))
    folder = keep_upload(workspace, files(EVENTS + b"c,9,z\n"), UploadLimits())
    with pytest.raises(ResourceError, match="the import of 'mine' was stopped: it used"):
        datasets.import_supervised(
            workspace, folder, "mine", {**name, "most_memory_mb": 5, "most_seconds": None, "path": folder}
        )
    assert sorted(path for path in workspace.root.rglob("*")) == before
    last = json.loads((workspace.root / "audit.jsonl").read_text().splitlines()[-1])
    assert (last["action"], last["what"], last["outcome"]) == ("import", "mine", "failed: resource")


def test_a_killed_import_of_an_upload_is_told_by_its_job_and_its_upload_is_gone(workspace):
    folder = keep_upload(workspace, files(b"person,time,item\n" + b"a,1,x\n" * 1_000_000), UploadLimits())
    words = ["import", "table", str(folder), "--name", "mine", *UploadLimits().words()]
    job = control.start(workspace, words)
    found = None
    until = time.monotonic() + 120
    while found is None and time.monotonic() < until:
        found = next((p for p in psutil.Process(job["pid"]).children() if "import" in p.cmdline()), None)
        time.sleep(0.02)
    assert found is not None
    os.kill(found.pid, signal.SIGKILL)
    while (now := control.show(workspace, job["job"]))["state"] in ("queued", "running") and time.monotonic() < until:
        time.sleep(0.1)
    assert now["state"] == "failed" and now["device"] == "disk"
    assert now["error"]["kind"] == "process_died"
    assert f"process {found.pid} was ended by SIGKILL" in now["error"]["message"]
    assert not list(workspace.root.glob(".upload-*")) and not list(workspace.datasets.glob(".partial-*"))
