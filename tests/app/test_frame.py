"""The frame: all stations open, errors explain themselves, links are complete, and nothing is fetched or executed."""

from __future__ import annotations

import pytest

from seminar_core.beside import bundled_runs
from seminar_core.workspace import Workspace
from tests.app.conftest import words_of
from tests.tiny import make_dataset
from tests.tiny_run import SPEC

STATIONS = ("home", "data", "life", "alignment", "retrieval", "training", "stories")


@pytest.mark.parametrize("station", STATIONS)
def test_every_station_opens_on_a_trained_data_set(open_app, tiny_workspace, station):
    at = open_app(tiny_workspace, station, dataset="tiny", run="run", person="p1", spec=SPEC)
    assert not at.exception and not at.error
    assert [b.key for b in at.button if b.key in ("palette_open", "save_view")] == (
        ["palette_open"] if station == "stories" else ["save_view", "palette_open"]
    )


@pytest.mark.parametrize("station", STATIONS)
def test_every_station_explains_an_unknown_data_set(open_app, tiny_workspace, station):
    at = open_app(tiny_workspace, station, dataset="nowhere")
    assert not at.exception and "nowhere" in words_of(at) + str([s.value for s in at.selectbox])


@pytest.mark.parametrize("station", ["alignment", "retrieval"])
def test_a_station_that_needs_a_run_explains_an_unknown_one(open_app, tiny_workspace, station):
    at = open_app(tiny_workspace, station, dataset="tiny", run="gone")
    assert not at.exception and "'gone' is not known" in words_of(at)


def test_a_link_of_another_version_says_so_and_keeps_what_it_can(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "data", v="0", dataset="tiny", colour_map="x")
    said = words_of(at)
    assert "another version of the app" in said and "“colour_map” is not known here" in said
    assert at.query_params["dataset"] == "tiny"
    at.button(key="dismiss_notices").click().run()
    assert "another version" not in words_of(at)


def test_the_link_on_the_page_is_the_address(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "life", dataset="tiny", person="p2", text="lamp", lanes="search")
    at.session_state["link"] = True  # opened
    at.run()
    assert any("?v=1&dataset=tiny&person=p2&text=lamp&lanes=search" in code.value for code in at.code)


def test_a_new_data_set_forgets_person_and_run(open_app, tiny_workspace):
    make_dataset(tiny_workspace, "other", people=3)
    at = open_app(tiny_workspace, "data", dataset="tiny", run="run", person="p2")
    at.selectbox(key="w_dataset").select("other").run()
    assert "person" not in at.query_params and "run" not in at.query_params
    at.button(key="undo").click().run()
    assert at.query_params["dataset"] == "tiny" and at.query_params["person"] == "p2"


@pytest.mark.skipif(not bundled_runs(), reason="no run lies in sample_data/run")
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("retrieval", "No run was chosen: showing sample-seminar"),
        ("alignment", "No run was chosen: showing the newest, sample-seminar"),
    ],
)
def test_a_link_to_a_station_answers_in_a_workspace_that_nobody_has_opened(open_app, tmp_path, name, says):
    at = open_app(Workspace(tmp_path / "new"), name, dataset="sample")
    assert not at.exception and says in words_of(at)
