"""Save the view that is open as a slide of a story: a button on every station."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import loaders, state, widgets
from app.parameters import PARAMETERS
from seminar_core.access import may_operate
from seminar_core.errors import NotReadyError
from seminar_core.jobs import control as jobs
from seminar_core.jobs.state import OF_A_RUN
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
SETTINGS = {
    "retrieve": ("spec", "weights", "mask", "hide_from_s", "hide_to_s", "head", "method", "query", "at"),
    "population": ("spec",),
}


def slide_of(station: str, view: str, caption: str, note: str) -> Slide:
    """The open view as a slide, with the choices that the page makes where none was made.

    Raises:
        NotReadyError: the page shows nothing of the kind.
    """
    job = watched() if station == "training" else None
    return Slide(
        view,
        dataset=state.get("dataset"),
        run="" if view in ("data", "life") else run_shown(station, job),
        person=person_shown(station) if view in ("life", "retrieve") else "",
        item=state.get("item") if view == "retrieve" else "",
        shortlist=float(state.get("shortlist")),
        caption=caption,
        note=note,
        settings=settings_of(view) if view in SETTINGS else {},
        link=f"{station}{state.link(tour=0, **({'job': job['job']} if job else {}))}",
    )


def settings_of(view: str) -> dict[str, Any]:
    """What was chosen of the question; K as the page takes it, where it is not the run's own."""
    from app.stations.retrieval.controls import MOST_K

    settings = {n: state.get(n) for n in SETTINGS[view] if state.get(n) != PARAMETERS[n].default}
    if "head" in settings:
        settings["head"] = int(settings["head"])
    return {**settings, "k": min(state.get("k"), MOST_K)} if state.get("k") else settings


def person_shown(station: str) -> str:
    """The person whom the station shows: Home the example person, Retrieval where nobody was chosen.

    Raises:
        NotReadyError: Life shows the list of people.
    """
    if station == "home" or (station == "retrieval" and not state.get("person")):
        return str(loaders.report(state.get("dataset"))["example_person"])
    if not state.get("person"):
        raise NotReadyError("no person is chosen, so no life is shown", hint="choose a person, then save the view")
    return str(state.get("person"))


def watched() -> dict[str, Any] | None:
    """The job that Training watches; None where another part is open or nothing was started yet."""
    from app.stations.training.view import chosen_job

    rows = jobs.rows(loaders.workspace()) if state.get("part") == "watch" else []
    return chosen_job(rows) if rows else None


def run_shown(station: str, job: dict[str, Any] | None) -> str:
    """The run that the station shows: of the watched job, the first that is compared, the chosen one or the newest.

    Raises:
        NotReadyError: the watched job trains none, or the data set has none.
    """
    from app.stations.retrieval.controls import newest_run

    if job is not None and (job["command"] not in OF_A_RUN or not job["run"]):
        raise NotReadyError(
            f"job {job['job']!r} trains no run, so it shows no curves", hint="choose a job that trains, or compare runs"
        )
    if job is not None:
        return str(job["run"])
    if station == "training" and state.get("part") == "compare" and state.get("runs"):
        return str(state.get("runs")[0])
    newest = newest_run if station == "retrieval" else loaders.newest_run
    run = state.get("run") or newest(state.get("dataset"))
    if not run:
        raise NotReadyError(
            f"the data set {state.get('dataset')!r} has no run that is shown here", hint="train one, then save the view"
        )
    return str(run)


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
    """Story, caption and notes, and what the slide is of."""
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
    with widgets.explained("save"):
        slide = slide_of(station, str(view), caption, note)
        of = (slide.dataset, slide.run, slide.person, slide.item)
        st.caption(f"Shows {widgets.plain(' · '.join(part for part in of if part))}.")
        if st.button("Save", type="primary", key="save_now"):
            told = with_slide(loaders.workspace(), str(story or ""), slide)
            st.success(f"Saved as slide {len(told.slides)} of {widgets.plain(told.name)}; open it at Stories.")
