"""Save the view that is open as a slide of a story: a button on every station."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import loaders, state, widgets
from app.parameters import PARAMETERS
from seminar_core.access import may_operate
from seminar_core.stories.story import BUNDLED, Slide, story_names, with_slide

# What a story shows of a station: view and words.
VIEWS = {
    "home": {"life": "The interests of the example person"},
    "data": {"data": "Events over the months"},
    "life": {"life": "Interests of this person"},
    "alignment": {"map": "The map before and after pretraining", "gap": "The gap in numbers"},
    "retrieval": {
        "retrieve": "What is kept for this item",
        "population": "What the quantised scan loses, for everybody",
    },
    "training": {"training": "Validation over the steps"},
}
ASKED = ("k", "spec", "weights", "mask", "hide_from_s", "hide_to_s", "head", "method", "query", "at")


def slide_of(station: str, view: str, caption: str, note: str) -> Slide:
    """The open view as a slide, with the choices that the page makes where none was made."""
    name = state.get("dataset")
    models = ("seminar", "seminar-pq", "psu") if station == "retrieval" else ()
    run = state.get("run") or loaders.newest_run(name, models=models, codebooks=bool(models))
    person = state.get("person") or str(loaders.report(name)["example_person"])
    settings: dict[str, Any] = {}
    if view == "retrieve":
        settings = {n: state.get(n) for n in ASKED if n == "k" or state.get(n) != PARAMETERS[n].default}
        if "head" in settings:
            settings["head"] = int(settings["head"])
    return Slide(
        view,
        dataset=name,
        run="" if view in ("data", "life") else run,
        person=person if view in ("life", "retrieve") else "",
        item=state.get("item") if view == "retrieve" else "",
        shortlist=float(state.get("shortlist")),
        caption=caption,
        note=note,
        settings=settings,
        link=f"{station}{state.link(tour=0)}",
    )


def button(station: str) -> None:
    """The button; nothing where a story shows nothing of the station."""
    viewer = not may_operate()
    if station in VIEWS and st.button(
        "Save view", icon=":material/bookmark_add:", key="save_view", disabled=viewer,
        help="Only an operator may change stories." if viewer else None,
    ):  # fmt: skip
        opened(station)


@st.dialog("Save this view", icon=":material/bookmark_add:")
def opened(station: str) -> None:
    """The form as a dialog."""
    form(station)


def form(station: str) -> None:
    """Story, caption and notes."""
    names = [name for name in story_names(loaders.workspace()) if name != BUNDLED]
    story = st.selectbox(
        "Story", names or ["mine"], accept_new_options=True, key="save_story", help="Type a new name to start a story"
    )
    views = VIEWS[station]
    view = next(iter(views))
    if len(views) > 1:
        view = st.radio("What is shown", list(views), format_func=views.__getitem__, key="save_what")
    caption = st.text_input("Caption", value=views[view], key=f"save_caption_{view}")
    note = st.text_area("Speaker notes", key="save_note", height=90)
    if st.button("Save", type="primary", key="save_now"):
        with widgets.explained("save"):
            told = with_slide(loaders.workspace(), str(story or ""), slide_of(station, str(view), caption, note))
            st.success(f"Saved as slide {len(told.slides)} of {widgets.plain(told.name)}; open it at Stories.")
