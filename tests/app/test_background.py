"""The first run of a data set goes on at every station, and never trains over what is there already."""

from __future__ import annotations

import shutil

import pytest

from app import background
from seminar_core.jobs import control as jobs
from seminar_core.jobs import first_run
from seminar_core.workspace import Workspace
from tests.app.conftest import words_of


def job_row(command: str, run: str, state: str, **more) -> dict:
    """A job as `jobs.rows` lists it."""
    known = {"job": f"{command}-0001", "step": 3, "steps": 10, "eta_s": 7.0, "message": "training", "error": None}
    return {**known, "command": command, "run": run, "state": state, **more}


@pytest.fixture
def begun(monkeypatch, tiny_workspace, tmp_path):
    """`begun(rows, runs)` is a workspace whose jobs are `rows`; it lists what was started."""
    workspace = Workspace(tmp_path / "workspace")
    shutil.copytree(tiny_workspace.datasets, workspace.datasets)
    monkeypatch.setenv("SEMINAR_WORKSPACE", str(workspace.root))
    started: list[list[str]] = []

    def make(rows: list[dict], runs: list[dict]):
        monkeypatch.setattr(jobs, "rows", lambda _: rows)
        monkeypatch.setattr(jobs, "start", lambda _, words: started.append(words))
        monkeypatch.setattr(background.loaders, "runs", lambda *_: runs)
        return workspace, started

    return make


PSU, RUN = first_run.names("tiny")
PRETRAINED = job_row("pretrain", PSU, "done")
FINETUNED = job_row("finetune", RUN, "done")


@pytest.mark.parametrize(
    ("rows", "runs", "expected"),
    [
        ([PRETRAINED], [{"run": PSU}], "finetune"),
        ([PRETRAINED], [{"run": PSU}, {"run": RUN, "codebooks": []}], None),  # the job was forgotten, its run was not
        ([PRETRAINED], [], None),
        ([PRETRAINED, FINETUNED], [{"run": RUN, "codebooks": []}], "codebooks"),
        ([PRETRAINED, FINETUNED], [{"run": RUN, "codebooks": ["OPQ16x8"]}], None),
        ([PRETRAINED, FINETUNED], [], None),
        ([], [], None),
    ],
)
def test_the_next_step_starts_only_where_what_it_makes_is_missing(begun, rows, runs, expected):
    _, started = begun(rows, runs)
    background.due("tiny")
    assert [words[0] for words in started] == ([expected] if expected else [])


@pytest.mark.parametrize("station", ["data", "life", "training"])
def test_every_station_shows_a_first_run_that_is_under_way(begun, open_app, station, monkeypatch):
    workspace, _ = begun([PRETRAINED, job_row("finetune", RUN, "running", message="training, loss 0.5")], [])
    monkeypatch.setattr("app.stations.training.view.render", lambda: None)
    at = open_app(workspace, station, dataset="tiny", person="p1")
    assert not at.exception and at.button(key="first_run_cancel").label == "Cancel"
    said = at.get("progress")[0].proto.text
    assert "step 2 of 3" in said and "30%" in said and "about 7 s left" in said
    assert "loss 0" in said


def test_cancel_is_understood_also_when_the_click_comes_with_a_whole_run(begun, open_app, monkeypatch):
    rows = [job_row("pretrain", PSU, "running")]
    workspace, _ = begun(rows, [])
    monkeypatch.setattr(jobs, "cancel", lambda _, job, wait: rows[0].update(state="stopping"))
    monkeypatch.setattr(jobs, "enforce", lambda _: None)
    at = open_app(workspace, "data", dataset="tiny")
    at.button(key="first_run_cancel").click().run()
    assert not at.exception and "stopping" in at.get("progress")[0].proto.text


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (None, "The first run was stopped in step 1 of 3"),
        ({"message": "no room", "hint": "make room"}, "The first run failed in step 1 of 3"),
    ],
)
def test_a_first_run_that_ended_early_says_where_and_is_started_again(begun, open_app, error, says):
    row = job_row("pretrain", PSU, "failed" if error else "stopped", error=error)
    workspace, started = begun([row], [])
    at = open_app(workspace, "data", dataset="tiny")
    words = words_of(at)
    assert says in words and "it was stopped" not in words
    assert ("Next:** make room" in words) == bool(error)
    at.button(key="first_run_again").click().run()
    assert [words[0] for words in started] == ["pretrain"]
