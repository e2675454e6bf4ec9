"""The map as a table: one row per item, worst aligned first, from which items can be selected by keyboard."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from app import widgets
from app.components.alignment_map import payload
from app.stations.alignment import badge as alignment_badge
from seminar_core.alignment.map_facts import centroid_gaps, shortfall
from seminar_core.alignment.projection import Layout
from seminar_core.contracts import CHANNEL_NAMES

ROWS = 300


def gap_frame(layout: Layout) -> pd.DataFrame:
    """Centroid gaps: one row per pair of modalities, one column per stage."""
    found = dict(zip(layout.points.stages, centroid_gaps(layout), strict=True))
    pairs = list(dict.fromkeys(pair for gaps in found.values() for pair in gaps))
    rows = []
    for pair in pairs:
        row: dict[str, Any] = {"pair": " – ".join(CHANNEL_NAMES[c] for c in pair)}
        row |= {stage: gaps[pair]["gap"] if pair in gaps else None for stage, gaps in found.items()}
        rows.append(row | {"items": max(gaps[pair]["n"] for gaps in found.values() if pair in gaps)})
    return pd.DataFrame(rows)


def items_table(items: payload.MapItems, cosines: np.ndarray, dataset: Any) -> pd.DataFrame:
    """One row per item: its pairs' cosines at the last stage and how far they are below the mean, worst first."""
    table = {
        "item_row": items.rows,
        "item": [dataset.item_ids[row] for row in items.rows],
        "title": [dataset.titles[row] for row in items.rows],
        "below the mean": shortfall(cosines[-1]),
    }
    for at, pair in enumerate(combinations(items.channels, 2)):
        table[" – ".join(CHANNEL_NAMES[c] for c in pair)] = cosines[-1][:, at]
    return pd.DataFrame(table).sort_values("below the mean", ascending=False, kind="stable", na_position="last")


def render(
    layout: Layout, items: payload.MapItems, cosines: np.ndarray, dataset: Any, select: Callable[[np.ndarray], None]
) -> None:
    """Draw the table when it is opened; chosen rows become the selection through `select`."""
    with st.expander("The map as a table", key="map_twin", on_change="rerun", icon=":material/table:") as behind:
        if not behind.open:
            return
        st.markdown("**Centroid gap**: distance of two modalities' mean unit vectors; 0 = they coincide.")
        st.dataframe(gap_frame(layout).round(3), hide_index=True)
        frame = items_table(items, cosines, dataset)
        shown = frame.head(ROWS)

        def chosen() -> None:
            rows = st.session_state["map_twin_rows"]["selection"]["rows"]
            select(shown["item_row"].to_numpy()[rows])

        st.markdown("**Items**, worst aligned first; chosen rows are selected on the map.")
        st.dataframe(
            shown.drop(columns="item_row").round(3),
            hide_index=True,
            height=320,
            key="map_twin_rows",
            on_select=chosen,
            selection_mode="multi-row",
        )
        if len(frame) > ROWS:
            st.caption(f"The first {ROWS} of {len(frame):,} items; the download has every point.")
        widgets.downloads(alignment_badge.map_frame(layout, dataset), name="alignment_map_points")
