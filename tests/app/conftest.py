"""One workspace with a tiny run for all tests of views, and the app opened on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.components.block import head_of
from seminar_core.workspace import Workspace
from tests.tiny_run import make_run


@pytest.fixture(scope="session")
def tiny_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Data set `tiny` with runs `psu` and `run`."""
    return make_run(tmp_path_factory.mktemp("views"))


def station_script(name: str) -> None:
    import streamlit as st

    from app import state, streamlit_app

    if st.session_state.get("asked_by_the_test"):  # as a component's callback does before a run
        from app.stations.retrieval.answer import took

        took(st.session_state.pop("asked_by_the_test"))
    state.begin()
    try:
        streamlit_app.station(name)
    finally:
        state.finish()


@pytest.fixture
def open_app(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """`open_app(workspace, "life", person="p1")` draws a station, frame and all, with these choices in the URL."""

    monkeypatch.setenv("SEMINAR_WORKERS", "0")  # heavy answers at once, in the test itself

    def open_it(workspace: Workspace, station: str = "data", **choices: str) -> AppTest:
        monkeypatch.setenv("SEMINAR_WORKSPACE", str(workspace.root))
        at = AppTest.from_function(station_script, default_timeout=60, kwargs={"name": station})
        for name, value in choices.items():
            at.query_params[name] = value
        return at.run()

    return open_it


def words_of(at: AppTest) -> str:
    """Everything a page says, joined; what the answer of Retrieval says among it."""
    kinds = ("markdown", "caption", "info", "warning", "error", "success", "text", "header", "subheader")
    words = [str(element.value).replace("\\", "") for kind in kinds for element in at.get(kind)]
    headline = (answer_of(at) or {}).get("headline")
    if headline:
        changed = headline["changed"] or {}
        words += [headline["says"], headline["facts"], *changed.values()]
    return "\n".join(words)


def answer_of(at: AppTest) -> dict[str, Any] | None:
    """What the answer's component of Retrieval was given, its arrays left out; None where the page has none."""
    for element in at.get("bidi_component"):
        if element.proto.component_name == "seminar_answer":
            return head_of(element.proto.bytes)
    return None


def numbers_of(at: AppTest) -> dict[str, str]:
    """The numbers of the answer's headline by label; empty where there is no answer."""
    headline = (answer_of(at) or {}).get("headline") or {}
    return {one["label"]: one["value"] for one in headline.get("numbers", ())}


def ask_of(at: AppTest, what: str, value: Any, *, gesture: str = "", done: bool = True) -> AppTest:
    """The page after its answer's component asked for something."""
    turn = int(answer_of(at)["turn"]) + 1
    at.session_state["asked_by_the_test"] = {
        "what": what, "value": value, "gesture": gesture, "done": done, "turn": turn,
    }  # fmt: skip
    return at.run()


def choose_row(at: AppTest, key: str, row: int) -> AppTest:
    """The page after a click on a row of the table whose key begins with `key`, as the browser tells it."""
    table = next(frame.proto for frame in at.dataframe if f"-{key}" in frame.proto.id)
    states = at._tree.get_widget_states()
    states.widgets.add(id=table.id, string_value=json.dumps({"selection": {"rows": [row], "columns": [], "cells": []}}))
    return at._run(states)


def cards_of(at: AppTest, key: str) -> list[dict]:
    """The groups that a component of cards was given."""
    for element in at.get("bidi_component"):
        if key in element.proto.id:
            return json.loads(element.proto.json)["groups"]
    raise AssertionError(f"no cards {key!r} on the page")
