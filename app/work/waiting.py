"""How a page waits for a heavy answer: it goes on without it, shows how far it is, and is drawn again when it is there.

`answer` returns what is known or raises `Pending`, which `widgets.explained` draws with `panel` where the answer will
stand. The first panel of a page watches for all of them. `page` brackets a whole run of a page: what it did not ask for
again, its session no longer waits for. `part` does the same for a fragment that is drawn alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from seminar_core.beside import sample_directory
from seminar_core.errors import Cancelled
from seminar_core.workspace import default_workspace

from .desk import Desk, Ticket
from .kept import Kept
from .process import Task

QUICK_S = 0.3  # what is there so soon needs no panel; seconds that one run of a page may wait in all
EVERY_S = 1.0
FORMAT = 3  # raise it when a task answers the same question otherwise than before
OPENED, MOST_OPENED = "opened", 64 << 20
SERVER = "the server"  # asks ahead, and never goes away
PARTS, ASKED, WITHIN, STOPPED, PATIENCE = (
    f"work_{name}" for name in ("parts", "asked", "within", "stopped", "patience")
)


def key_of(task: str, of: tuple[Any, ...]) -> str:
    """32 hex digits that are the same for the same question of the same content."""
    return hashlib.sha256(json.dumps([FORMAT, task, of], default=vars).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Heavy:
    """A question for a process beside the server.

    Fields:
        what: in words, for the queue.
        task, arguments: the call.
        of: what its answer depends on besides the task: contents and settings.
        keep: whether the answer is kept; not where the task keeps its work itself.
        slow: whether quick questions go before it.
    """

    what: str
    task: Task
    arguments: tuple[Any, ...]
    of: tuple[Any, ...]
    keep: bool = True
    slow: bool = False

    @cached_property
    def key(self) -> str:
        """32 hex digits that are the same for the same question of the same content."""
        return key_of(self.task.__name__, self.of)


class Pending(Exception):
    """Answers that are being worked out."""

    def __init__(self, tickets: Sequence[Ticket]):
        super().__init__(", ".join(ticket.what for ticket in tickets))
        self.tickets = list(tickets)


def processes() -> int:
    """How many processes work beside the server: `$SEMINAR_WORKERS`, 0 to 8, else two, of which one draws maps.

    0 works in the server itself, for a machine with little memory: the page then waits.
    """
    given = os.environ.get("SEMINAR_WORKERS", "")
    return min(int(given), 8) if given.isdecimal() else 2


def _is_here(session: str) -> bool:
    return session == SERVER or not runtime.exists() or runtime.get_instance().is_active_session(session)


def bundled() -> Path:
    """Where the answers about the runs that come with the sample lie; `make answers` makes them."""
    return sample_directory() / "run" / ".answers"


@st.cache_resource(show_spinner=False)
def _desk(root: str, count: int) -> Desk:
    return Desk(Kept(default_workspace(root).answers, also=bundled()), processes=count, here=_is_here)


@st.cache_resource(show_spinner=False)
def _opened(root: str) -> Kept:
    """What pages opened with, apart from what is dear: many small answers do not push out a population."""
    folder = default_workspace(root).answers / OPENED
    return Kept(folder, also=bundled(), most_on_disk=MOST_OPENED, most_in_memory=MOST_OPENED // 4)


def desk() -> Desk:
    """The desk of the workspace that the app serves, shared by all sessions."""
    return _desk(str(default_workspace().root), processes())


def session() -> str:
    """Who asks."""
    context = get_script_run_ctx()
    return context.session_id if context else ""


def answer(question: Heavy) -> Any:
    """The answer to one question.

    Raises:
        Pending: it is under way.
        Cancelled: this session stopped it.
        SeminarError: it could not be answered.
    """
    return answers([question])[0]


def answers(questions: Sequence[Heavy]) -> list[Any]:
    """Answers in the order of the questions; all that are missing are asked at once. Raises as `answer`."""
    found, tickets = [], []
    for question in questions:
        held = desk().kept.get(question.key) if question.keep else None
        if held is not None:
            found.append(held["answer"])
            continue
        if question.key in st.session_state.get(STOPPED, ()):
            raise Cancelled(f"“{question.what}” was stopped", hint="ask again to start over")
        ticket = _ask(question, session())
        st.session_state.setdefault(ASKED, set()).add(question.key)
        tickets.append(ticket)
        found.append(ticket)
    for ticket in tickets:
        began = time.monotonic()
        there = ticket.ended.wait(max(0.0, st.session_state.get(PATIENCE, 0.0)))
        st.session_state[PATIENCE] = st.session_state.get(PATIENCE, 0.0) - (time.monotonic() - began)
        if not there:
            raise Pending([one for one in tickets if not one.ended.is_set()])
        if ticket.error is not None:
            raise ticket.error
    return [one.answer if isinstance(one, Ticket) else one for one in found]


def remembered(task: str, of: tuple[Any, ...], work: Callable[[], Any]) -> Any:
    """What was answered before; else `work` answers it here and now, and it is kept.

    For what is quick to answer once its libraries are imported and its run is open, which then need not be.
    """
    kept = _opened(str(default_workspace().root))
    held = kept.get(key_of(task, of))
    return kept.put(key_of(task, of), work()) if held is None else held["answer"]


def is_kept(question: Heavy) -> bool:
    """Whether the answer is there without any work."""
    return question.keep and desk().kept.get(question.key) is not None


def ahead(question: Heavy) -> Ticket | None:
    """Have a question answered that pages will ask soon; nobody has to wait for it. Not without processes."""
    return _ask(question, SERVER) if processes() and not is_kept(question) else None


def _ask(question: Heavy, asker: str) -> Ticket:
    words = (question.key, question.what, question.task, *question.arguments)
    return desk().ask(*words, asker=asker, keep=question.keep, slow=question.slow)


@contextmanager
def page() -> Iterator[None]:
    """A whole run of a page: afterwards its session waits for what it asked for in it, and for nothing else."""
    st.session_state[PARTS], st.session_state[ASKED], st.session_state[PATIENCE] = [], set(), QUICK_S
    st.session_state[WITHIN] = {}
    yield
    desk().wait_only_for(session(), st.session_state[ASKED])


@contextmanager
def part(name: str, *, alone: bool) -> Iterator[None]:
    """A fragment of a page. Drawn `alone`, its panel watches for itself, and what it no longer asks for is let go."""
    asked, within = st.session_state.setdefault(ASKED, set()), st.session_state.setdefault(WITHIN, {})
    if alone:
        st.session_state[PARTS], st.session_state[PATIENCE] = [], QUICK_S
        asked -= within.get(name, set())
    around = set(asked)
    yield
    within[name] = asked - around
    if alone:
        desk().wait_only_for(session(), asked)


def panel(pending: Pending) -> None:
    """What stands where an answer will be; the first of a page shows how far all are, and redraws the page."""
    parts: list[Pending] = st.session_state.setdefault(PARTS, [])
    parts.append(pending)
    if len(parts) > 1:
        st.text(f"Waiting for: {' · '.join(dict.fromkeys(t.what for t in pending.tickets))}")
        return

    @st.fragment(run_every=EVERY_S)
    def watch() -> None:
        waited = list({t.key: t for part in parts for t in part.tickets}.values())
        stopped = st.session_state.get(STOPPED, ())
        if any(all(t.ended.is_set() for t in part.tickets) for part in parts) or any(t.key in stopped for t in waited):
            st.rerun()
        for ticket in waited:
            if not ticket.ended.is_set():
                line(ticket)

    watch()


def line(ticket: Ticket) -> None:
    """One question that is waited for: its bar, its words, and a button that stops waiting."""
    done, total, message = ticket.progress()
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.text(words(ticket, desk().place(ticket), done, total, message))
        st.button("Cancel", key=f"stop_{ticket.key}", icon=":material/stop_circle:", on_click=stop, args=(ticket.key,))
    st.progress(min(1.0, done / max(total, 1)))


def words(ticket: Ticket, place: int, done: int, total: int, message: str) -> str:
    """How far a question is, in one line."""
    parts = [ticket.what, f"place {place} in the queue" if place else message or "its process is starting"]
    if not place and total > 1:
        parts[-1] += f" {done:,} of {total:,}"
    if ticket.deaths:
        parts.append("its process died and was started again")
    others = len(ticket.askers) - 1
    if others > 0:
        parts.append(f"{others} other{'s' if others > 1 else ''} wait for it too")
    return " · ".join(part for part in parts if part)


def stop(key: str) -> None:
    """Stop waiting for a question, until it is started again."""
    desk().leave(session(), key)
    st.session_state[STOPPED] = {*st.session_state.get(STOPPED, ()), key}


def start_again() -> None:
    """Ask again what this session stopped, and what failed on its page."""
    for key in st.session_state.get(ASKED, ()):
        desk().forget(key)
    st.session_state[STOPPED] = set()
