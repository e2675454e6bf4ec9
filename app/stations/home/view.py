"""Home: what this is, three questions that each open a telling view, what the workspace holds, and what to do next."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import background, loaders, state, tour, widgets
from app.parameters import OF_ONE_LIFE, OF_ONE_QUESTION, defaults
from app.stations.life import bands as interest_bands
from seminar_core.beside import bundled_runs
from seminar_core.jobs import control as jobs
from seminar_core.jobs.state import LIVE
from seminar_core.retrieval.spec import DEFAULT

WHAT = (
    "A person's searches and the items they led to form one long history. For a candidate item, SEMINAR finds the "
    "events of that history that speak for it, through text, picture, attributes and query together. Here you see "
    "which events those are, whether the four modalities share one space, and what "
    "storing each event in a few bytes changes."
)


def render() -> None:
    """Draw the page."""
    name = state.get("dataset")
    st.markdown(WHAT)
    person = str(loaders.report(name)["example_person"])
    drawing = st.container()  # filled last: the questions do not wait for the clustering behind the picture
    run = tour.chosen_run(name)
    doors(run, person)
    if not run:
        background.first_run(name)
    left, right = st.columns(2, gap="large")
    with left:
        held(name)
    with right:
        next_steps(name, run)
    with drawing, widgets.explained("home_picture"):
        picture(name, person)


def picture(name: str, person: str) -> None:
    """One life of the data set: its interests as bands over time."""
    facts = loaders.life_facts(name, person)
    interest_bands.chart(
        name,
        person,
        key="home_life",
        height=230,
        says=f"One history of {name}: person {widgets.plain(person)}, {facts.events:,} events with {facts.searches:,} "
        f"searches over {facts.days:,.0f} days, by interest.",
    )


def questions(run: str, person: str) -> list[tuple[str, str, str, str, dict[str, Any]]]:
    """What the doors ask, a word on it, and the station, the key and the choices of the view that answers it."""
    worst = most_lost(run) if run else None
    lost = (
        f"The quantised scan keeps {worst['recall']:.0%} of what exact search keeps for person "
        f"{widgets.plain(worst['person'])}, who loses most."
        if worst
        else "Exact and quantised retrieval side by side, with the reason for each lost event."
    )
    loses = {"person": worst["person"], "k": worst["k"]} if worst else {"person": person}
    return [
        (
            "What does this person's history say about an item?",
            f"The events of person {widgets.plain(person)} that speak for the item they met next.",
            "retrieval",
            "says",
            {"person": person, "shortlist": 4, "figure": "lanes"},
        ),
        (
            "Are text and pictures in one space?",
            "The modality gap before and after pretraining, as a map and in numbers.",
            "alignment",
            "space",
            {"stages": ("before", "after")},
        ),
        (
            "What does quantisation lose?",
            lost,
            "retrieval",
            "loses",
            {**loses, "shortlist": 0, "figure": "rank_shift"},
        ),
    ]


def doors(run: str, person: str) -> None:
    """Three questions, each a button to a prepared view."""
    for column, (question, words, station, key, choices) in zip(st.columns(3), questions(run, person), strict=True):
        with column.container(border=True, height="stretch", key=f"door_{key}_box"):
            st.markdown(f"**{question}**")
            st.markdown(words)
            if st.button(
                "Show me", key=f"door_{key}", type="primary", icon=":material/arrow_forward:", disabled=not run
            ):
                state.put(**{**defaults(*OF_ONE_LIFE, *OF_ONE_QUESTION), "run": run, **choices})
                widgets.open_station(station)
    if not run:
        st.caption("The three questions need a trained run of this data set.")
    with st.container(horizontal=True, vertical_alignment="center"):
        stopped = st.session_state.get(tour.LEFT_AT)
        if stopped and st.button(f"Resume the tour at stop {stopped}", key="tour_resume", icon=":material/tour:"):
            tour.go_to(stopped)
        if st.button("Take the tour", key="tour_start", icon=":material/tour:", disabled=not run):
            tour.go_to(1)
        st.caption(f"{len(tour.STOPS)} stops, about five minutes; leave it at any stop and come back here.")
        if run in bundled_runs():
            st.download_button(
                "The sample's story as one page",
                story_page,
                "story.html",
                "text/html",
                key="home_story",
                on_click="ignore",
                icon=":material/slideshow:",
                help="Seven slides with notes in one file that needs no network: p presents, arrows turn the page",
            )


def story_page() -> bytes:
    """The story of the sample, as `story export sample` writes it."""
    from seminar_core.stories import page
    from seminar_core.stories.story import sample_story

    return page.story_page(loaders.workspace(), sample_story())[0].encode()


def most_lost(run: str) -> dict[str, Any] | None:
    """The person for whom the codes lose most with K of the run (`k`), where that has been measured for the run."""
    measured, keep = loaders.kept_population(run, DEFAULT)
    rows = [{**row, "k": keep} for row in measured if row["pq_loss"] is not None]
    return max(rows, key=lambda row: row["pq_loss"], default=None)


def held(name: str) -> None:
    """What the workspace holds."""
    st.subheader("In this workspace", anchor=False)
    rows, ours = loaders.runs(), set(bundled_runs())
    found = jobs.rows(loaders.workspace())
    going = sum(row["state"] in LIVE for row in found)
    trained = sum(row["run"] not in ours for row in rows)
    names = loaders.dataset_names()
    shown = {
        "Data sets": widgets.plain(", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")),
        "Runs trained here": f"{trained:,}",
        "Runs that came with the sample": f"{len(rows) - trained:,}",
        "Jobs under way": f"{going:,} of {len(found):,}",
    }
    st.markdown("\n".join(f"- {label}: **{value}**" for label, value in shown.items()))


def next_steps(name: str, run: str) -> None:
    """The next sensible step, as a button."""
    st.subheader("Next", anchor=False)
    if not run:
        st.markdown(f"Train a first run of **{widgets.plain(name)}** above: Alignment and Retrieval need one.")
    elif run in bundled_runs():
        st.markdown(
            "You are looking at the run that came with the sample. Train one of your own, or bring your own data."
        )
    else:
        st.markdown(f"Compare **{widgets.plain(run)}** with its rivals, or bring other data.")
    with st.container(horizontal=True):
        if st.button("Train or compare", key="home_training", icon=":material/model_training:"):
            widgets.open_station("training")
        if st.button("Bring your own data", key="home_data", icon=":material/upload_file:"):
            widgets.open_station("data")
