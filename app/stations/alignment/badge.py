"""How far the map can be trusted, and the map as files: a table, Embedding Atlas, the TensorBoard projector."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from app import widgets
from app.stations.alignment import loaders as sources
from seminar_core.alignment.projection import Layout

EXPORTS = (
    (
        "embedding-atlas",
        "Embedding Atlas (Parquet)",
        "alignment_map.parquet",
        "application/vnd.apache.parquet",
        "embedding-atlas alignment_map.parquet --x x --y y --neighbors neighbors",
    ),
    (
        "projector",
        "TensorBoard projector (zip)",
        "alignment_projector.zip",
        "application/zip",
        "unzip alignment_projector.zip && tensorboard --logdir projector",
    ),
)


def map_frame(layout: Layout, dataset: Any) -> pd.DataFrame:
    """The map as a table: item, channel, stage, x, y."""
    from seminar_core.alignment.map_export import map_table

    return map_table(layout, dataset.item_ids).to_pandas()


def export(layout: Layout, dataset: str, digest: str) -> None:
    """The map as files for other tools; they are made when a button is pressed."""
    with st.popover("Export the map", icon=":material/download:"):
        st.markdown("Coordinates, ids and neighbours in the original space, for tools that run on your machine.")
        for kind, label, name, mime, opened in EXPORTS:
            st.download_button(
                label,
                partial(sources.exported, layout, dataset, digest, kind),
                name,
                mime,
                key=f"export_{kind}",
                on_click="ignore",
                icon=":material/download:",
            )
            st.code(opened, language=None, wrap_lines=True)


def badge(layout: Layout) -> None:
    """How far the map can be trusted; export."""
    facts = layout.facts
    placed = facts["points"] - facts["fitted"]
    widgets.trust_line(
        f"**{facts['method'].upper()}**",
        f"{widgets.count(facts['points'])} shown of {widgets.count(facts['of'])} points",
        f"{widgets.count(placed)} placed by their neighbours" if placed else "",
        f"seed {facts['seed']}",
        f"trustworthiness {facts['trustworthiness']:.3f} (k = {facts['trustworthiness_k']}, "
        f"{widgets.count(facts['trustworthiness_n'])} points)",
        "only neighbours mean anything: distances between groups and their sizes do not",
    )
