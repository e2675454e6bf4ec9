"""Two targets, or two runs, side by side: the same person at the same time under the same settings.

Each side has its headline numbers and its most attended events; what both kept is marked on either side.
"""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from app import loaders, state, widgets
from app.components.cards import cards
from app.stations.retrieval import controls
from app.stations.retrieval import loaders as sources
from app.stations.retrieval.kept_card import METRICS, card
from seminar_core.search.answer import Answered
from seminar_core.search.question import Question

SHOWN = 6
Side = tuple[str, Answered]


def beside(name: str, run: str, question: Question) -> None:
    """The first target and run beside `item_b` and `run_b`, where one of them is chosen."""
    with st.expander(
        "Beside another target or run",
        icon=":material/compare:",
        key="beside",
        expanded=bool(state.get("item_b") or state.get("run_b")),
        on_change="rerun",
    ) as opened:
        if not opened.open:
            return
        with st.container(horizontal=True, vertical_alignment="bottom"):
            widgets.pick_run("run_b", "Other run")
            st.text_input("Other target (item id)", width=200, placeholder="item id", **state.bound("item_b"))
            st.button(
                "This target as the other",
                key="as_other",
                on_click=state.put,
                kwargs={"item_b": question.item},
                help="Then choose a new target above",
            )
            st.button(
                "Swap",
                key="swap",
                icon=":material/swap_horiz:",
                disabled=not (state.get("item_b") or state.get("run_b")),
                on_click=swap,
                args=(run, question.item),
            )
        if not (state.get("item_b") or state.get("run_b")):
            widgets.trust_line("Choose another run or another target to see both answers beside each other.")
            return
        other_run = state.get("run_b") or run
        other = replace(question, item=state.get("item_b") or question.item)
        with widgets.explained("beside_error"):
            if state.get("run_b"):
                loaders.check_run_of(other_run, name)
            sides = [asked(run, question), asked(other_run, other)]
            draw(name, sides)


def swap(run: str, item: str) -> None:
    """The other target and run become the first."""
    changes = {"item": state.get("item_b") or item, "item_b": item, "event": ()}
    if state.get("run_b"):
        changes |= {"run": state.get("run_b"), "run_b": run}
    state.put(**changes)


def asked(run: str, question: Question) -> Side:
    """One side: its run and answer."""
    return run, sources.answered(run, question)


def draw(name: str, sides: list[Side]) -> None:
    """Both sides as columns, what they share above them."""
    kept = [{row["event"] for row in answered.said["exact"]} for _, answered in sides]
    both = kept[0] & kept[1]
    widgets.trust_line(
        f"exact search keeps {len(kept[0])} and {len(kept[1])} events, {len(both)} of them on both sides",
        "cards are marked where both sides keep the event",
    )
    for number, (place, side) in enumerate(zip(st.columns(2), sides, strict=True)):
        with place, widgets.explained(f"beside_{number}"):
            column(name, side, both, number)


def column(name: str, side: Side, both: set[str], number: int) -> None:
    """One side."""
    run, answered = side
    said = answered.said
    target = controls.item_card(name, loaders.dataset(name).item_row(answered.question.item))
    numbers = [
        f"{label} {'-' if said[key] is None else style.format(said[key])}" for label, key, style, _ in METRICS[:5]
    ]
    target["lines"] = [*target["lines"], *numbers]
    target.pop("id")
    verdict = {int(row["event"]): "kept" if row["event"] in both else "gained" for row in said["exact"]}
    rows = said["exact"][:SHOWN]
    listed = [card(name, answered, row, verdict) for row in rows]
    for one in listed:
        one["mark"] = "✓ on both sides" if one["id"] in both else ""
        one["tone"] = "same" if one["id"] in both else "plain"
    cards(
        [
            {"heading": f"Target {'AB'[number]}", "note": f"run {run}", "cards": [target]},
            {"heading": "Most attended", "note": f"showing {len(rows)} of {len(said['exact'])}", "cards": listed},
        ],
        key=f"beside_{number}",
        on_choose=lambda event: state.put(event=(event,)),
        width="100%",
    )
