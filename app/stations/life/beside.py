"""Two people's interests above each other over one time axis, with a sentence that says what differs."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app import state, widgets
from app.stations.life import figures
from app.stations.life import loaders as sources


def section(name: str, person: str) -> None:
    """The field of the other person, and the comparison once one is named."""
    other = state.get("person_b")
    with st.expander(
        "Compare with another person", expanded=bool(other), icon=":material/compare_arrows:", key="compare_people"
    ):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.text_input(
                "Other person",
                placeholder="person id",
                width=160,
                **state.bound("person_b", to=lambda text: text.strip()),
            )
            if other:
                st.button(
                    "Exchange", key="exchange_people", icon=":material/swap_vert:", on_click=exchange,
                    help="Read the other life instead",
                )  # fmt: skip
                st.button(
                    "End", key="compare_end", icon=":material/close:", on_click=state.put, kwargs={"person_b": ""}
                )
        if not other:
            st.caption("Both lives are drawn over the same time, in the same interests.")
            return
        with widgets.explained("compare"):
            chart(name, person, other)


def exchange() -> None:
    """The other person becomes the one whose life is read."""
    state.another_person(state.get("person_b"), person_b=state.get("person"), item="", query="")


def chart(name: str, person: str, other: str) -> None:
    """The bands of both, their table, and what differs."""
    found = sources.lives_compared(name, person, other)
    zone = state.get("zone")
    middle = widgets.times(found.middle_s, zone)

    def table() -> pd.DataFrame:
        return sources.in_zone(found.table(), zone)

    widgets.chart(
        figures.compared(middle, found.shares, found.names, found.people, zone=zone),
        name="people_compared",
        alt=f"Interests of {person} above those of {other} over time. {found.says()}",
        table=table,
        says=widgets.plain(found.says())
        + f" Interests are {len(found.names)} clusters of the items of both, by {found.source}.",
    )
