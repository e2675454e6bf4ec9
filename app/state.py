"""Every session key and every query parameter of the app: what is chosen, and how it travels.

The choices live in one dictionary in the session; the URL is written from it at the end of each run, so a choice made
at one station stays chosen at the next and every page is a link. Widgets are bound with `bound(name)`: primed from the
choices, and writing back through a callback, so that undo, links and code can all set what a widget shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from app.components.address import replace_address
from app.parameters import OF_ONE_DATASET, OF_ONE_LIFE, PARAMETERS, defaults, read_query, write_query

CHOICES, HISTORY, WRITTEN, SEEN, TOUCHED, CHANGED, NOTICES, PLACE = (
    f"seminar_{n}" for n in ("choices", "history", "url", "seen", "touched", "changed", "notices", "place")
)
UNDER_WAY, UNSETTLED = "seminar_under_way", "seminar_unsettled"
GESTURE, ENTERED, MOVING = (f"seminar_{n}" for n in ("gesture", "entered", "moving"))
HISTORY_LIMIT = 50


def begin() -> None:
    """Take over the URL when it is new (first run, back button, pasted link); call once, first thing in a run.

    After a run that was interrupted before it wrote the URL, or only asked the browser to replace it, the browser may
    still send the address of the run before: that is no way back. After a new entry was made the same address is one.
    """
    unsettled = st.session_state.get(UNSETTLED, False)
    st.session_state[UNDER_WAY] = st.session_state[UNSETTLED] = True
    incoming = {name: st.query_params[name] for name in st.query_params}
    first = CHOICES not in st.session_state
    known = incoming == st.session_state.get(WRITTEN) or (unsettled and incoming == st.session_state.get(SEEN))
    moved = bool(incoming) and not known and not st.session_state.get(TOUCHED)
    st.session_state[SEEN] = incoming
    st.session_state[PLACE] = st.container(height=1, border=False, gap=None)
    if first or moved:
        st.session_state[CHOICES], st.session_state[NOTICES] = read_query(incoming)
        st.session_state.setdefault(HISTORY, [])
    st.session_state[CHANGED] = bool(st.session_state.get(TOUCHED))
    st.session_state[TOUCHED] = st.session_state[MOVING] = False


def in_part() -> bool:
    """Whether a fragment is drawn alone, without the page around it."""
    return not st.session_state.get(UNDER_WAY)


def finish() -> None:
    """Write the choices to the URL; call once at the end of every run.

    A choice that the user changed becomes a new entry of the browser's history; an address that merely was incomplete
    (after a change of station, from a link written by hand) is replaced, and so is that of an earlier value of the same
    gesture.
    """
    alone = in_part()
    st.session_state[UNDER_WAY] = st.session_state[UNSETTLED] = False
    query = write_query(st.session_state[CHOICES])
    if {name: st.query_params[name] for name in st.query_params} != query:
        gesture = st.session_state.get(GESTURE, "")
        further = bool(gesture) and gesture == st.session_state.get(ENTERED)
        if (st.session_state[CHANGED] or st.session_state[TOUCHED]) and not further:
            st.query_params.from_dict(query)
            st.session_state[ENTERED] = gesture
        else:
            if alone:  # the place at the top of the page belongs to the whole run
                st.session_state[SEEN] = st.session_state.get(WRITTEN)
                replace_address(link(), key="address_part")
            else:
                with st.session_state[PLACE]:
                    replace_address(link())
            st.session_state[UNSETTLED] = True
    st.session_state[WRITTEN] = query
    st.session_state[CHANGED] = st.session_state[TOUCHED] = False


def finish_part() -> None:
    """Write the choices to the URL from a fragment that is redrawn alone; within a whole run the page does that.

    While a slider moves the address waits for the place where it stops.
    """
    if in_part() and not st.session_state.get(MOVING):
        finish()


def apart_from(names: Iterable[str]) -> tuple[object, ...]:
    """All choices but these: what a fragment that follows these alone was drawn with."""
    left_out = set(names)
    return tuple(value for name, value in st.session_state[CHOICES].items() if name not in left_out)


def moved_on() -> None:
    """The station is about to change: what was just chosen belongs to the next page's address."""
    st.session_state[TOUCHED] = False


def get(name: str) -> Any:
    """The choice `name`."""
    return st.session_state[CHOICES][name]


def assume(**choices: Any) -> None:
    """Settle what the user left open while a page is drawn: no step to take back, no entry of the browser's history."""
    st.session_state[CHOICES] = {**st.session_state[CHOICES], **choices}


def put(**changes: Any) -> None:
    """Change choices (from a callback or before the widgets that show them are drawn) and remember the old for undo.

    Raises:
        KeyError: a name that is not in `PARAMETERS`.
    """
    put_moving(changes)


def put_moving(changes: dict[str, Any], *, gesture: str = "", done: bool = True) -> None:
    """`put` while something moves: changes that follow each other with one gesture's name are one step to take back.

    With another data set, what was chosen within the one before (`OF_ONE_DATASET`) is let go.

    Args:
        changes: choices by name.
        gesture: empty = a step of its own.
        done: False while the gesture goes on; the address waits for its end.
    """
    choices = st.session_state[CHOICES]
    unknown = [name for name in changes if name not in PARAMETERS]
    if unknown:
        raise KeyError(f"not in PARAMETERS: {unknown}")
    if changes.get("dataset", choices["dataset"]) != choices["dataset"]:
        changes = {**defaults(*OF_ONE_DATASET), **changes}
    changes = {n: tuple(v) if isinstance(v, list) else v for n, v in changes.items()}
    st.session_state[MOVING] = not done
    if any(choices[name] != value for name, value in changes.items()):
        if not gesture or gesture != st.session_state.get(GESTURE):
            st.session_state[HISTORY] = [*st.session_state.get(HISTORY, []), dict(choices)][-HISTORY_LIMIT:]
        st.session_state[CHOICES] = {**choices, **changes}
        st.session_state[TOUCHED] = True
        st.session_state[GESTURE] = gesture


def another_person(person: str, **changes: Any) -> None:
    """Choose a person; what was chosen within the life of the one before is let go: one step, which undo takes back."""
    put(person=person, **defaults(*OF_ONE_LIFE), **changes)


def undo() -> bool:
    """Take back the last change; False where there was none."""
    known = bool(st.session_state.get(HISTORY))
    if known:
        st.session_state[CHOICES] = {**st.session_state[CHOICES], **st.session_state[HISTORY].pop()}
        st.session_state[TOUCHED] = True
        st.session_state[GESTURE] = ""
    return known


def last_change() -> dict[str, tuple[Any, Any]]:
    """What the last change changed: name -> (before, now); empty when there was none."""
    if not st.session_state.get(HISTORY):
        return {}
    before, now = st.session_state[HISTORY][-1], st.session_state[CHOICES]
    return {name: (before[name], now[name]) for name in PARAMETERS if before[name] != now[name]}


def bound(
    name: str,
    *,
    options: Iterable[Any] | None = None,
    to: Callable[[Any], Any] | None = None,
    also: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Keyword arguments that bind a widget to the choice `name`: `st.slider("Keep", 1, 200, **bound("k"))`.

    Args:
        name: a name in `PARAMETERS`.
        options: what the widget offers; a choice that is not among them leaves the widget at its own first value and is
            left as it is until the user picks (views say so through `widgets`).
        to: turns the widget's value into the choice's (for instance `list` of labels into ids).
        also: what else a change chooses, in the same step (for instance the first page of what is filtered anew).
    """
    key = f"w_{name}"
    value = get(name)
    value = list(value) if isinstance(value, tuple) else value
    known = list(options) if options is not None else None
    if known is not None and isinstance(value, list):
        st.session_state[key] = [v for v in value if v in known]
    elif known is None or value in known:
        st.session_state[key] = value
    elif key in st.session_state and st.session_state[key] not in known:
        del st.session_state[key]

    def changed() -> None:
        new = st.session_state[key]
        put(**{name: PARAMETERS[name].default if new is None else to(new) if to else new}, **(also or {}))

    return {"key": key, "on_change": changed}


def notices() -> list[str]:
    """What the URL held that could not be used."""
    return st.session_state.get(NOTICES, [])


def dismiss_notices() -> None:
    """Forget the notices."""
    st.session_state[NOTICES] = []


def link(**changes: Any) -> str:
    """The query string of the present choices with `changes`, starting with `?`, or empty."""
    query = write_query({**st.session_state[CHOICES], **changes})
    return f"?{urlencode(query)}" if query else ""
