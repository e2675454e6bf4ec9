"""The Retrieval station's evidence: why an event was lost, what a budget buys, and how this person compares."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from app import loaders, state, widgets
from app.stations.retrieval import figures
from app.stations.retrieval import loaders as sources
from seminar_core.contracts import CHANNEL_NAMES, CHANNELS
from seminar_core.search.answer import Answered
from seminar_core.search.question import SHORTLIST, Question

MOST_LISTED = 200
LOST_IN = {
    "scan": "the scan did not put it on the shortlist",
    "refine": "it was on the shortlist, and exact scores preferred others",
    None: "it was kept",
}


def why(name: str, run: str, question: Question, answered: Answered) -> None:
    """Why chosen events were kept or lost: contributions, errors, codes and who shares them."""
    table = answered.verdicts
    st.subheader("Why was it kept or lost?", anchor=False)
    if question.method not in (None, "pq"):
        widgets.empty(f"{question.method} has no codes to explain; choose PQ as the first stage.")
        return
    order = lost_first(table)
    dataset = loaders.dataset(name)
    life = loaders.life(name, question.person)
    verdict = dict(zip(table.event.astype(str), table.verdict, strict=True))
    options = list(dict.fromkeys([*order.event.astype(str).head(MOST_LISTED), *state.get("event")]))

    def label(event: str) -> str:
        row = int(life.item[int(event)]) if int(event) < len(life) else 0
        return f"{verdict.get(event, 'not kept')} · event {event} · {dataset.titles[row] or '(no title)'}"

    st.multiselect(
        "Events", options, format_func=label, placeholder="choose events", **state.bound("event", options=options)
    )
    chosen = list(state.get("event")) or list(order.event.astype(str).head(1))
    if not state.get("event"):
        kind = "lost" if len(order) and order.verdict.iloc[0] == "lost" else "kept"
        widgets.trust_line(f"nothing chosen: showing the {kind} event with most weight")
    for event in chosen:
        with widgets.explained(f"why_{event}"):
            explanation(run, question, event, label(event), drawn=bool(state.get("event")))


def lost_first(table: pd.DataFrame) -> pd.DataFrame:
    """Verdicts in the order in which they are offered: lost events before others, most attended first."""
    return table.assign(lost=table.verdict == "lost").sort_values(["lost", "weight_exact"], ascending=False)


def explanation(run: str, question: Question, event: str, label: str, *, drawn: bool) -> None:
    """One event in words; its two figures when it was chosen (`drawn`), else when they are asked for."""
    said = sources.explanation(run, question, event)
    with st.container(border=True):
        st.markdown(f"**{widgets.plain(label)}**")
        shared = said["shares_code_with"]
        st.write(
            f"Exact score {said['score_exact']:.4f}, approximate {said['score_approx']:.4f} "
            f"(head {said['head']}): {LOST_IN[said['lost_in']]}."
        )
        st.caption(kept_for(said["kept_by_heads"]))
        code = " ".join(str(c) for c in said["code"][:64])
        st.caption(f"Code: {code}{' …' if len(said['code']) > 64 else ''}")
        if shared:
            st.caption(
                f"{len(shared)} events with another item or query have the same code and cannot be told from it: "
                f"{widgets.plain(', '.join(shared[:12]))}{' …' if len(shared) > 12 else ''}"
            )
        else:
            st.caption("No event of this life with another item or query has the same code.")
        if not (drawn or st.toggle("Figures: contributions and errors", key=f"why_figures_{event}")):
            return
        left, right = st.columns(2)
        matrix = np.array(said["contributions"])
        with left:
            widgets.chart(
                figures.contributions(matrix, CHANNELS, CHANNEL_NAMES),
                name=f"contributions_{event}",
                alt=f"Contributions of channel pairs to the exact score of event {event}.",
                table=lambda: pd.DataFrame(matrix, columns=list(CHANNELS)).assign(target=list(CHANNELS)),
                says="Each cell: what one channel of the target and one channel of the event add to the exact score.",
            )
        with right:
            widgets.chart(
                figures.errors(said["error_by_channel"], said["error_by_subspace"], CHANNEL_NAMES),
                name=f"errors_{event}",
                alt=f"Error of the approximate score of event {event} by channel and by sub-space.",
                table=lambda: pd.DataFrame(
                    {
                        "part": [*said["error_by_channel"], *(str(i) for i in range(len(said["error_by_subspace"])))],
                        "error": [*said["error_by_channel"].values(), *said["error_by_subspace"]],
                    }
                ),
                says="Approximate minus exact score, split by channel and by sub-space; both sum to the whole error.",
            )


def kept_for(heads: dict[str, list[int]]) -> str:
    """For which heads both searches kept an event, in words."""
    exact, approx = (
        f"head{'s' * (len(heads[side]) > 1)} {', '.join(map(str, heads[side]))}" if heads[side] else "no head"
        for side in ("exact", "approx")
    )
    return f"Kept for {exact} by exact search, for {approx} by the approximate one."


def budget(run: str, question: Question) -> None:
    """Recall and mass against bytes and latency, for this person and for the population."""
    with st.expander(
        "Budget: what bytes and microseconds buy", icon=":material/savings:", key="budget", on_change="rerun"
    ) as opened:
        if not opened.open:
            return
        st.segmented_control(
            "For", ("this person", "a sample of people"), required=True, default="this person", key="budget_of"
        )
        st.segmented_control("Against", ("bytes", "latency"), required=True, default="bytes", key="budget_by")
        person = question.person if st.session_state["budget_of"] == "this person" else ""
        with widgets.explained("budget_error"):
            budget_figure(run, question, person)


def budget_figure(run: str, question: Question, person: str) -> None:
    """The measured specifications, the suggestion among them."""
    said = sources.frontier(run, person)
    rows = pd.DataFrame(said["rows"])
    x = "bytes_per_event" if st.session_state["budget_by"] == "bytes" else "latency_us"
    suggestion = said.get("suggestion") or {}
    spec = suggestion.get("spec", "")
    crossover = said.get("crossover_length")
    widgets.chart(
        figures.budget(
            rows,
            x=x,
            current=(question.method or question.spec, {0.0: "scan", SHORTLIST: "refine"}.get(question.shortlist, "")),
            suggestion=(spec, suggestion.get("stage", "")),
        ),
        name="budget",
        alt=f"Recall and attention mass of {len(rows)} specifications against {x}.",
        table=rows,
        says=(f"Suggested {said['says']}. " if spec else f"Nothing reaches recall {said['target_recall']:g}. ")
        + (
            f"On this machine approximate search is faster from about {crossover:,} events."
            if crossover
            else "On this machine exact search was faster at every measured length."
        ),
    )


def population(run: str, question: Question) -> None:
    """All people by PQ loss at the page's specification and K, length and gap; a click opens the person."""
    with st.expander(
        "Everybody: PQ loss, length and gap", icon=":material/groups:", key="population", on_change="rerun"
    ) as opened:
        if not opened.open:
            return
        with widgets.explained("population_error"):
            said = loaders.population(run, question.spec, question.k)
            people = pd.DataFrame(said["people"])
            if said["note"]:
                widgets.empty(said["note"])
            chosen = people.index[people.person == question.person]

            def open_person() -> None:
                ids = widgets.selected_ids(st.session_state["chart_population"])
                if ids:
                    state.another_person(str(people.person[ids[0]]), item="", query="")

            known = people.pq_loss.dropna()
            setting = (
                f"by the quantised scan of {widgets.plain(said['spec'])} alone, K = {said['k']}, at their last event"
            )
            says = f"{len(known):,} of {len(people):,} people {setting}" + (
                f"; half of them lose at most {known.median():.2%} of the attention mass, nine of ten at most "
                f"{known.quantile(0.9):.2%}"
                if len(known)
                else ""
            )
            widgets.chart(
                figures.population(people, chosen=int(chosen[0]) if len(chosen) else None),
                name="population",
                alt=says,
                table=people,
                says=f"{says}. Click a point to open that person.",
                on_select=open_person,
            )
