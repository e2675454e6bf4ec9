"""A viewer changes nothing, whoever calls; what was done and refused stands in the audit file; files are private."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys

import pytest

from app.stations.training.notes import Note, write_note
from seminar_core import access
from seminar_core.data.importers.table import import_table
from seminar_core.data.opening import known_datasets
from seminar_core.data.versions import settle
from seminar_core.errors import MissingFileError, NotAllowedError, ResourceError
from seminar_core.files import read_lines
from seminar_core.jobs import control, removal


@pytest.fixture
def as_person(monkeypatch):
    """`as_person(name, role)`: from here on this process acts for them."""
    monkeypatch.delenv(access.READ_ONLY, raising=False)
    monkeypatch.setattr(access, "_ask", [access.local_person])
    return lambda name, role: access.ask_with(lambda: access.Person(name, role))


def lines(workspace) -> list[dict]:
    return [json.loads(line) for line in (workspace.root / access.AUDIT).read_text().splitlines()]


@pytest.fixture
def source(tmp_path):
    (tmp_path / "events.csv").write_text("person,time,item\np,1,a\np,2,b\n")
    return tmp_path / "events.csv"


@pytest.mark.parametrize("role", [access.VIEWER, access.NOBODY])
def test_a_viewer_cannot_import_train_cancel_delete_or_prune(workspace, source, as_person, role):
    import_table(workspace, source, "data")
    as_person("ada@example.org", role)
    asked = {
        "import": lambda: import_table(workspace, source, "other"),
        "accept": lambda: settle(workspace, "data", "0" * 12, accept=True),
        "train": lambda: control.start(workspace, ["pretrain", "--dataset", "data", "--run", "r"]),
        "cancel": lambda: control.cancel(workspace, "pretrain-0001"),
        "delete": lambda: removal.delete(workspace, "dataset", "data"),
        "prune": lambda: removal.delete(workspace, "checkpoints", "r"),
        "note": lambda: write_note(workspace, "r", Note("", (), False, "")),
    }
    for act in asked.values():
        with pytest.raises(NotAllowedError, match=f"ada@example.org is a {role}, only an operator may"):
            act()
    assert "other" not in known_datasets(workspace) and (workspace.datasets / "data").is_dir()
    assert not workspace.jobs.exists()
    assert [line["outcome"] for line in lines(workspace)] == ["done"] + ["refused"] * 6


def test_read_only_makes_everyone_a_viewer(workspace, source, as_person, monkeypatch):
    as_person("ada", access.OPERATOR)
    monkeypatch.setenv(access.READ_ONLY, "1")
    with pytest.raises(NotAllowedError) as refused:
        import_table(workspace, source, "data")
    assert "start it without --read-only" in refused.value.hint and not access.may_operate()
    monkeypatch.setenv(access.READ_ONLY, "0")
    assert access.may_operate()


def test_an_import_and_its_deletion_are_two_lines_and_a_failure_says_how(workspace, source, as_person):
    as_person("ada", access.OPERATOR)
    import_table(workspace, source, "data")
    removal.delete(workspace, "dataset", "data")
    with pytest.raises(MissingFileError):
        import_table(workspace, source.with_name("none"), "data")
    found = [(line["who"], line["action"], line["what"], line["outcome"]) for line in lines(workspace)]
    assert found == [
        ("ada", "import", "data", "done"),
        ("ada", "delete dataset", "data", "done"),
        ("ada", "import", "data", "failed: missing_file"),
    ]
    assert all(line["when"].endswith("+00:00") for line in lines(workspace))


def test_a_full_disk_takes_nothing_back_and_the_line_stands_in_the_log(workspace, source, as_person, caplog):
    as_person("ada", access.OPERATOR)
    workspace.root.mkdir(mode=0o700)
    (workspace.root / access.AUDIT).symlink_to("/dev/full")
    import_table(workspace, source, "data")
    assert "data" in known_datasets(workspace)
    told = [record.getMessage() for record in caplog.records if "was not written" in record.getMessage()]
    assert len(told) == 1 and "No space left" in told[0]
    line = json.loads(told[0][told[0].index("{") :])
    assert (line["who"], line["action"], line["outcome"]) == ("ada", "import", "done")


def test_a_line_after_one_that_was_cut_short_stands_alone(workspace, source, as_person):
    as_person("ada", access.OPERATOR)
    workspace.root.mkdir(mode=0o700)
    (workspace.root / access.AUDIT).write_text('{"when": "2026-')
    import_table(workspace, source, "data")
    kept = (workspace.root / access.AUDIT).read_text().splitlines()
    assert kept[0] == '{"when": "2026-' and json.loads(kept[1])["action"] == "import"
    assert [line["action"] for line in read_lines(workspace.root / access.AUDIT)] == ["import"]


def test_more_jobs_or_processes_than_the_limit_are_refused_with_the_number(workspace, as_person, monkeypatch):
    words = ["pretrain", "--dataset", "sample", "--run", "r"]
    with pytest.raises(ResourceError, match="1000 processes were asked for, this machine has"):
        control.start(workspace, words, processes=1000)
    waiting = {"job": "pretrain-0001", "state": "queued", "run": "other", "words": []}
    monkeypatch.setattr(control, "rows", lambda workspace: [waiting])
    monkeypatch.setenv("SEMINAR_MOST_JOBS", "1")
    with pytest.raises(ResourceError, match="1 jobs are waiting or running, at most 1 may be"):
        control.start(workspace, words)


def made_by_an_import(workspace, source) -> str:
    """Import in a process of its own; what it said."""
    command = [sys.executable, "-m", "seminar_core", "import", "table", str(source), "--name", "data"]
    done = subprocess.run([*command, "--workspace", str(workspace.root)], check=True, capture_output=True, text=True)
    return done.stderr


def modes(workspace) -> set[tuple[bool, int]]:
    """Whether it is a directory, and the mode, of everything below the workspace."""
    return {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in workspace.root.rglob("*")}


def test_a_new_workspace_and_what_is_made_in_it_are_its_owners_alone(workspace, source):
    assert "is open to" not in made_by_an_import(workspace, source)
    assert stat.S_IMODE(workspace.root.stat().st_mode) == 0o700 and workspace.root.stat().st_uid == os.getuid()
    assert modes(workspace) == {(True, 0o700), (False, 0o600)}
    assert lines(workspace)[0]["who"] == access.local_person().name


def test_an_existing_workspace_keeps_its_mode_and_the_log_says_who_may_look_in(workspace, source):
    workspace.root.mkdir()
    workspace.root.chmod(0o755)
    said = made_by_an_import(workspace, source)
    assert said.count("is open to its group and everyone on this machine (mode 0755); it keeps its mode") == 1
    assert stat.S_IMODE(workspace.root.stat().st_mode) == 0o755
    assert modes(workspace) == {(True, 0o700), (False, 0o600)}


def test_a_workspace_that_its_group_writes_to_stays_the_groups(workspace, source):
    workspace.root.mkdir()
    workspace.root.chmod(0o770)
    assert "is open to its group (mode 0770)" in made_by_an_import(workspace, source)
    assert stat.S_IMODE(workspace.root.stat().st_mode) == 0o770
    assert modes(workspace) == {(True, 0o770), (False, 0o660)}
