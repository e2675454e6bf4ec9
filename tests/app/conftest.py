"""One workspace with a tiny run for all tests of views, and the app opened on it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from seminar_core.workspace import Workspace
from tests.tiny_run import make_run


@pytest.fixture(scope="session")
def tiny_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Data set `tiny` with runs `psu` and `run`."""
    return make_run(tmp_path_factory.mktemp("views"))


def station_script(name: str) -> None:
    from app import state, streamlit_app

    state.begin()
    try:
        streamlit_app.station(name)
    finally:
        state.finish()


@pytest.fixture
def open_app(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """`open_app(workspace, "life", person="p1")` draws a station, frame and all, with these choices in the URL."""

    def open_it(workspace: Workspace, station: str = "data", **choices: str) -> AppTest:
        monkeypatch.setenv("SEMINAR_WORKSPACE", str(workspace.root))
        at = AppTest.from_function(station_script, default_timeout=60, kwargs={"name": station})
        for name, value in choices.items():
            at.query_params[name] = value
        return at.run()

    return open_it


def words_of(at: AppTest) -> str:
    """Everything a page says, joined."""
    kinds = ("markdown", "caption", "info", "warning", "error", "success", "text", "header", "subheader")
    return "\n".join(str(element.value) for kind in kinds for element in at.get(kind)).replace("\\", "")


def cards_of(at: AppTest, key: str) -> list[dict]:
    """The groups that a component of cards was given."""
    for element in at.get("bidi_component"):
        if key in element.proto.id:
            return json.loads(element.proto.json)["groups"]
    raise AssertionError(f"no cards {key!r} on the page")
