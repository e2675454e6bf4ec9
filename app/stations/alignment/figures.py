"""Figures of station 3: the number card, the film's small multiples, and the Plotly map where WebGL2 is missing.

Pure tables and arrays -> figures; no Streamlit. Colours and shapes from `palette`; every point carries its catalogue
row as int32 `customdata`, so that a selection comes back as rows and not as positions within a trace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from app import palette
from seminar_core.alignment.definitions import DEFINITIONS, ONE_WAY
from seminar_core.alignment.projection import Layout
from seminar_core.contracts import CHANNEL_NAMES, CHANNELS

STAGE_STYLE = {
    "before": (palette.GREY, "circle-open"),
    "after": (palette.BLUE, "circle"),
    "encoders": (palette.VERMILION, "x"),
}
OTHER_STAGES = ((palette.VERMILION, "diamond"), (palette.GREEN, "square"), (palette.PURPLE, "triangle-up"))
HEADLINE_METRICS = ("paired_cosine", "centroid_gap", "recall@10", "mrr", "knn_overlap", "cka")
MOST_SCATTER = 85_000
MOST_LINES = 3_000


def pair_name(pair: str) -> str:
    """`T>I` as `text > image`; a single channel by its name."""
    return " > ".join(CHANNEL_NAMES.get(part, part) for part in pair.split(">"))


def stage_style(stage: str, position: int) -> tuple[str, str]:
    """Colour and symbol of a stage."""
    return STAGE_STYLE.get(stage, OTHER_STAGES[position % len(OTHER_STAGES)])


def _panel_titles() -> list[str]:
    """Titles of the headline metrics, broken so that three stand beside each other on a narrow screen."""
    return [DEFINITIONS[metric].title.replace(" ", "<br>") for metric in HEADLINE_METRICS]


def _dress_panels(figure: go.Figure) -> None:
    """Height, legend above the titles, and few upright tick labels."""
    palette.frame(figure, height=480)
    figure.update_layout(legend_y=1.12, margin_t=84)
    figure.update_xaxes(nticks=4, tickangle=0)


def card_figure(table: pd.DataFrame, part: str, pairs: Sequence[str] = ONE_WAY) -> go.Figure:
    """One panel per metric: each pair's value with its interval at every stage, and a tick where chance is."""
    chosen = table[(table["part"] == part) & table["pair"].isin(pairs) & table["value"].notna()]
    if chosen.empty:
        return palette.empty("No pair of modalities could be compared; the table says why.")
    shown = [pair for pair in pairs if pair in set(chosen["pair"])]
    figure = make_subplots(
        2, 3, shared_yaxes=True, subplot_titles=_panel_titles(), horizontal_spacing=0.04, vertical_spacing=0.25
    )
    stages = list(dict.fromkeys(chosen["stage"]))
    for at, metric in enumerate(HEADLINE_METRICS):
        where = {"row": at // 3 + 1, "col": at % 3 + 1}
        for position, stage in enumerate(stages):
            rows = chosen[(chosen["metric"] == metric) & (chosen["stage"] == stage)].set_index("pair").reindex(shown)
            colour, symbol = stage_style(stage, position)
            figure.add_trace(_interval_trace(rows, stage, colour, symbol, shown, first=at == 0), **where)
        chance = chosen[chosen["metric"] == metric].drop_duplicates("pair").set_index("pair").reindex(shown)
        figure.add_trace(
            go.Scatter(
                x=chance["random"],
                y=[pair_name(pair) for pair in shown],
                mode="markers",
                name="by chance",
                legendgroup="chance",
                showlegend=at == 0,
                marker={"symbol": "line-ns-open", "size": 12, "color": palette.ORANGE, "line": {"width": 2}},
                hovertemplate="by chance %{x:.3g}<extra></extra>",
            ),
            **where,
        )
    _dress_panels(figure)
    figure.update_yaxes(autorange="reversed")
    return figure


def _interval_trace(
    rows: pd.DataFrame, stage: str, colour: str, symbol: str, pairs: Sequence[str], *, first: bool
) -> go.Scatter:
    value = rows["value"].astype(float)
    return go.Scatter(
        x=value,
        y=[pair_name(pair) for pair in pairs],
        mode="markers",
        name=stage,
        legendgroup=stage,
        showlegend=first,
        marker={"symbol": symbol, "size": 9, "color": colour, "line": {"width": 2, "color": colour}},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": (rows["high"].astype(float) - value).clip(lower=0),
            "arrayminus": (value - rows["low"].astype(float)).clip(lower=0),
            "color": colour,
            "thickness": 1.5,
        },
        customdata=rows["n"],
        hovertemplate=stage + " %{x:.3g} (n = %{customdata:,})<extra></extra>",
    )


def film_figure(table: pd.DataFrame, steps: Sequence[int], part: str) -> go.Figure:
    """The card over the checkpoints of a run: one panel per metric, one line per pair.

    Args:
        table: from `card_table`, stages in the order of `steps`.
        steps: training step of each stage.
        part: `in alignment` or `held out`.
    """
    chosen = table[(table["part"] == part) & table["value"].notna()]
    stages = list(dict.fromkeys(table["stage"]))
    step_of = dict(zip(stages, steps, strict=True))
    figure = make_subplots(2, 3, subplot_titles=_panel_titles(), horizontal_spacing=0.07, vertical_spacing=0.25)
    for at, metric in enumerate(HEADLINE_METRICS):
        for line, pair in enumerate(ONE_WAY):
            rows = chosen[(chosen["metric"] == metric) & (chosen["pair"] == pair)]
            if rows.empty:
                continue
            figure.add_trace(
                go.Scatter(
                    x=[step_of[stage] for stage in rows["stage"]],
                    y=rows["value"],
                    mode="lines+markers",
                    name=pair_name(pair),
                    legendgroup=pair,
                    showlegend=at == 0,
                    line={"color": palette.SERIES[line], "dash": palette.DASHES[line]},
                    marker={"symbol": palette.SYMBOLS[line], "size": 7},
                    hovertemplate=pair_name(pair) + " %{y:.3g} at step %{x:,}<extra></extra>",
                ),
                row=at // 3 + 1,
                col=at % 3 + 1,
            )
    _dress_panels(figure)
    figure.update_xaxes(title_text="training step", row=2)
    return figure


@dataclass(frozen=True)
class PointColours:
    """A colour per point of a map.

    Fields:
        codes: (n,) position of each point's entry in the legend.
        legend: entries {label, colour, n}; the first is "other or none".
    """

    codes: np.ndarray
    legend: Sequence[Mapping[str, Any]]

    def scale(self) -> list[tuple[float, str]]:
        """The legend's colours as a stepped Plotly scale over [-0.5, entries - 0.5]."""
        n = len(self.legend)
        return [(at / n, str(entry["colour"])) for e, entry in enumerate(self.legend) for at in (e, e + 1)]


def map_figure(
    layout: Layout,
    *,
    channels: Sequence[str] = CHANNELS,
    selected: np.ndarray | None = None,
    titles: Sequence[str | None] | None = None,
    joined: np.ndarray | None = None,
    colours: PointColours | None = None,
    multiples: bool = False,
) -> go.Figure:
    """The joint map in Plotly: one panel per stage, one trace per channel, axes linked and pinned.

    Args:
        layout: the map.
        channels: those drawn.
        selected: catalogue rows that stand out.
        titles: titles by catalogue row for the hover text, left out above `MOST_SCATTER` points.
        colours: colour of each point; by default that of its channel. Shapes tell the channel either way.
        joined: catalogue rows whose modalities are joined by lines (at most `MOST_LINES` items a panel); None = none.
        multiples: one panel per stage (down) and channel (across) instead, without lines.
    """
    points, stages = layout.points, list(layout.points.stages)
    drawn = [c for c in channels if (points.channel == CHANNELS.index(c)).any()]
    figure = _panels(stages, drawn if multiples else [])
    density = len(points) > MOST_SCATTER * len(stages)
    for at, (across, told) in product(range(len(stages)), enumerate([[c] for c in drawn] if multiples else [drawn])):
        where = {"row": at + 1, "col": across + 1} if multiples else {"row": 1, "col": at + 1}
        here = points.stage == at
        if density:
            of = np.isin(points.channel, [CHANNELS.index(c) for c in told])
            figure.add_trace(_density(layout.xy[here & of]), **where)
            continue
        if joined is not None and len(joined) and not multiples:
            figure.add_trace(_pair_lines(layout, here, joined), **where)
        for channel in told:
            chosen = np.flatnonzero(here & (points.channel == CHANNELS.index(channel)))
            if len(chosen):
                figure.add_trace(_channel_trace(layout, chosen, channel, selected, titles, at == 0, colours), **where)
    if colours is not None and not density:
        figure.add_traces([_legend_trace(entry) for entry in colours.legend if entry["n"]])
    low, high = layout.xy.min(axis=0), layout.xy.max(axis=0)
    room = 0.04 * (high - low) + 1e-6
    figure.update_xaxes(range=[low[0] - room[0], high[0] + room[0]], visible=False, matches="x")
    figure.update_yaxes(range=[low[1] - room[1], high[1] + room[1]], visible=False, matches="y")
    palette.frame(figure, height=max(520, 240 * len(stages)) if multiples else 520)
    figure.update_layout(dragmode="lasso", uirevision="alignment-map", legend_y=1.06, margin_t=64)
    figure.update_layout(legend_itemsizing="constant")  # points may be too small for their shape to be told
    return figure


def _panels(stages: list[str], channels: list[str]) -> go.Figure:
    """Empty panels: the stages beside each other; with channels, these across and the stages down."""
    if not channels:
        return make_subplots(1, len(stages), subplot_titles=stages, horizontal_spacing=0.02)
    across = [CHANNEL_NAMES[c] for c in channels]
    apart = {"horizontal_spacing": 0.02, "vertical_spacing": 0.02 / len(stages)}
    return make_subplots(len(stages), len(channels), column_titles=across, row_titles=stages, **apart)


def _density(xy: np.ndarray) -> go.Histogram2d:
    return go.Histogram2d(
        x=xy[:, 0], y=xy[:, 1], nbinsx=200, nbinsy=200, colorscale=palette.SEQUENTIAL, showscale=False
    )


def _channel_trace(
    layout: Layout,
    chosen: np.ndarray,
    channel: str,
    selected: np.ndarray | None,
    titles: Sequence[str | None] | None,
    legend: bool,
    colours: PointColours | None,
) -> go.Scattergl:
    rows = layout.points.item[chosen]
    text: list[str] | None = None
    colour: dict[str, Any] = {"color": palette.CHANNEL_COLOURS[channel]}
    if colours is not None:
        colour = {
            "color": colours.codes[chosen],
            "colorscale": colours.scale(),
            "cmin": -0.5,
            "cmax": len(colours.legend) - 0.5,
        }
    if titles is not None and len(layout.points) <= MOST_SCATTER // 4:
        text = [palette.shown(titles[row] or f"item {row}", 60) for row in rows]
    return go.Scattergl(
        x=layout.xy[chosen, 0],
        y=layout.xy[chosen, 1],
        mode="markers",
        name=CHANNEL_NAMES[channel],
        legendgroup=channel,
        showlegend=legend,
        customdata=rows.astype(np.int32),
        text=text,
        marker={
            **colour,
            "symbol": palette.CHANNEL_SYMBOLS[channel],
            "size": 5 if len(layout.points) < 20_000 else 3,
            "opacity": 0.75,
        },
        selectedpoints=None if selected is None else np.flatnonzero(np.isin(rows, selected)),
        unselected={"marker": {"opacity": 0.12}},
        hovertemplate=("%{text}" if text is not None else "item row %{customdata}")
        + f" · {CHANNEL_NAMES[channel]}<extra></extra>",
    )


def _legend_trace(entry: Mapping[str, Any]) -> go.Scatter:
    """A legend entry without points."""
    return go.Scatter(
        x=[None],
        y=[None],
        mode="markers",
        name=palette.shown(entry["label"], 30),
        marker={"color": entry["colour"], "size": 9},
        hoverinfo="skip",
    )


def _pair_lines(layout: Layout, here: np.ndarray, joined: np.ndarray) -> go.Scattergl:
    """One broken line over the `joined` items: each item's points in order of its channels."""
    points = layout.points
    order = np.flatnonzero(here & np.isin(points.item, joined))
    order = order[np.lexsort((points.channel[order], points.item[order]))]
    item = points.item[order]
    last = np.searchsorted(np.cumsum(np.diff(item, prepend=-1) != 0), MOST_LINES, side="right")
    order, item = order[:last], item[:last]
    breaks = np.flatnonzero(np.diff(item)) + 1
    x, y = (np.insert(layout.xy[order, axis].astype(float), breaks, np.nan) for axis in (0, 1))
    return go.Scattergl(
        x=x,
        y=y,
        mode="lines",
        name="same item",
        showlegend=False,
        line={"color": palette.GREY, "width": 1},
        opacity=0.7,
        hoverinfo="skip",
    )
