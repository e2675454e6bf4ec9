"""Ctrl+K finds people, items, runs, stations and settings by name, and opens them; recent views are listed."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from app import command_palette, state, widgets
from app.streamlit_app import STATIONS
from tests.app.conftest import words_of


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """Stations that were opened."""
    stations: list[str] = []
    monkeypatch.setattr(widgets, "open_station", stations.append)
    return stations


def palette_script(stations: dict[str, str]) -> None:
    """What the dialog holds: AppTest redraws whole pages, which closes dialogs."""
    from app import command_palette, state

    state.begin()
    command_palette.search("data", stations)
    state.finish()


@pytest.fixture
def palette(monkeypatch, tiny_workspace) -> AppTest:
    monkeypatch.setenv("SEMINAR_WORKSPACE", str(tiny_workspace.root))
    stations = {name: title for name, (title, _, _) in STATIONS.items()}
    at = AppTest.from_function(palette_script, default_timeout=60, kwargs={"stations": stations})
    at.query_params["dataset"] = "tiny"
    return at.run()


def labels(at) -> list[str]:
    return [button.label.replace("\\", "") for button in at.button if str(button.key).startswith("palette_")]


@pytest.mark.parametrize(
    ("text", "label", "station", "wanted"),
    [
        ("align", "Station: Alignment", "alignment", {}),
        ("p1", "Person: p1", "life", {"person": "p1"}),
        ("psu", "Run: psu", "data", {"run": "psu"}),
        ("k 7", "Setting: Set K per head to 7", "retrieval", {"k": 7}),
        ("shortlist", "Setting: Shortlist x K, now 4", "retrieval", {"shortlist": 4}),
        ("i3", " · i3", "retrieval", {"item": "i3"}),
    ],
)
def test_what_is_named_is_found_and_opened(palette, opened, text, label, station, wanted):
    at = palette.text_input(key="palette_text").set_value(text).run()
    number, found = next((n, one) for n, one in enumerate(labels(at)) if label in one)
    assert found.startswith(label) if not label.startswith(" ") else found.endswith(label), found
    at.button(key=f"palette_{number}").click().run()
    assert not at.exception and opened == [station]
    assert wanted.items() <= at.session_state[state.CHOICES].items()


def test_an_unknown_name_says_so(palette):
    at = palette.text_input(key="palette_text").set_value("zzzz").run()
    assert "Nothing is called “zzzz”" in words_of(at)


def test_the_views_looked_at_last_are_offered_newest_first(open_app, tiny_workspace):
    at = open_app(tiny_workspace, "data", dataset="tiny")
    at.text_input(key="w_person").set_value("p2").run()
    at.text_input(key="w_person").set_value("p3").run()
    recent = [one.label for one in at.session_state[command_palette.RECENT]]
    assert recent == ["Data · p3", "Data · p2", "Data"]
    at.button(key="palette_open").click().run()
    assert labels(at)[1:] == ["Recent: Data · p2", "Recent: Data"]
