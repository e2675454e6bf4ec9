"""Every session key and every query parameter of the app: what is chosen, and how it travels.

The choices live in one dictionary in the session; the URL is written from it at the end of each run, so a choice made
at one station stays chosen at the next and every page is a link. Widgets are bound with `bound(name)`: primed from the
choices, and writing back through a callback, so that undo, links and code can all set what a widget shows.
Only choices that differ from their default are written; `v` names the version of this table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlencode
from zoneinfo import available_timezones

import streamlit as st

from app.components.address import replace_address
from seminar_core.retrieval.spec import DEFAULT

VERSION = "1"
CHOICES, HISTORY, WRITTEN, SEEN, TOUCHED, CHANGED, NOTICES, PLACE = (
    f"seminar_{n}" for n in ("choices", "history", "url", "seen", "touched", "changed", "notices", "place")
)
UNDER_WAY, UNSETTLED = "seminar_under_way", "seminar_unsettled"
GESTURE, ENTERED, MOVING = (f"seminar_{n}" for n in ("gesture", "entered", "moving"))
HISTORY_LIMIT = 50


@dataclass(frozen=True)
class Parameter:
    """One choice: its default, how it is read from text, and what it is."""

    default: Any
    read: Callable[[str], Any]
    about: str


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part for part in text.split(",") if part))


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(",") if part)


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError("expected 0 or 1")
    return text == "1"


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError("expected zero or more")
    return number


def _seconds(text: str) -> int | None:
    return int(text) if text else None


def _weights(text: str) -> tuple[float, ...]:
    numbers = _numbers(text)
    if len(numbers) not in (0, 4):
        raise ValueError("expected four numbers or none")
    return numbers


def _positions(text: str) -> tuple[str, ...]:
    found = _names(text)
    if not all(part.isascii() and part.isdecimal() for part in found):
        raise ValueError("expected positions in a life")
    return found


def _event(text: str) -> str:
    if text and not (text.isascii() and text.isdecimal()):
        raise ValueError("expected a position in a life")
    return text


def _head(text: str) -> str:
    return ",".join(_positions(text)[:1])


def _digest(text: str) -> str:
    if not re.fullmatch("[0-9a-f]*", text):
        raise ValueError("expected the hexadecimal digits of a digest")
    return text


def _one_of(*known: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in known:
            raise ValueError(f"expected one of {', '.join(known)}")
        return text

    return read


_zones = cache(available_timezones)


def _zone(text: str) -> str:
    if text not in _zones():
        raise ValueError("expected the name of a time zone")
    return text


PARAMETERS: dict[str, Parameter] = {
    # the thread that runs through all stations
    "dataset": Parameter("sample", str, "name of the data set"),
    "run": Parameter("", str, "name of the trained run"),
    "run_b": Parameter("", str, "a second run beside the first"),
    "person": Parameter("", str, "person id"),
    "item": Parameter("", str, "target item id; empty = the person's true next item"),
    "item_b": Parameter("", str, "a second target beside the first"),
    "query": Parameter("", str, "query typed with the target"),
    "at": Parameter("", str, "event before which the life is visible, or `end`; empty = the last event"),
    "zone": Parameter("UTC", _zone, "time zone in which times are shown"),
    "tour": Parameter(0, _count, "stop of the guided tour; 0 = no tour"),
    # Life
    "find": Parameter("", str, "text searched among queries and titles"),
    "sort": Parameter("length", str, "order of the list of people"),
    "from_s": Parameter(None, _seconds, "start of the shown period, UTC seconds"),
    "to_s": Parameter(None, _seconds, "end of the shown period, UTC seconds"),
    "text": Parameter("", str, "only events whose query or title contains this"),
    "actions": Parameter((), _names, "only these actions"),
    "categories": Parameter((), _names, "only these categories"),
    "lanes": Parameter("both", _one_of("both", "search", "browsing"), "both | search | browsing"),
    "page": Parameter(0, _count, "page of the table of events"),
    "search": Parameter("", _event, "event of the search that is opened"),
    "person_b": Parameter("", str, "a second person beside the first"),
    # Retrieval
    "k": Parameter(50, _count, "events kept per head"),
    "spec": Parameter(DEFAULT, str, "quantiser specification"),
    "shortlist": Parameter(4, _count, "shortlist factor: PQ keeps this many times K before exact scores order them"),
    "weights": Parameter((), _weights, "explicit channel weights q,a,t,i; empty = the run's own"),
    "mask": Parameter((), _names, "masked channels"),
    "hide_from_s": Parameter(None, _seconds, "start of the left-out period, UTC seconds"),
    "hide_to_s": Parameter(None, _seconds, "end of the left-out period, UTC seconds"),
    "head": Parameter("", _head, "one attention head; empty = all"),
    "method": Parameter("", str, "first-stage method instead of the specification"),
    "methods": Parameter((), _names, "further methods as columns"),
    "event": Parameter((), _positions, "events whose loss is explained"),
    "figure": Parameter(
        "lanes",
        _one_of("lanes", "parts", "rank_shift", "scores"),
        "lanes | parts | rank_shift | scores: the figure of what was kept",
    ),
    # Alignment
    "stages": Parameter((), _names, "stages on the map"),
    "channels": Parameter((), _names, "channels on the map"),
    "colour": Parameter("", str, "what colours the map"),
    "correction": Parameter(
        "none",
        _one_of("none", "centred", "procrustes"),
        "none | centred | procrustes: what is taken out before measuring",
    ),
    "view": Parameter(
        "stages", _one_of("stages", "film"), "stages | film: side by side, or one map moving over the checkpoints"
    ),
    "drawing": Parameter("webgl", _one_of("webgl", "plotly"), "webgl | plotly"),
    "held_out": Parameter(True, _flag, "figures of the held-out items"),
    "selected": Parameter("", _digest, "digest of the selection kept on disk"),
    "worst": Parameter(10, _count, "how many of the worst aligned items are joined on the map"),
    "multiples": Parameter(False, _flag, "one panel per modality on the map"),
    "seed": Parameter(0, _count, "seed of the sampled points"),
    "slice": Parameter("", str, "items of the number card, as `field=value`; empty = all"),
    "of": Parameter("items", _one_of("items", "people"), "work-list of items or people"),
    "list_stage": Parameter("", str, "stage of the work-list; empty = the last that is shown"),
    # Training
    "part": Parameter(
        "watch", _one_of("watch", "start", "compare"), "part of the station Training: watch | start | compare"
    ),
    "clock": Parameter("step", _one_of("step", "time_s"), "x axis of curves: step | time_s"),
    "job": Parameter("", str, "job that is shown"),
    "recipe": Parameter("pretrain", str, "recipe that is chosen"),
    "runs": Parameter((), _names, "runs that are compared"),
    "metric": Parameter("", str, "metric that is shown"),
    # figures
    "picture": Parameter("png", _one_of("png", "svg"), "format of a figure's picture: png | svg"),
}


def write_value(value: Any) -> str:
    """A choice as the URL holds it."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, tuple | list):
        return ",".join(f"{v:g}" if isinstance(v, float) else str(v) for v in value)
    return "" if value is None else str(value)


def read_query(query: dict[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Choices from a URL's parameters, and one sentence for each thing in it that could not be used."""
    choices = {name: parameter.default for name, parameter in PARAMETERS.items()}
    notices = []
    version = query.get("v", VERSION)
    if version != VERSION:
        notices.append(
            f"This link was made by another version of the app ({version}; this is {VERSION}). "
            "What could be read from it is shown; check the choices before relying on them."
        )
    for name, text in query.items():
        if name == "v" or name.startswith("embed"):
            continue
        if name not in PARAMETERS:
            notices.append(f"The link's “{name}” is not known here and was left out.")
            continue
        try:
            choices[name] = PARAMETERS[name].read(text)
        except ValueError:
            notices.append(
                f"The link's “{name}={text[:60]}” is not {PARAMETERS[name].about}; the default is used instead: "
                f"{write_value(PARAMETERS[name].default) or 'none'}."
            )
    return choices, notices


def write_query(choices: dict[str, Any]) -> dict[str, str]:
    """The URL parameters of `choices`: the version and what differs from the defaults."""
    changed = {n: write_value(choices[n]) for n, p in PARAMETERS.items() if choices[n] != p.default}
    return {"v": VERSION, **changed} if changed else {}


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
        changes = {**{name: PARAMETERS[name].default for name in OF_ONE_DATASET}, **changes}
    changes = {n: tuple(v) if isinstance(v, list) else v for n, v in changes.items()}
    st.session_state[MOVING] = not done
    if any(choices[name] != value for name, value in changes.items()):
        if not gesture or gesture != st.session_state.get(GESTURE):
            st.session_state[HISTORY] = [*st.session_state.get(HISTORY, []), dict(choices)][-HISTORY_LIMIT:]
        st.session_state[CHOICES] = {**choices, **changes}
        st.session_state[TOUCHED] = True
        st.session_state[GESTURE] = gesture


# What belongs to one life: positions and times in it say nothing about another.
OF_ONE_LIFE = ("at", "event", "from_s", "to_s", "hide_from_s", "hide_to_s", "page", "search")
# What belongs to one data set: its runs, people and items, and names of what is in it.
OF_ONE_DATASET = (
    *OF_ONE_LIFE,
    *("run", "run_b", "runs", "head", "methods", "stages", "list_stage"),
    *("person", "person_b", "find", "item", "item_b", "query", "text", "actions", "categories"),
    *("selected", "slice", "colour"),
)


def another_person(person: str, **changes: Any) -> None:
    """Choose a person; what was chosen within the life of the one before is let go: one step, which undo takes back."""
    put(person=person, **{name: PARAMETERS[name].default for name in OF_ONE_LIFE}, **changes)


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


def bound(name: str, *, options: Iterable[Any] | None = None, to: Callable[[Any], Any] | None = None) -> dict[str, Any]:
    """Keyword arguments that bind a widget to the choice `name`: `st.slider("Keep", 1, 200, **bound("k"))`.

    Args:
        name: a name in `PARAMETERS`.
        options: what the widget offers; a choice that is not among them leaves the widget at its own first value and is
            left as it is until the user picks (views say so through `widgets`).
        to: turns the widget's value into the choice's (for instance `list` of labels into ids).
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
        put(**{name: PARAMETERS[name].default if new is None else to(new) if to else new})

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
