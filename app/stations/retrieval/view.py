"""Station Retrieval: for one person and one target, what exact search keeps, what the approximation keeps, and why.

This module lays the page out: `controls` chooses target and settings, `answer` gives the answer to its component,
`evidence` explains lost events, the budget and the population. Settings and answer are a fragment, so that a what-if
draws nothing else.
"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app import background, command_palette, loaders, state, widgets
from app.stations.retrieval import answer, beside, controls, evidence, figures
from app.stations.retrieval import loaders as sources
from app.work import waiting
from app.work.waiting import Pending
from seminar_core.errors import SeminarError
from seminar_core.search.answer import Answered
from seminar_core.search.question import Question

# Choices that the fragment itself follows.
INSIDE = (*controls.SETTINGS_INSIDE, "methods", "event", "figure", "item_b", "run_b", "picture")
FIGURES = {
    "lanes": "None",
    "parts": "What the score is made of",
    "rank_shift": "Rank shift",
    "scores": "Score against score",
}
PARTS = {
    "long": "the long history",
    "short": "the newest events",
    "direct": "recent events much like it",
    "mlp": "the network over all of these",
    "prior": "popularity",
}


def render() -> None:
    """Draw the station."""
    name, run, person = (state.get(n) for n in ("dataset", "run", "person"))
    notices = st.container()
    if not run:
        with notices:
            run = controls.only_run(name)
    if not run:
        widgets.empty(
            "Retrieval needs a trained run of this data set"
            + (": choose one at the top of the page." if loaders.runs(name) else ", and there is none yet.")
        )
        background.first_run(name)
        return
    if state.get("run"):
        loaders.dataset(name)  # an unknown data set is explained before a run that cannot be of it
        loaders.check_run_of(run, name)
    if not person:
        person = str(loaders.report(name)["example_person"])
        with notices:
            widgets.trust_line(f"No person was chosen: showing the example person {widgets.plain(person)}")
    with widgets.explained("retrieval_run"):
        question = controls.target(name, run, person)
        if question is not None:
            what_if(name, run, question, state.apart_from(INSIDE))


@st.fragment
def what_if(name: str, run: str, question: Question, around: tuple[object, ...]) -> None:
    """Settings and answer, drawn again alone when one of `INSIDE` changes; another choice draws the whole page."""
    if state.apart_from(INSIDE) != around:
        st.rerun()
    with waiting.part("what_if", alone=state.in_part()), widgets.explained("retrieval_part"):
        with st.container():
            asked = controls.what_if(run, question)
        with controls.repaired(run, asked):
            page(name, run, asked)
        evidence.population(run, asked)
        sources.open_ahead(run, asked)
    state.finish_part()
    command_palette.remember("retrieval", "Retrieval")


def page(name: str, run: str, question: Question) -> None:
    """The answer to one question, and what explains it."""
    with st.container():  # there with nothing in it too: an answer that moves down the page is mounted anew
        controls.left_out(question)
    try:
        answered = sources.answered(run, question)
    except (SeminarError, Pending):
        answer.draw(name, run, question, None)
        raise
    if not answered.said["visible_events"]:
        outside = " outside the left-out period" if question.hide_from_s is not None else ""
        widgets.empty(
            f"Person {widgets.plain(question.person)} has no visible event before this target{outside}: "
            "there is nothing to retrieve. "
            "Look from a later event, or from the end of the life."
        )
        st.button("Look from the end of the life", key="look_end", on_click=state.put, kwargs={"at": "end"})
        return
    answer.draw(name, run, question, answered)
    table(name, answered)
    charts(answered)
    controls.further_methods(name, run, question)
    beside.beside(name, run, question)
    evidence.why(name, run, question, answered)
    evidence.budget(run, question)


def table(name: str, answered: Answered) -> None:
    """What the answer shows, as a table and as files."""
    with st.expander("Table and download", key="behind_kept_events", on_change="rerun", type="compact") as behind:
        if behind.open:
            frame = answer.export(name, answered)
            st.dataframe(frame, hide_index=True, height=min(320, 40 + 35 * len(frame)))
            widgets.downloads(frame, name="kept_events")
            widgets.picture_format("lanes")


def charts(answered: Answered) -> None:
    """A further figure when it is asked for: rank shifts, scores against each other, parts of the score."""
    table, words = answered.verdicts, answer.verdict_words(answered)
    st.segmented_control(
        "Further figure",
        list(FIGURES),
        required=True,
        wrap=True,
        format_func=FIGURES.__getitem__,
        **state.bound("figure", options=list(FIGURES)),
    )
    if state.get("figure") == "rank_shift":
        widgets.chart(
            figures.rank_shift(table),
            name="rank_shift",
            alt=f"Ranks by weight, exact beside approximate: {words}.",
            table=table,
            says=f"{words}; ranks by attention weight. Click a point to explain that event below.",
            on_select=lambda: pick("rank_shift"),
        )
    elif state.get("figure") == "scores":
        widgets.chart(
            figures.scores(table),
            name="scores",
            alt=f"Exact against approximate score of the kept events: {words}.",
            table=table,
            says="Largest score over heads. Click, or draw a box or a lasso, to explain events below.",
            on_select=lambda: pick("scores"),
            selection_mode=("points", "box", "lasso"),
        )
    elif state.get("figure") == "parts":
        parts = answered.said["logit_parts"]
        widgets.chart(
            figures.parts(parts["exact"], parts["approx"], PARTS),
            name="parts",
            alt="Parts of the score: " + ", ".join(f"{PARTS[n]} {v:+.2f}" for n, v in parts["exact"].items()),
            table=pd.DataFrame(
                {
                    "part": list(parts["exact"]),
                    "exact": list(parts["exact"].values()),
                    "approximate": list(parts["approx"].values()),
                }
            ),
            says="The parts add up to the score. Quantisation touches the long history alone, and what the network "
            "makes of it.",
        )


def pick(chart: str) -> None:
    """Explain the events that were selected in a chart."""
    ids = widgets.selected_ids(st.session_state[f"chart_{chart}"])
    if ids:
        state.put(event=tuple(str(i) for i in ids[:12]))
