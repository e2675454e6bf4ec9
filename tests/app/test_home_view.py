"""Home: three questions that lead somewhere, the state of the workspace, and a tour that can be left and resumed."""

from __future__ import annotations

import re

import pytest

from app import state, tour, widgets
from app.stations.home import view
from seminar_core.search.population import population
from seminar_core.training.run_files import read_card
from seminar_core.workspace import Workspace
from tests.app.conftest import words_of
from tests.tiny import make_dataset
from tests.tiny_run import COARSE

LET_GO = {"at": "", "method": "", "mask": (), "hide_from_s": None, "query": "", "k": 50}


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """Stations that a button of the page opened."""
    stations: list[str] = []
    monkeypatch.setattr(widgets, "open_station", stations.append)
    return stations


@pytest.mark.parametrize(
    ("door", "station", "wanted"),
    [
        ("says", "retrieval", {"figure": "lanes", **LET_GO}),
        ("space", "alignment", {"stages": ("before", "after")}),
        ("loses", "retrieval", {"figure": "rank_shift", **LET_GO}),
    ],
)
def test_each_question_opens_a_prepared_view(open_app, tiny_workspace, opened, door, station, wanted):
    looked_at = {"at": "3", "method": "eta", "mask": "I", "hide_from_s": 5, "query": "lamp", "k": 3}
    at = open_app(tiny_workspace, "home", dataset="tiny", **looked_at)
    at.button(key=f"door_{door}").click().run()
    assert not at.exception and opened == [station]
    choices = at.session_state[state.CHOICES]
    assert choices["run"] == "run" and wanted.items() <= choices.items()


def test_the_loss_that_is_told_is_of_the_view_that_the_door_opens(open_app, tiny_workspace, opened, monkeypatch):
    workspace = tiny_workspace
    monkeypatch.setattr(view, "DEFAULT", COARSE)
    keep = read_card(workspace.run_dir("run")).config["model"]["keep"]
    for k in (1, keep):
        population(workspace, "run", spec=COARSE, k=k)
    at = open_app(workspace, "home", dataset="tiny")
    at.button(key="door_loses").click().run()
    choices = at.session_state[state.CHOICES]
    worst = next(
        row for row in population(workspace, "run", spec=COARSE)["people"] if row["person"] == choices["person"]
    )
    assert choices["k"] == keep and f"keeps {worst['recall']:.0%} of what exact search keeps for person" in words_of(at)


def test_the_tour_opens_a_ranker_and_lets_the_last_question_go(open_app, tiny_workspace, opened):
    at = open_app(tiny_workspace, "home", dataset="tiny", run="gone", tour=2, method="eta", at="3", k=3)
    at.button(key="tour_next").click().run()
    choices = at.session_state[state.CHOICES]
    assert choices["run"] == "run" and choices["tour"] == 3 and LET_GO.items() <= choices.items()


def test_the_picture_is_of_a_life_of_the_data_set(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "home", dataset="tiny")
    assert "One history of tiny: person " in words_of(at) and len(at.get("plotly_chart")) == 1


def test_without_a_run_the_questions_wait_and_training_is_offered(open_app, workspace, opened):
    make_dataset(workspace, "tiny", people=12, items=30, seed=0, shortest=12, longest=20)
    at = open_app(workspace, "home", dataset="tiny")
    assert at.button(key="door_says").disabled and at.button(key="tour_start").disabled
    assert "No trained run yet" in words_of(at) and at.button(key="first_run_start")


def test_the_workspace_is_counted(open_app, tiny_workspace):
    said = words_of(open_app(tiny_workspace, "home", dataset="tiny"))
    assert re.search(r"Data sets: \*\*[^*]*sample[^*]*tiny", said) and "Runs that came with the sample: **2**" in said


def test_the_tour_walks_all_stops_and_is_left_and_resumed(open_app, tiny_workspace, opened):
    at = open_app(tiny_workspace, "home", dataset="tiny")
    at.button(key="tour_start").click().run().run()  # once more: the station that it opened is a double
    for number, stop in enumerate(tour.STOPS[:3], 1):
        assert opened[-1] == stop.station and f"Tour, {number} of {len(tour.STOPS)}." in words_of(at)
        at.button(key="tour_next").click().run().run()
    at.button(key="tour_leave").click().run()
    assert "Tour, " not in words_of(at) and at.session_state[state.CHOICES]["tour"] == 0
    at.button(key="tour_resume").click().run().run()
    assert "Tour, 4 of" in words_of(at)


def test_a_link_into_the_tour_opens_at_its_stop_and_one_beyond_the_end_shows_none(open_app, tiny_workspace: Workspace):
    assert "Tour, 2 of" in words_of(open_app(tiny_workspace, "life", dataset="tiny", person="p1", tour="2"))
    assert "Tour" not in words_of(open_app(tiny_workspace, "life", dataset="tiny", person="p1", tour="99"))
