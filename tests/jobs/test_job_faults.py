"""Faults: the job killed, the server killed, both; a full disk; two sessions pressing the button at the same instant.

Each is one test. `make test-faults` runs this file twenty times in a row.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from seminar_core.jobs import control as jobs
from seminar_core.jobs import engines
from seminar_core.processes import process_identity
from seminar_core.workspace import Workspace

DOUBLE = Path(__file__).with_name("job_double.py")
ROOT = Path(__file__).resolve().parents[2]
SERVER = """
import sys, time
from seminar_core.jobs import engines, control as jobs
from seminar_core.workspace import Workspace
from pathlib import Path
engines.runner_command = lambda job_dir: [sys.executable, {double!r}, str(job_dir), "1"]
print(jobs.start(Workspace(Path(sys.argv[1])), sys.argv[2:])["job"], flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def double(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "runner_command", lambda job_dir: [sys.executable, str(DOUBLE), str(job_dir), "1"])


def words(run: str = "r", **told: object) -> list[str]:
    line = ["pretrain", "--dataset", "small", "--run", run]
    for key, value in told.items():
        line += ["--set", f"{key}={value}"]
    return line


def wait_for(what: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def steps_seen(workspace: Workspace) -> list[int]:
    path = workspace.run_dir("r") / "seen.txt"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def server(workspace: Workspace, *line: str) -> subprocess.Popen[str]:
    """A process that starts the job as the page's server does, and then goes on serving."""
    return subprocess.Popen(
        [sys.executable, "-c", SERVER.format(double=str(DOUBLE)), str(workspace.root), *line],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def killed(workspace: Workspace, job: str) -> int:
    pid = jobs.show(workspace, job)["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: process_identity(pid) is None)
    return pid


def finish(workspace: Workspace, job: str) -> dict:
    wait_for(lambda: jobs.show(workspace, job)["state"] not in ("queued", "running"))
    return jobs.show(workspace, job)


def test_a_killed_job_is_lost_frees_its_device_and_continues_when_resumed(workspace: Workspace):
    job = jobs.start(workspace, words(steps=20, pause=0.03))["job"]
    wait_for(lambda: len(steps_seen(workspace)) >= 3)
    pid = killed(workspace, job)
    row = jobs.show(workspace, job)
    assert row["state"] == "lost" and row["error"]["kind"] == "lost" and str(pid) in row["error"]["message"]
    other = jobs.start(workspace, words("other", steps=1))["job"]
    assert finish(workspace, other)["state"] == "done"
    jobs.resume(workspace, job)
    assert finish(workspace, job)["state"] == "done"
    seen = steps_seen(workspace)
    assert sorted(set(seen)) == list(range(20)) and len(seen) <= 21


def test_a_killed_server_leaves_its_job_running(workspace: Workspace):
    page = server(workspace, *words(steps=40, pause=0.03))
    assert page.stdout is not None
    job = page.stdout.readline().strip()
    os.killpg(page.pid, signal.SIGKILL)
    page.wait()
    page.stdout.close()
    assert jobs.show(workspace, job)["state"] in ("queued", "running")
    assert finish(workspace, job)["state"] == "done" and steps_seen(workspace) == list(range(40))


def test_server_and_job_killed_together_are_told_as_lost(workspace: Workspace):
    page = server(workspace, *words(steps=400, pause=0.03))
    assert page.stdout is not None
    job = page.stdout.readline().strip()
    wait_for(lambda: len(steps_seen(workspace)) >= 1)
    os.killpg(page.pid, signal.SIGKILL)
    killed(workspace, job)
    page.wait()
    page.stdout.close()
    assert jobs.show(workspace, job)["state"] == "lost"


def test_a_killed_job_whose_server_does_not_collect_it_is_lost_all_the_same(workspace: Workspace):
    page = server(workspace, *words(steps=400, pause=0.03))
    assert page.stdout is not None
    job = page.stdout.readline().strip()
    wait_for(lambda: len(steps_seen(workspace)) >= 1)
    killed(workspace, job)
    assert jobs.show(workspace, job)["state"] == "lost"
    os.killpg(page.pid, signal.SIGKILL)
    page.wait()
    page.stdout.close()


def test_a_queued_job_that_is_killed_leaves_the_queue(workspace: Workspace):
    first = jobs.start(workspace, words("a", steps=1000, pause=0.02))["job"]
    second = jobs.start(workspace, words("b", steps=1))["job"]
    third = jobs.start(workspace, words("c", steps=1))["job"]
    killed(workspace, second)
    assert jobs.show(workspace, second)["state"] == "lost"
    jobs.cancel(workspace, first)
    assert finish(workspace, third)["state"] == "done"


def test_two_sessions_pressing_at_once_start_one_job(workspace: Workspace):
    pages = [server(workspace, *words(steps=30, pause=0.05)) for _ in range(2)]
    heard = []
    for page in pages:
        assert page.stdout is not None
        heard.append(page.stdout.readline().strip())
        os.killpg(page.pid, signal.SIGKILL)
        page.wait()
        page.stdout.close()
    assert sorted(heard) == ["", "pretrain-0001"] and len(jobs.rows(workspace)) == 1
    assert finish(workspace, "pretrain-0001")["state"] == "done"


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of one megabyte; where it cannot be mounted, the test says so and is skipped."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)


def test_a_full_disk_fails_the_job_with_its_reason(small_disk: Path):
    workspace = Workspace(small_disk / "workspace")
    job = jobs.start(workspace, words(mode="fill"))["job"]
    row = finish(workspace, job)
    assert row["state"] == "failed" and row["error"]["kind"] == "disk_full"
    assert "No space left" in row["error"]["message"] and "resume" in row["error"]["hint"]


def test_a_disk_filled_by_others_fails_the_job_with_its_reason(small_disk: Path):
    workspace = Workspace(small_disk / "workspace")
    job = jobs.start(workspace, words(steps=1000, pause=0.02))["job"]
    wait_for(lambda: len(steps_seen(workspace)) >= 1)
    with pytest.raises(OSError), (small_disk / "flood").open("wb", buffering=0) as flood:
        while True:
            flood.write(b"\0" * 1024)
    row = finish(workspace, job)
    assert row["state"] == "failed" and row["error"]["kind"] == "disk_full"
    (small_disk / "flood").unlink()
    jobs.resume(workspace, job)
    wait_for(lambda: jobs.show(workspace, job)["state"] == "running")
    jobs.cancel(workspace, job)


def test_a_file_size_limit_is_a_full_disk_too(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    line = [sys.executable, "-c", (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20));"
        f"sys.argv = sys.argv[1:]; runpy.run_path({str(DOUBLE)!r}, run_name='__main__')"
    )]  # fmt: skip
    monkeypatch.setattr(engines, "runner_command", lambda job_dir: [*line, "double", str(job_dir)])
    job = jobs.start(workspace, words(mode="fill"))["job"]
    row = finish(workspace, job)
    assert row["state"] == "failed" and row["error"]["kind"] == "disk_full" and "too large" in row["error"]["message"]


def test_a_job_asked_to_end_by_the_system_stops_at_a_checkpoint(workspace: Workspace):
    job = jobs.start(workspace, words(steps=1000, pause=0.02))["job"]
    wait_for(lambda: len(steps_seen(workspace)) >= 2)
    os.kill(jobs.show(workspace, job)["pid"], signal.SIGTERM)
    row = finish(workspace, job)
    assert row["state"] == "stopped" and (workspace.run_dir("r") / "stopped_at").exists()


def test_a_status_cut_short_is_never_seen(workspace: Workspace):
    job = jobs.start(workspace, words(steps=200, pause=0.0))["job"]
    path = workspace.job_dir(job) / "status.json"
    while json.loads(path.read_text())["state"] != "done":
        pass
    assert finish(workspace, job)["state"] == "done"
