"""The work-list: items or people whose modalities disagree most, with a likely reason, filter, pictures and export."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from app import glossary, loaders, state, widgets
from app.components.cards import Card, cards
from app.stations.alignment import loaders as sources
from app.stations.alignment import map as alignment_map
from seminar_core.alignment.worklist import FEWEST_OF_A_LIFE

SHOWN = 12
ROWS = 300
LEFT_OUT = {
    "items": "fewer than two modalities",
    "people": f"fewer than {FEWEST_OF_A_LIFE} different items that have every modality",
}
MEANING = {
    "items": "0 = supported like most items, 1 = no more than by chance",
    "people": "0 = the modalities find the same items alike, 0.5 = unrelated",
}
ODD = {"I": "picture", "T": "text", "A": "attributes", "Q": "queries", "C": "items met beside it"}


def render(run: str, shown: str, known: tuple[str, ...], chosen: np.ndarray) -> None:
    """Draw the list of one of the stages `known`; unless another is chosen, of the last that is shown.

    Of two or more selected catalogue rows `chosen`, the list of items shows those alone; one alone was shown from here.
    """
    stage = state.get("list_stage") if state.get("list_stage") in known else shown
    st.subheader("Work-list", anchor=False, help=glossary.meaning("Work-list"))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control("Of", ["items", "people"], required=True, **state.bound("of", options=["items", "people"]))
        of = state.get("of")
        st.selectbox(
            "Stage",
            ["", *known],
            format_func=lambda value: value or f"as shown ({shown})",
            width=200,
            **state.bound("list_stage", options=["", *known]),
        )
        found, judged, total = sources.worklist(run, stage, of)
        within = of == "items" and len(chosen) > 1
        listed = found[found["item_row"].isin(chosen)] if within and len(found) else found
        frame = filtered(listed) if of == "items" and len(listed) else listed
    if state.get("list_stage") not in ("", *known):
        widgets.trust_line(f"this run has no stage {widgets.plain(state.get('list_stage'))}: the list is of {shown}")
    if frame.empty:
        widgets.empty("Nothing to show: the filter leaves no row, or none could be judged.")
        return
    if of == "items":
        items(frame)
    else:
        people(frame, key="_".join(("worklist_table", state.get("dataset"), run, stage)))
    widgets.downloads(frame, name=f"worklist_{of}")
    widgets.trust_line(
        f"run {widgets.plain(run)}",
        f"stage {widgets.plain(stage)}",
        f"{widgets.count(judged)} of {widgets.count(total)} {of} judged",
        f"{widgets.count(total - judged)} left out: {LEFT_OUT[of]}" if total > judged else "",
        f"of the {widgets.count(len(chosen))} selected items" if within else "",
        f"{widgets.count(len(frame))} match the filter" if len(frame) < len(listed) else "",
        f"disagreement: {MEANING[of]}",
    )


def filtered(frame: pd.DataFrame) -> pd.DataFrame:
    """Only rows of the chosen odd modality and text."""
    odd = st.multiselect("Odd modality", list(ODD), format_func=ODD.__getitem__, key="worklist_odd", width=320)
    text = st.text_input("Title or reason contains", key="worklist_text", width=220)
    if odd:
        frame = frame[frame["odd"].isin(odd)]
    if text:
        words = frame["title"] + " " + frame["reason"]
        frame = frame[words.str.contains(text, case=False, regex=False)]
    return frame


def items(frame: pd.DataFrame) -> None:
    """The first with pictures, then the table; a chosen row is selected on the map."""
    name = state.get("dataset")
    dataset = loaders.dataset(name)
    first: list[Card] = [
        {
            "id": str(row.item_row),
            "image": loaders.picture(name, row.item_row),
            "title": row.title or row.id,
            "lines": [f"disagreement {row.disagreement:.2f}", row.reason],
            "tone": "lost",
        }
        for row in frame.head(SHOWN).itertuples()
    ]

    def show(chosen: str) -> None:
        alignment_map.select(pd.Series([int(chosen)]).to_numpy(), dataset.hash)

    cards([{"cards": first}], key="worklist_cards", on_choose=show, width="16rem")
    table(frame.drop(columns=["item_row"]).assign(odd=frame["odd"].map(ODD)), "A card selects its item on the map.")


def people(frame: pd.DataFrame, key: str) -> None:
    """The table of people; a chosen one stays chosen at the other stations.

    A row that is chosen in the list `key` is chosen in no other. The list may be shorter by the time it is drawn again.
    """
    event = table(frame, "A chosen row offers the person's life.", key=key, select=True)
    rows = [row for row in event["selection"]["rows"] if row < len(frame)] if event is not None else []
    if rows:
        person = str(frame.iloc[rows[0]]["id"])
        if st.button(f"Read the life of {widgets.plain(person)}", icon=":material/timeline:", key="torn_life"):
            state.another_person(person)
            widgets.open_station("life")


def table(frame: pd.DataFrame, says: str, *, key: str = "worklist_table", select: bool = False):
    """The first rows of the list."""
    event = st.dataframe(
        frame.head(ROWS),
        hide_index=True,
        height=320,
        key=key,
        on_select="rerun" if select else "ignore",
        selection_mode="single-row",
        column_config={
            "id": st.column_config.TextColumn(width="small"),
            "disagreement": st.column_config.ProgressColumn(format="%.2f", min_value=0, max_value=1, width="small"),
            "reason": st.column_config.TextColumn(width=590),
            "events": st.column_config.NumberColumn(width="small"),
        },
    )
    more = f" The first {ROWS} of {len(frame):,}; the download has all." if len(frame) > ROWS else ""
    st.caption(says + more)
    return event if select else None
