"""What was picked or lassoed on the map: rows, pictures, statistics, and neighbours in the original space."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from app import loaders, widgets
from app.components.alignment_map import payload
from app.components.cards import Card, Group, cards
from app.stations.alignment import loaders as sources
from seminar_core.alignment.projection import Layout
from seminar_core.contracts import CHANNEL_NAMES

PICTURES = 12
ROWS = 500


def render(chosen: np.ndarray, dataset: Any, *, on_clear: Callable[[], None]) -> None:
    """Pictures, rows and statistics of the selected items; the number card beside the map is of them too."""
    frame = sources.items_frame(dataset.name).reindex(chosen)
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{len(chosen):,} {'item' if len(chosen) == 1 else 'items'} selected**")
            st.button("Clear", key="clear_selection", on_click=on_clear)
        pictures, rows, statistics = st.tabs(["Pictures", "Rows", "Statistics"])
        with pictures:
            shown: list[Card] = [_card(dataset, int(row)) for row in chosen[:PICTURES]]
            cards([{"cards": shown}], key="selection_pictures", strip=True)
            if len(chosen) > PICTURES:
                st.caption(f"The first {PICTURES} of {len(chosen):,}; the table has all.")
        with rows:
            st.dataframe(frame.drop(columns=["item_row"]).head(ROWS), hide_index=True, height=280)
            if len(frame) > ROWS:
                st.caption(f"The first {ROWS} of {len(frame):,} rows; the download has all.")
            widgets.downloads(frame, name="alignment_selection")
        with statistics:
            _statistics(frame, len(dataset.item_ids) - 1)


def _card(dataset: Any, row: int, mark: str = "", lines: list[str] | None = None) -> Card:
    return {
        "image": loaders.picture(dataset.name, row),
        "title": dataset.titles[row] or dataset.item_ids[row],
        "lines": lines or [],
        "mark": mark,
    }


def _statistics(frame: pd.DataFrame, of: int) -> None:
    """How the selection is made up."""
    with st.container(horizontal=True):
        st.metric("Items", f"{len(frame):,}", help=f"of {of:,}", width=140)
        st.metric("Median events an item", f"{frame['events'].median():,.0f}" if "events" in frame else "–", width=180)
        st.metric("With a title", f"{frame['title'].notna().mean():.0%}", width=140)
    if "category" in frame:
        counts = frame["category"].fillna("none").value_counts().rename_axis("category").reset_index(name="items")
        st.dataframe(counts, hide_index=True, height=min(280, 40 + 35 * len(counts)))


def neighbours(
    picked: dict[str, Any],
    found: dict[str, Any],
    layout: Layout,
    items: payload.MapItems,
    dataset: Any,
    *,
    on_close: Callable[[], None],
) -> None:
    """Neighbours of the picked point in the original space, and those that only the drawing shows."""
    row = int(items.rows[picked["item"]])
    with st.container(border=True):
        title = widgets.plain(dataset.titles[row] or dataset.item_ids[row])
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{title}**, {CHANNEL_NAMES[picked['channel']]} ({widgets.plain(picked['stage'])})")
            st.button("Close", key="close_neighbours", on_click=on_close)
        true: list[Card] = []
        for (position, channel), cosine, missed in zip(found["true"], found["cosine"], found["missed"], strict=True):
            mark = "○ not near on the map" if missed else "● near on the map too"
            other = int(items.rows[position])
            true.append(_card(dataset, other, mark, [f"{CHANNEL_NAMES[channel]} · cos {cosine:.2f}"]))
        false = [
            _card(dataset, int(items.rows[position]), "✕ only on the map", [CHANNEL_NAMES[channel]])
            for position, channel in found["false"]
        ]
        groups: list[Group] = [{"heading": "Nearest in the original space", "cards": true}]
        if false:
            groups.append({"heading": "False neighbours: near on the map only", "cards": false})
        cards(groups, key="picked_neighbours", strip=True)
        kept = len(found["true"]) - sum(found["missed"])
        st.caption(f"{kept} of {len(found['true'])} true neighbours are among the nearest on the map.")
