"""A version that somebody reads stays as it is, whatever is imported under its name meanwhile."""

from __future__ import annotations

import subprocess
import sys

import pytest

from seminar_core.data import versions
from seminar_core.data.importers.table import import_table
from seminar_core.data.limits import Terms
from seminar_core.data.opening import open_dataset
from seminar_core.data.versions import offered, remove_released, settle
from seminar_core.errors import StaleError

PINNED = """
import sys
from pathlib import Path
from seminar_core.data.opening import open_dataset
from seminar_core.data.versions import pin
from seminar_core.workspace import Workspace
workspace = Workspace(Path(sys.argv[1]))
pin(workspace, "data")
print("pinned", flush=True)
sys.stdin.readline()
print(open_dataset(workspace, "data").n_events)
"""


def bring(workspace, folder, events: int, **how) -> str:
    """Import `events` events as data set `data`; the hash of what came of it."""
    folder.mkdir(exist_ok=True)
    rows = [f"p,{n},i{n}" for n in range(events)]
    (folder / "events.csv").write_text("\n".join(["person,time,item", *rows]) + "\n")
    import_table(workspace, folder, "data", terms=Terms(**how))
    return offered(workspace, "data") or open_dataset(workspace, "data").hash


def kept(workspace) -> set[str]:
    return {path.name for path in (workspace.datasets / "data").iterdir() if path.is_dir()}


def test_a_version_that_is_read_stays_until_it_is_let_go(workspace, tmp_path):
    old = bring(workspace, tmp_path / "in", 5)
    reader = open_dataset(workspace, "data")
    new = bring(workspace, tmp_path / "in", 9)
    assert kept(workspace) == {old, new}
    assert len(reader.titles) == 6 and open_dataset(workspace, "data").n_events == 9
    remove_released(workspace)
    assert kept(workspace) == {old, new}
    del reader
    remove_released(workspace)
    assert kept(workspace) == {new}


def test_a_process_that_waits_reads_the_version_that_it_pinned(workspace, tmp_path):
    bring(workspace, tmp_path / "in", 5)
    words = [sys.executable, "-c", PINNED, str(workspace.root)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout.readline() == "pinned\n"
        new = bring(workspace, tmp_path / "in", 9)
        assert job.communicate("go\n", timeout=60)[0] == "5\n"
    remove_released(workspace)
    assert kept(workspace) == {new}


def test_an_offered_version_takes_its_place_only_when_it_is_accepted(workspace, tmp_path):
    old = bring(workspace, tmp_path / "in", 5)
    new = bring(workspace, tmp_path / "in", 9, offer=True)
    assert (open_dataset(workspace, "data").hash, offered(workspace, "data")) == (old, new)
    settle(workspace, "data", new, accept=False)
    assert kept(workspace) == {old}
    with pytest.raises(StaleError, match=f"version {new} of data set 'data' is not offered any more, none is"):
        settle(workspace, "data", new, accept=True)
    assert bring(workspace, tmp_path / "in", 9, offer=True) == new
    settle(workspace, "data", new, accept=True)
    assert (open_dataset(workspace, "data").hash, kept(workspace)) == (new, {new})


def test_a_first_version_is_current_at_once(workspace, tmp_path):
    new = bring(workspace, tmp_path / "in", 3, offer=True)
    assert open_dataset(workspace, "data").hash == new and offered(workspace, "data") is None


def test_a_pin_of_nothing_holds_nothing(workspace):
    versions.pin(workspace, "data")
    assert versions._PINNED == {}
