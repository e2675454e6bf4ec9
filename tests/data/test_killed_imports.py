"""An import that is killed, whenever, is taken up by the next one to the same bytes, and leaves nothing behind."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seminar_core.data.importers.table import import_table
from seminar_core.data.opening import open_dataset
from seminar_core.data.stages import finished, remove_leftovers, scratch_directory, stage
from seminar_core.data.versions import dataset_lock
from seminar_core.files import held, sha256_of
from seminar_core.studies.integrity import verify
from seminar_core.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]


def write_log(folder: Path, rows: int = 400) -> Path:
    folder.mkdir()
    text = "".join(f"u{n % 7},{n * 37 % 1000},i{n % 11},{'shoe' if n % 3 else ''}\n" for n in range(rows))
    (folder / "events.csv.gz").write_bytes(gzip.compress(b"person,time,item,query\n" + text.encode(), mtime=0))
    (folder / "items.csv").write_text("item,title\n" + "".join(f"i{n},thing {n}\n" for n in range(11)))
    return folder


def contents(workspace: Workspace) -> dict[str, str]:
    """Sum of every file of the data sets; of the manifest without the time at which it was made, no sums of it."""
    found = {}
    for path in sorted(p for p in workspace.datasets.rglob("*") if p.is_file() and not p.name.startswith(".lock")):
        name = str(path.relative_to(workspace.datasets))
        if path.name == "manifest.json":
            found[name] = str({key: value for key, value in json.loads(path.read_text()).items() if key != "created"})
        elif path.name != "sums.json":
            found[name] = sha256_of(path)
    return found


def killed(workspace: Workspace, path: Path, moment: str) -> int:
    words = ["-m", "tests.data.killed_import", str(workspace.root), str(path), moment]
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, check=False, timeout=120).returncode


def test_imports_killed_at_six_moments_end_in_the_same_bytes(tmp_path):
    log = write_log(tmp_path / "in")
    right, workspace = Workspace(tmp_path / "right"), Workspace(tmp_path / "workspace")
    import_table(right, log, "data")
    for moment in ("mark", "stage", "20", "hash", "publish", "pointer"):
        assert killed(workspace, log, moment) == -signal.SIGKILL, moment
        assert len(list(workspace.datasets.glob(".partial-*"))) == 1, moment
        assert not (workspace.datasets / "data" / "dataset.json").exists(), moment
    import_table(workspace, log, "data")
    assert contents(workspace) == contents(right)
    assert verify(workspace, "data")["ok"]


def test_a_data_set_stays_readable_when_an_import_over_it_is_killed(tmp_path):
    log = write_log(tmp_path / "in")
    workspace = Workspace(tmp_path / "workspace")
    import_table(workspace, log, "data")
    before = contents(workspace)
    for moment in ("publish", "unsealed"):
        assert killed(workspace, log, moment) == -signal.SIGKILL
        assert open_dataset(workspace, "data").n_events == 400
    import_table(workspace, log, "data")
    assert contents(workspace) == before and verify(workspace, "data")["ok"]


def test_a_finished_stage_is_taken_up_once_and_only_for_the_same_sources(tmp_path):
    workspace, made = Workspace(tmp_path / "workspace"), []

    def make(folder: Path) -> int:
        (folder / "rows").write_text("x")
        made.append(folder)
        return len(made)

    workspace.datasets.mkdir(parents=True)
    left = workspace.datasets / ".partial-0123abcd-data"
    left.mkdir()
    stage(left, "a", {"size": 1}, make)
    (left / "spill").mkdir()
    with dataset_lock(workspace, "data"), scratch_directory(workspace, "data") as scratch:
        assert scratch == left and not (left / "spill").exists()
        assert stage(scratch, "a", {"size": 1}, make) == (scratch / "stage-a", 1)
        assert stage(scratch, "a", {"size": 2}, make)[1] == 2
    assert not left.exists() and len(made) == 2


def test_leftovers_of_another_data_set_are_left_alone(tmp_path):
    workspace = Workspace(tmp_path / "workspace")
    others = [workspace.datasets / f".partial-0123abcd-{name}" for name in ("my-data", "data-old", "0123abcd-data")]
    own = workspace.datasets / ".partial-0123abcd-data"
    for path in (*others, own):
        path.mkdir(parents=True)
    with dataset_lock(workspace, "data"), scratch_directory(workspace, "data"):
        assert not own.exists()
    assert all(path.is_dir() for path in others)


def test_the_janitor_removes_what_no_process_holds(tmp_path):
    workspace = Workspace(tmp_path / "workspace")
    old, day_old = time.time() - 3600, time.time() - 2 * 24 * 3600
    gone = [workspace.root / ".upload-0123abcd", workspace.datasets / ".partial-0123abcd-gone"]
    held_one, fresh = workspace.root / ".upload-00000000", workspace.root / ".upload-11111111"
    waiting, forgotten = (workspace.datasets / f".partial-{n}2345678-{name}" for n, name in ((1, "x"), (2, "y")))
    for path in (*gone, held_one, fresh, waiting, forgotten):
        path.mkdir(parents=True)
    for path in (waiting, forgotten):
        stage(path, "a", {}, lambda folder: None)
        assert finished(path) == ["stage-a"]
    file = workspace.datasets / ".partial-0123abcd-dataset.json"
    file.write_text("{")
    for path in (*gone, held_one, waiting, file):
        os.utime(path, (old, old))
    os.utime(forgotten, (day_old, day_old))
    with held(held_one):
        assert sorted(remove_leftovers(workspace)) == sorted([*gone, forgotten, file])
    assert held_one.is_dir() and fresh.is_dir() and waiting.is_dir()


@pytest.mark.slow
def test_ten_random_kills_of_five_million_events_end_in_the_same_bytes(tmp_path):
    """About three minutes; the moments are drawn over the time that one import takes."""
    from benchmarks.importing import write_log as write_large

    log = tmp_path / "in"
    assert write_large(log, 2_450, "csv") == 5_000_000
    right, workspace = Workspace(tmp_path / "right"), Workspace(tmp_path / "workspace")
    command = [sys.executable, "-m", "tests.data.killed_import"]
    started = time.perf_counter()
    subprocess.run([*command, str(right.root), str(log), "never"], cwd=ROOT, check=True)
    whole = time.perf_counter() - started
    draw = random.Random(0)
    moments, taken_up = [], 0
    for _ in range(10):
        running = subprocess.Popen([*command, str(workspace.root), str(log), "never"], cwd=ROOT)
        moment = draw.uniform(0.1, 0.95) * whole
        try:
            running.wait(moment)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
            moments.append(round(moment, 1))
        taken_up += any(finished(path) for path in workspace.datasets.glob(".partial-*"))
    subprocess.run([*command, str(workspace.root), str(log), "never"], cwd=ROOT, check=True)
    print(f"one import {whole:.1f} s; killed after {moments} s; a finished stage was there {taken_up} times")
    assert len(moments) >= 5 and taken_up >= 1
    assert contents(workspace) == contents(right)
    assert not list(workspace.datasets.glob(".partial-*"))
