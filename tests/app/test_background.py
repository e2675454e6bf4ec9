"""The first run of a data set goes on at every station, and never trains over what is there already."""

from __future__ import annotations

import shutil

import pytest

from app import background
from seminar_core.errors import ExistsError, ResourceError
from seminar_core.files import write_json
from seminar_core.jobs import control as jobs
from seminar_core.jobs import first_run
from seminar_core.training.run_files import RunCard, current_hash, write_status
from seminar_core.workspace import Workspace
from tests.app.conftest import words_of


def job_row(command: str, run: str, state: str, **more) -> dict:
    """A job as `jobs.rows` lists it."""
    known = {"job": f"{command}-0001", "step": 3, "steps": 10, "eta_s": 7.0, "message": "training", "error": None}
    return {**known, "command": command, "run": run, "state": state, **more}


def make_run(
    workspace: Workspace, run: str, codebooks: tuple[str, ...] = (), state: str = "done", data: str = ""
) -> None:
    """A run of `tiny`, of the data as they are now or of older ones."""
    data = data or current_hash(workspace, "tiny")
    card = RunCard(run, "psu", "psu", "tiny", data, {"text": "t", "image": "i"}, {}, 0)
    write_json(workspace.run_dir(run) / "run.json", vars(card))
    write_status(workspace.run_dir(run), state=state)
    for name in codebooks:
        (workspace.run_dir(run) / "codebooks" / name).mkdir(parents=True)


@pytest.fixture
def begun(monkeypatch, tiny_workspace, tmp_path):
    """`begun(rows, runs)` is a workspace whose jobs are `rows`, with `runs`; it lists what was started."""
    workspace = Workspace(tmp_path / "workspace")
    shutil.copytree(tiny_workspace.datasets, workspace.datasets)
    monkeypatch.setenv("SEMINAR_WORKSPACE", str(workspace.root))
    started: list[list[str]] = []

    def make(rows: list[dict], runs: list[dict]):
        monkeypatch.setattr(jobs, "rows", lambda _: rows)
        monkeypatch.setattr(jobs, "start", lambda _, words: started.append(words) or {"job": "started-0001"})
        for run in runs:
            make_run(workspace, **run)
        return workspace, started

    return make


PSU, RUN = first_run.names("tiny")
PRETRAINED = job_row("pretrain", PSU, "done")
FINETUNED = job_row("finetune", RUN, "done")
ENCODED = job_row("codebooks", RUN, "done")
LOST = job_row("finetune", RUN, "lost")


@pytest.mark.parametrize(
    ("rows", "runs", "expected"),
    [
        ([PRETRAINED], [{"run": PSU}], "finetune"),
        ([PRETRAINED], [{"run": PSU}, {"run": RUN}], None),  # the job was forgotten, its run was not
        ([PRETRAINED], [], None),
        ([PRETRAINED], [{"run": PSU, "data": "older"}], None),
        ([PRETRAINED], [{"run": PSU, "state": "failed"}], None),
        ([PRETRAINED, FINETUNED], [{"run": RUN}], "codebooks"),
        ([PRETRAINED, FINETUNED], [{"run": RUN, "codebooks": ("OPQ16x8",)}], None),
        ([PRETRAINED, FINETUNED], [], None),
        ([PRETRAINED, FINETUNED], [{"run": PSU}], None),  # the run was deleted: it is not trained again by itself
        ([PRETRAINED, FINETUNED, PRETRAINED], [{"run": PSU}], "finetune"),
        ([PRETRAINED, LOST], [{"run": PSU}], None),
        ([], [], None),
    ],
)
def test_the_next_step_starts_only_where_what_it_makes_is_missing(begun, rows, runs, expected):
    _, started = begun(rows, runs)
    background.due("tiny")
    assert [words[0] for words in started] == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("runs", "next_step"),
    [
        ([], "pretrain"),
        ([{"run": PSU}], "finetune"),
        ([{"run": PSU, "data": "older"}], "pretrain"),
        ([{"run": PSU}, {"run": RUN, "data": "older"}], "finetune"),
        ([{"run": RUN}], "codebooks"),
    ],
)
def test_a_first_run_whose_runs_are_gone_or_stale_begins_where_they_are_missing(begun, runs, next_step):
    workspace, started = begun([PRETRAINED, FINETUNED, ENCODED], runs)
    now = first_run.state(workspace, "tiny")
    assert not now.finished and now.job is None and not now.due
    first_run.start(workspace, "tiny")
    assert [words[0] for words in started] == [next_step]


def test_a_step_whose_run_is_done_is_shown_until_its_job_is(begun):
    running = job_row("pretrain", PSU, "running")
    workspace, _ = begun([running], [{"run": PSU}])
    now = first_run.state(workspace, "tiny")
    assert (now.done, now.job, now.live) == (0, running, True)


def test_of_two_pages_that_start_the_next_step_one_does(begun, monkeypatch):
    workspace, _ = begun([PRETRAINED], [{"run": PSU}])

    def taken(*_):
        raise ExistsError("job finetune-0002 is queued and makes 'tiny-first' already", hint="watch it")

    monkeypatch.setattr(jobs, "start", taken)
    assert first_run.advance(workspace, "tiny").done == 1


@pytest.mark.parametrize("station", ["data", "life", "training"])
def test_every_station_shows_a_first_run_that_is_under_way(begun, open_app, station, monkeypatch):
    workspace, _ = begun(
        [PRETRAINED, job_row("finetune", RUN, "running", message="training, loss 0.5")], [{"run": PSU}]
    )
    monkeypatch.setattr("app.stations.training.view.render", lambda: None)
    at = open_app(workspace, station, dataset="tiny", person="p1")
    assert not at.exception and at.button(key="first_run_cancel").label == "Cancel"
    said = at.get("progress")[0].proto.text
    assert "step 2 of 3" in said and "30%" in said and "about 7 s left" in said
    assert "loss 0" in said


def test_a_next_step_that_is_refused_says_why_and_the_station_is_drawn(begun, open_app, monkeypatch):
    workspace, _ = begun([PRETRAINED], [{"run": PSU}])

    def refused(*_):
        raise ResourceError("50 jobs are waiting or running, at most 50 may be", hint="wait for one")

    monkeypatch.setattr(jobs, "start", refused)
    at = open_app(workspace, "data", dataset="tiny")
    assert not at.exception and "50 jobs are waiting" in words_of(at) and at.header[0].value == "Data"


def test_a_data_set_with_the_longest_name_has_a_first_run_of_its_own(begun, open_app):
    workspace, started = begun([], [])
    longest = "d" * 81
    shutil.copytree(workspace.dataset_dir("tiny"), workspace.dataset_dir(longest))
    at = open_app(workspace, "data", dataset=longest)
    assert not at.exception
    at.button(key="first_run_start").click().run()
    assert not at.exception and started[0][:3] == ["pretrain", "--dataset", longest]
    assert len(first_run.names(longest)[0]) == 81 and first_run.names(longest) != first_run.names(longest[:-1])


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
