"""The map as a table: one row per item, worst aligned first, from which items can be selected by keyboard."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from app import state, widgets
from app.components.alignment_map import payload
from app.stations.alignment import badge as alignment_badge
from seminar_core.alignment.map_facts import centroid_gaps, shortfall
from seminar_core.alignment.projection import Layout
from seminar_core.contracts import CHANNEL_NAMES

ROWS = 300
TICKS = "map_twin_ticks"  # number of the table, and the rows and the selection that its ticks stand for


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


def table_key(listed: bytes) -> str:
    """Key of the table of the rows `listed`: another, without ticks, once its ticks are not what is selected."""
    number, *of = st.session_state.get(TICKS, (0,))
    if of != [listed, state.get("selected")]:
        number += 1
        st.session_state[TICKS] = (number, listed, state.get("selected"))
    return f"map_twin_rows_{number}"


def render(
    layout: Layout, items: payload.MapItems, cosines: np.ndarray, dataset: Any, select: Callable[[np.ndarray], None]
) -> None:
    """Draw the table when it is opened; ticked rows become the selection through `select`."""
    with st.expander("The map as a table", key="map_twin", on_change="rerun", icon=":material/table:") as behind:
        if not behind.open:
            return
        st.markdown("**Centroid gap**: distance of two modalities' mean unit vectors; 0 = they coincide.")
        st.dataframe(gap_frame(layout).round(3), hide_index=True)
        frame = items_table(items, cosines, dataset)
        shown = frame.head(ROWS)
        rows = shown["item_row"].to_numpy()
        listed = dataset.hash.encode() + rows.tobytes()
        key = table_key(listed)

        def chosen() -> None:
            select(rows[st.session_state[key]["selection"]["rows"]])
            st.session_state[TICKS] = (st.session_state[TICKS][0], listed, state.get("selected"))

        st.markdown("**Items**, worst aligned first; chosen rows are selected on the map.")
        st.dataframe(
            shown.drop(columns="item_row").round(3),
            hide_index=True,
            height=320,
            key=key,
            on_select=chosen,
            selection_mode="multi-row",
        )
        if len(frame) > ROWS:
            st.caption(f"The first {ROWS} of {len(frame):,} items; the download has every point.")
        widgets.downloads(alignment_badge.map_frame(layout, dataset), name="alignment_map_points")
