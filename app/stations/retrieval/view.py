"""Station Retrieval: for one person and one target, what exact search keeps, what the approximation keeps, and why.

This module lays the page out and draws the answer; `retrieval_controls` chooses target and settings,
`retrieval_evidence` explains lost events, the budget and the population.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from app import background, loaders, state, widgets
from app.components.cards import Group, cards
from app.palette import VERDICTS
from app.stations.retrieval import beside, controls, evidence, figures
from app.stations.retrieval.kept_card import METRICS, card, choose_event
from seminar_core.errors import SeminarError
from seminar_core.search.answer import Answered
from seminar_core.search.trace import Question, Trace

SHOWN = 12
FIGURES = {
    "lanes": "Where in the life",
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
    if not run:
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
        widgets.trust_line(f"No person was chosen: showing the example person {widgets.plain(person)}")
    with widgets.explained("retrieval_run"):
        loaders.study(run)
        question = controls.target(name, run, person)
        if question is None:
            return
        top = st.container()  # the headline stands above the settings that change it
        question = controls.what_if(run, question)
        with controls.repaired(run, question):
            page(name, run, question, top)
        evidence.population(run, question)


def page(name: str, run: str, question: Question, top: st.delta_generator.DeltaGenerator) -> None:
    """The answer to one question, its headline in `top`."""
    answered = loaders.answered(run, question)
    if not answered.said["visible_events"]:
        outside = " outside the left-out period" if question.hide_from_s is not None else ""
        widgets.empty(
            f"Person {widgets.plain(question.person)} has no visible event before this target{outside}: "
            "there is nothing to retrieve. "
            "Look from a later event, or from the end of the life."
        )
        controls.left_out(question)
        st.button("Look from the end of the life", key="look_end", on_click=state.put, kwargs={"at": "end"})
        return
    with top:
        headline(run, question, answered)
    charts(name, question, answered)
    kept_events(name, run, question, answered)
    beside.beside(name, run, question)
    evidence.why(name, run, question, answered)
    evidence.budget(run, question)


def headline(run: str, question: Question, answered: Answered) -> None:
    """The answer in a sentence, the numbers behind it, and what the last setting changed."""
    found, said = answered.trace, answered.said
    st.markdown(f"##### {widgets.plain(said['says'])}")
    before = controls.previous(question)
    other = None
    if before is not None:
        with suppress(SeminarError):  # what was wrong with the setting before has been said, and is over
            other = loaders.answered(run, before).said
    with st.container(horizontal=True, key="headline"):
        for label, key, style, help_text in METRICS:
            value = said[key]
            change = None
            if other is not None and other[key] is not None and value is not None and other[key] != value:
                signed = style.replace(":", ":+").replace("++", "+")
                change = signed.format(value - other[key])
                change = None if change == signed.format(0) else change
            st.metric(
                label,
                "-" if value is None else style.format(value),
                delta=change,
                delta_color="off",
                help=help_text,
                width=150,
            )
    latency, count = said["latency_us"], len(found.exact.kept.events)
    times = " · ".join(f"{k} {v:,.0f} µs" for k, v in latency.items() if v is not None)
    widgets.trust_line(
        f"run {widgets.plain(run)}",
        f"{said['visible_events']:,} visible events strictly before {moment_words(found)}",
        f"K = {len(found.exact.kept.events[0])} per head, {count} head{'' if count == 1 else 's'}",
        f"one target on this machine: {times}" if times else "",
    )
    if other is not None and before is not None:
        st.info(difference(before, question, other, said), icon=":material/compare_arrows:")


def moment_words(found: Trace) -> str:
    """From when the life is looked at."""
    when = widgets.times(np.array([found.moment.time_s]), state.get("zone"))[0]
    event = "the end of the life" if found.moment.event == "end" else f"event {found.moment.event}"
    return f"{event} ({when:%Y-%m-%d %H:%M} {state.get('zone')})"


def difference(before: Question, now: Question, old: dict[str, Any], new: dict[str, Any]) -> str:
    """What the last change of a setting changed, in one sentence."""
    names = [
        f"{label}: {controls.say(getattr(before, field), field)} → {controls.say(getattr(now, field), field)}"
        for field, label in controls.SETTINGS.items()
        if getattr(before, field) != getattr(now, field)
    ]
    parts = []
    for side, word in (("exact", "exact"), ("approx", "approximate")):
        was, is_ = ({row["event"] for row in answer_[side]} for answer_ in (old, new))
        parts.append(f"{len(is_ - was)} events entered and {len(was - is_)} left the {word} set")
    return f"**{widgets.plain('; '.join(names))}** · {'; '.join(parts)}. Undo is at the top."


def kept_events(name: str, run: str, question: Question, answered: Answered) -> None:
    """One list of what either side kept: the differences first, then what both kept, most attended first."""
    found, table = answered.trace, answered.verdicts
    by_event = {int(row["event"]): row for row in (*answered.said["approx"], *answered.said["exact"])}
    verdict = dict(zip(table.event, table.verdict, strict=True))
    order = table.assign(weight=table[["weight_exact", "weight_approx"]].max(axis=1)).sort_values(
        "weight", ascending=False, kind="stable"
    )
    weights = order.set_index("event")[["weight_exact", "weight_approx"]]
    shown = st.session_state.get("cards_shown", SHOWN)
    counts = table.verdict.value_counts()
    groups: list[Group] = []
    most = 0
    for heading, chosen, note in (
        (
            "Where they differ",
            order.verdict != "kept",
            f"{counts.get('lost', 0)} lost, {counts.get('gained', 0)} gained",
        ),
        ("Kept by both", order.verdict == "kept", "most attended first"),
    ):
        events = order.event[chosen].tolist()
        most = max(most, len(events))
        listed = [card(name, found, by_event[event], verdict) for event in events[:shown]]
        for event, one in zip(events, listed, strict=False):
            one["lines"][0] = "weight {:.4f} exact, {:.4f} approximate".format(*weights.loc[event])
        if events:
            groups.append(
                {"heading": heading, "note": f"{note}, showing {len(listed)} of {len(events)}", "cards": listed}
            )
    if not (table.verdict != "kept").any():
        st.success("Nothing was lost: both searches kept the same events.", icon=":material/check_circle:")
    cards(groups, key=f"cards_kept_{run}", on_choose=choose_event)
    with st.container(horizontal=True, vertical_alignment="center"):
        if shown < most and st.button("Show more", key="more_cards"):
            st.session_state["cards_shown"] = shown + 24
            st.rerun()
        widgets.downloads(export(name, answered), name="kept_events")
    controls.further_methods(name, run, question)


def export(name: str, answered: Answered) -> pd.DataFrame:
    """The kept sets with titles, queries and times."""
    found, table = answered.trace, answered.verdicts
    dataset = loaders.dataset(name)
    life = dataset.store.life(found.moment.person_row)
    events = table.event.to_numpy(np.int64)
    return table.assign(
        title=[dataset.titles[row] for row in life.item[events]],
        query=[dataset.query_texts[row] for row in life.query[events]],
        time_s=life.time_s[events],
    )


def charts(name: str, question: Question, answered: Answered) -> None:
    """One of four figures: timeline in two lanes, rank shifts, scores against each other, parts of the score.

    Only the chosen one is drawn: a figure costs the browser more than the search costs the server.
    """
    table = answered.verdicts
    counts = table.verdict.value_counts()
    words = ", ".join(f"{counts.get(v, 0)} {v}" for v in VERDICTS)
    controls.left_out(question)
    st.segmented_control(
        "Figure",
        list(FIGURES),
        required=True,
        wrap=True,
        format_func=FIGURES.__getitem__,
        label_visibility="collapsed",
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
    else:
        timeline(name, answered, words)


def timeline(name: str, answered: Answered, words: str) -> None:
    """First-stage hits and second-stage weights over the life; a brush leaves a period out."""
    found, table = answered.trace, answered.verdicts
    zone = state.get("zone")
    life = loaders.dataset(name).store.life(found.moment.person_row)
    time = pd.Series(widgets.times(life.time_s[table.event.to_numpy(np.int64)], zone))
    span = widgets.times(life.time_s[found.moment.positions[[0, -1]]], zone)

    def brushed() -> None:
        period = widgets.selected_range(st.session_state["chart_lanes"])
        if period is not None:
            low, high = (widgets.seconds(value, zone) for value in period)
            state.put(hide_from_s=low, hide_to_s=high)

    figure = figures.lanes(table, time, (span[0], span[1]), zone=zone)
    figure.update_layout(dragmode="select", selectdirection="h")
    widgets.chart(
        figure,
        name="lanes",
        alt=f"Timeline of kept events: {words}; attention weights as a second lane.",
        table=lambda: export(name, answered),
        says="First-stage hits above, second-stage weights below (exact up, approximate down). "
        "Drag over a period to leave it out and see what changes.",
        on_select=brushed,
        selection_mode=("box",),
    )


def pick(chart: str) -> None:
    """Explain the events that were selected in a chart."""
    ids = widgets.selected_ids(st.session_state[f"chart_{chart}"])
    if ids:
        state.put(event=tuple(str(i) for i in ids[:12]))
