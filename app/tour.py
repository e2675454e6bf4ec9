"""The guided tour: six stops over the stations, one sentence each; it can be left at any stop and taken up again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

from app import loaders, state, widgets
from app.parameters import OF_ONE_LIFE, OF_ONE_QUESTION, defaults

LEFT_AT = "seminar_tour_left_at"


@dataclass(frozen=True)
class Stop:
    """One stop: the station, what to look at, and the choices that show it."""

    station: str
    words: str
    choices: dict[str, Any]


STOPS = (
    Stop(
        "data",
        "Everything starts with a log: who did what, when, with which item, and after which search. This page says how "
        "long the histories are and what is wrong with them.",
        {},
    ),
    Stop(
        "life",
        "One person's whole history: interests as bands, searches and browsing as lanes, and what each search led to. "
        "Years of it are too long for most ranking models.",
        {},
    ),
    Stop(
        "retrieval",
        "For one candidate item the model attends to a few events of that history. The first sentence says how many; "
        "the lanes show when they happened.",
        {"figure": "lanes", "shortlist": 4},
    ),
    Stop(
        "retrieval",
        "Product quantisation stores each event in a few bytes and scans those instead. Here the scan alone decides: "
        "the figure shows how the ranks shift. Set “Shortlist x K” to 4 to score a longer shortlist exactly, and "
        "compare.",
        {"figure": "rank_shift", "shortlist": 0},
    ),
    Stop(
        "alignment",
        "Text, picture, attributes and query of one item should lie close together to be comparable. The map shows "
        "them before and after pretraining, and the card measures how far apart they are.",
        {"stages": ("before", "after")},
    ),
    Stop("training", "Train a model of your own here: progress, cancel, resume, and a comparison with its rivals.", {}),
)


def chosen_run(name: str) -> str:
    """The ranker that tour and doors open: the chosen one, or the newest of the data set; empty where there is none."""
    rankers = [row for row in loaders.runs(name) if row["kind"] == "ranker" and row["state"] == "done"]
    known = [row["run"] for row in rankers if not row.get("stale")]
    return state.get("run") if state.get("run") in known else loaders.newest_run(name, kinds=("ranker",))


def go_to(number: int) -> None:
    """Open stop `number`, counted from 1, on the data set, ranker and person that are chosen or that come first."""
    stop = STOPS[number - 1]
    name = state.get("dataset")
    chosen: dict[str, Any] = {"tour": number, "run": chosen_run(name)}
    if stop.station == "retrieval":
        chosen |= defaults(*OF_ONE_LIFE, *OF_ONE_QUESTION)
    if not state.get("person"):
        chosen["person"] = str(loaders.report(name)["example_person"])
    state.put(**{**chosen, **stop.choices})
    widgets.open_station(stop.station)


def leave() -> None:
    """End the tour; Home offers to go on from here."""
    st.session_state[LEFT_AT] = state.get("tour")
    state.put(tour=0)


def bar(station: str) -> None:
    """The stop that the tour is at, above the page; nothing when there is no tour."""
    number = state.get("tour")
    if not 1 <= number <= len(STOPS):
        return
    stop = STOPS[number - 1]
    with st.container(border=True, key="tour"):
        st.markdown(f"**Tour, {number} of {len(STOPS)}.** {stop.words}")
        with st.container(horizontal=True, vertical_alignment="center"):
            if station != stop.station and st.button("Back to this stop", key="tour_here"):
                go_to(number)
            if number > 1 and st.button("Previous", key="tour_previous", icon=":material/arrow_back:"):
                go_to(number - 1)
            if number < len(STOPS):
                if st.button("Next", key="tour_next", type="primary", icon=":material/arrow_forward:"):
                    go_to(number + 1)
            elif st.button("Finish", key="tour_finish", type="primary", icon=":material/check:"):
                state.put(tour=0)
                st.session_state.pop(LEFT_AT, None)
                widgets.open_station("home")
            st.button("Leave the tour", key="tour_leave", on_click=leave)
