"""The caches of the station Retrieval: runs opened for retrieval, searches, answers and explanations.

Kept under the last change of the run and of its data set (as in `app/loaders.py`). What a page opens with is kept on
disk too, under their contents, so that a fresh server shows it before it has imported torch and opened the run.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from app import limits, loaders
from app.parameters import PARAMETERS
from app.work import tasks, waiting
from app.work.waiting import Heavy
from seminar_core.errors import SeminarError
from seminar_core.workspace import Workspace

if TYPE_CHECKING:
    from seminar_core.search.answer import Answered
    from seminar_core.search.question import Question
    from seminar_core.search.study import Study
    from seminar_core.search.trace import Trace

STUDY_LOCK = threading.Lock()
MOST_WAITED_S = 600.0  # for the encoding that a run is opened after
opened_once: set[tuple[str, ...]] = set()  # of these the page need not say that they are opened


def _key(run_name: str) -> tuple[str, str, str]:
    """Arguments that a cache of this run begins with: root, name, last change."""
    return str(loaders.workspace().root), run_name, loaders.run_key(run_name)


@st.cache_resource(max_entries=4, show_spinner=False)
def _study(root: str, run_name: str, key: str) -> Study:
    from seminar_core.search.study import open_study

    _trace.clear()  # a typed query is a row of the study that was asked, and means another in one opened anew
    return open_study(Workspace(Path(root)), run_name)


def study(run_name: str) -> Study:
    """A run opened for retrieval, once per content; answer questions through `answered`, which takes turns.

    Raises:
        UnknownRunError, StaleError, NotReadyError: it cannot be opened.
        Pending: texts and pictures are being encoded first.
    """
    loaders.encoded_for(run_name)
    key = _key(run_name)
    if key in opened_once:
        return _study(*key)
    with st.spinner("Opening the run …"):
        found = _study(*key)
    opened_once.add(key)
    return found


def run_facts(run_name: str) -> dict[str, Any]:
    """Heads, K and channel weights of a run, as `Study.facts` says them. Raises as `study`."""
    return waiting.remembered("run_facts", (loaders.run_content(run_name),), lambda: study(run_name).facts())


# a trace over 100,000 events holds about 1 MB, and a slider that moves asks for many
@st.cache_resource(max_entries=64, show_spinner=False)
def _trace(root: str, run_name: str, key: str, asked: str, _question: Question) -> Trace:
    from seminar_core.search.trace import trace

    limits.refuse_haste(time.monotonic())
    opened = study(run_name)
    with STUDY_LOCK:
        return trace(opened, _question)


def trace(run_name: str, question: Question) -> Trace:
    """The search behind an answer, with all its arrays."""
    return _trace(*_key(run_name), repr(question), question)


@st.cache_resource(max_entries=64, show_spinner=False)
def _answered(root: str, run_name: str, key: str, asked: str, _question: Question) -> Answered:
    from seminar_core.search.answer import Answered, answered

    def work() -> Answered:
        return answered(study(run_name), trace(run_name, _question))

    if not opens_a_page(_question):
        return work()

    def fields() -> dict[str, Any]:
        found = vars(work())
        return {name: found[name] for name in ("said", "near", "span", "keep")}

    return Answered(_question, **waiting.remembered("answered", (loaders.run_content(run_name), asked), fields))


def answered(run_name: str, question: Question) -> Answered:
    """Exact beside approximate for one question, as the command `retrieve` answers it.

    What a page opens with (`opens_a_page`) is read from disk where it was kept; all else is answered anew.
    """
    return _answered(*_key(run_name), repr(question), question)


def opens_a_page(question: Question) -> bool:
    """Whether nothing but the target, the specification and the shortlist was chosen."""
    target = {name: getattr(question, name) for name in ("person", "item", "query", "at", "spec", "shortlist")}
    return question == type(question)(**target, k=PARAMETERS["k"].default)


@st.cache_data(max_entries=256, show_spinner=False)
def _explanation(root: str, run_name: str, key: str, asked: str, event: str, _question: Question) -> dict[str, Any]:
    def work() -> dict[str, Any]:
        from seminar_core.search.explanation import explain_event

        opened, found = study(run_name), trace(run_name, _question)
        with STUDY_LOCK:
            return explain_event(opened, found, event)

    if not opens_a_page(_question):
        return work()
    return dict(waiting.remembered("explanation", (loaders.run_content(run_name), asked, event), work))


def explanation(run_name: str, question: Question, event: str) -> dict[str, Any]:
    """Why an event was kept or lost, as the command `explain` answers."""
    return _explanation(*_key(run_name), repr(question), event, question)


@st.cache_data(max_entries=loaders.ENTRIES, show_spinner="Ranking the whole catalogue …")
def _top_items(root: str, run_name: str, key: str, asked: str, _question: Question) -> list[dict[str, Any]]:
    from seminar_core.search.targets import top_items as rank

    opened = study(run_name)
    with STUDY_LOCK:
        return rank(opened, _question)


def top_items(run_name: str, question: Question) -> list[dict[str, Any]]:
    """The model's first choices for a person at a time."""
    return _top_items(*_key(run_name), repr(question), question)


def frontier(run_name: str, person: str = "") -> dict[str, Any]:
    """Recall, mass, bytes and latency of every specification, as the command `frontier` answers.

    Raises:
        Pending: they are being measured.
    """
    asked = (run_name, loaders.run_content(run_name), person)
    words = f"Measuring every specification for {person or 'a sample of people'}"
    return waiting.answer(Heavy(words, tasks.frontier, (str(loaders.workspace().root), *asked), asked))


@st.cache_resource(max_entries=4, show_spinner=False)
def _open_ahead(root: str, run_name: str, key: str, _question: Question) -> threading.Thread:
    encode, is_encoded = loaders.encoding_of(run_name)

    def load() -> None:
        loaders.warm_up().join()
        from seminar_core.search.trace import trace

        with suppress(SeminarError, OSError):  # what is wrong is said to the one who asks
            if not is_encoded():
                ticket = waiting.ahead(encode)
                if ticket is None or not ticket.ended.wait(MOST_WAITED_S):
                    return
            opened = _study(root, run_name, key)
            opened_once.add((root, run_name, key))
            with STUDY_LOCK:
                if not opened.warm:
                    trace(opened, _question, timed=False)
            loaders.leave_out_of_collections()

    thread = threading.Thread(target=load, name="open-ahead", daemon=True)
    thread.start()
    return thread


def open_ahead(run_name: str, question: Question) -> threading.Thread:
    """Open a run behind the page that shows the answer to `question`, and answer it: once, again where that failed.

    The page may show a kept answer, and the settings that are moved next are to find run, searches and kernels ready.
    """
    key = _key(run_name)
    opening = _open_ahead(*key, question)
    if not opening.is_alive() and key not in opened_once:
        _open_ahead.clear(*key)
        opening = _open_ahead(*key, question)
    return opening
