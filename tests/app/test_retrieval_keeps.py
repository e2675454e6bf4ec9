"""What Retrieval keeps on disk and in memory goes with what it was made from: the run, its data, the opened study."""

from __future__ import annotations

import gc
import shutil
from dataclasses import replace

import pytest
import streamlit as st

from app import loaders
from app.stations.retrieval import loaders as sources
from app.work import waiting
from seminar_core.errors import SeminarError
from seminar_core.search.question import Question
from seminar_core.search.study import open_study
from seminar_core.workspace import Workspace
from tests.app.conftest import ask_of, numbers_of, words_of
from tests.app.test_retrieval_view import HERE, last_item
from tests.tiny import make_dataset
from tests.tiny_run import COARSE


@pytest.fixture()
def unasked(tiny_workspace, tmp_path) -> Workspace:
    """A copy of the workspace in which nothing was asked yet."""
    workspace = Workspace(tmp_path / "workspace")
    shutil.copytree(tiny_workspace.root, workspace.root, ignore=shutil.ignore_patterns("answers"))
    return workspace


OPENS = {name: value for name, value in HERE.items() if name != "k"}


def test_what_a_page_opens_with_is_kept_for_the_next_server(open_app, unasked, monkeypatch):
    first = open_app(unasked, "retrieval", **OPENS)
    said, kept = words_of(first), set((unasked.answers / waiting.OPENED).iterdir())
    assert len(kept) == 3  # what the run is like, the answer, and why the first event was lost
    ask_of(first, "k", 6)
    assert set((unasked.answers / waiting.OPENED).iterdir()) == kept  # a slider on its way is not

    st.cache_resource.clear()
    st.cache_data.clear()
    monkeypatch.setattr(sources, "study", lambda run: pytest.fail(f"run {run} was opened"))
    monkeypatch.setattr(sources, "open_ahead", lambda *asked: None)
    again = open_app(unasked, "retrieval", **OPENS)
    assert not again.exception and words_of(again) == said


def test_a_run_whose_data_were_replaced_under_a_server_is_told_as_stale_and_nothing_is_kept(open_app, unasked):
    assert not open_app(unasked, "retrieval", **OPENS).exception
    kept = set((unasked.answers / waiting.OPENED).iterdir())
    make_dataset(unasked, people=5, seed=9)
    at = open_app(unasked, "retrieval", **{**OPENS, "person": "p2"})
    assert not at.exception and "was trained on version" in words_of(at)
    assert set((unasked.answers / waiting.OPENED).iterdir()) == kept


def test_what_was_measured_of_data_that_were_replaced_is_not_shown(open_app, unasked):
    open_app(unasked, "retrieval", **OPENS)
    assert len(loaders.population("run", COARSE)["people"]) == len(loaders.kept_population("run", COARSE)[0]) > 5
    make_dataset(unasked, people=5, seed=9)
    assert loaders.kept_population("run", COARSE) == ([], 0)
    for k in (None, 3):  # asked before and never
        with pytest.raises(SeminarError, match="was trained on version"):
            loaders.population("run", COARSE, k)


def test_an_explanation_of_a_typed_query_is_of_the_study_that_was_asked(open_app, unasked):
    open_app(unasked, "retrieval", **OPENS)
    question = Question("p1", last_item(unasked), k=6, query="red lamp", spec=COARSE, shortlist=0.0)
    event = str(sources.answered("run", question).verdicts.event[0])
    before = sources.explanation("run", question, event)
    sources._study.clear()  # as when four other runs were opened since
    sources._explanation.clear()
    sources.trace("run", replace(question, query="blue chair"))  # takes the row that the first query had
    assert sources.explanation("run", question, event) == before


def test_the_run_is_opened_behind_a_page_that_shows_a_kept_answer(open_app, unasked, monkeypatch):
    open_app(unasked, "retrieval", **OPENS)
    st.cache_resource.clear()
    st.cache_data.clear()
    opened, original = [], open_study
    monkeypatch.setattr("seminar_core.search.study.open_study", lambda *run: opened.append(run) or original(*run))
    at = open_app(unasked, "retrieval", **OPENS)
    question = Question("p1", last_item(unasked), k=50, spec=COARSE, shortlist=0.0)
    sources.open_ahead("run", question).join()
    study = sources.study("run")
    assert len(opened) == 1 and study.warm and not any(one is study for one in gc.get_objects())  # it was frozen
    assert not ask_of(at, "k", 6).exception and len(opened) == 1


def test_a_run_that_could_not_be_opened_behind_a_page_is_opened_behind_the_next(open_app, unasked, monkeypatch):
    open_app(unasked, "retrieval", **OPENS)
    question = Question("p1", last_item(unasked), k=50, spec=COARSE, shortlist=0.0)
    st.cache_resource.clear()
    sources.opened_once.clear()
    with monkeypatch.context() as broken:
        broken.setattr(loaders, "encoding_of", lambda run: (None, lambda: False))
        broken.setattr(waiting, "ahead", lambda encoding: None)
        sources.open_ahead("run", question).join()
    assert not sources.opened_once
    sources.open_ahead("run", question).join()
    assert sources.opened_once


def test_a_workspace_that_can_only_be_read_shows_what_was_kept(open_app, unasked, monkeypatch):
    said = words_of(open_app(unasked, "retrieval", **OPENS))
    st.cache_resource.clear()
    st.cache_data.clear()

    def read_only(*asked, **named):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("os.utime", read_only)
    monkeypatch.setattr("app.work.kept.write_json", read_only)
    at = open_app(unasked, "retrieval", **OPENS)
    assert not at.exception and words_of(at) == said
    asked = open_app(unasked, "retrieval", **{**OPENS, "person": "p2"})  # never asked before
    assert not asked.exception and numbers_of(asked)
