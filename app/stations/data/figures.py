"""Figures of the station Data: how long lives are, how events spread over time, and what is present."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from app.palette import DASHES, GREEN, ORANGE, SKY, empty, frame


def length_table(lengths: np.ndarray, bins: int = 30) -> pd.DataFrame:
    """People by life length in bins of equal ratio: columns `from_events`, `to_events`, `people`."""
    if not len(lengths) or lengths.max() < 1:
        return pd.DataFrame({"from_events": [], "to_events": [], "people": []})
    high = max(int(lengths.max()), 2)
    edges = np.unique(np.geomspace(1, high + 1, bins + 1).round().astype(np.int64))
    counts, _ = np.histogram(lengths, edges)
    return pd.DataFrame({"from_events": edges[:-1], "to_events": edges[1:] - 1, "people": counts})


def life_lengths(table: pd.DataFrame, median: float, p90: float) -> go.Figure:
    """Histogram of `length_table`, with the median and the 90th percentile marked."""
    if table.empty:
        return empty("No person has an event.")
    middle = np.sqrt(table.from_events * (table.to_events + 1))
    figure = go.Figure(
        go.Bar(
            x=middle,
            y=table.people,
            width=table.to_events - table.from_events + 1,
            marker={"color": SKY, "line": {"width": 0}},
            customdata=table[["from_events", "to_events"]].to_numpy(),
            hovertemplate="%{customdata[0]} to %{customdata[1]} events: %{y} people<extra></extra>",
            showlegend=False,
        )
    )
    top = float(table.people.max()) * 1.05
    for value, name, dash in ((median, "median", DASHES[0]), (p90, "90 % at most", DASHES[1])):
        figure.add_scatter(
            x=[value, value],
            y=[0, top],
            mode="lines",
            name=f"{name} {value:,.0f}",
            line={"color": ORANGE, "dash": dash, "width": 2},
            hoverinfo="skip",
        )
    frame(figure, height=280, x="events in a life (log)", y="people")
    figure.update_xaxes(type="log")
    return figure


def month_table(time_s: np.ndarray, search: np.ndarray, bins: int = 60) -> pd.DataFrame:
    """Events of both lanes in equal spans of time: columns `from`, `browsing`, `search`."""
    if not len(time_s):
        return pd.DataFrame({"from": [], "browsing": [], "search": []})
    low, high = int(time_s.min()), int(time_s.max())
    edges = np.linspace(low, max(high, low + 1), bins + 1)
    browsing, searched = (np.histogram(time_s[lane], edges)[0] for lane in (~search, search))
    return pd.DataFrame({"from": pd.to_datetime(edges[:-1], unit="s"), "browsing": browsing, "search": searched})


def events_over_time(table: pd.DataFrame) -> go.Figure:
    """Stacked bars of `month_table`."""
    if table.empty:
        return empty("No event.")
    figure = go.Figure()
    for lane, colour, pattern in (("browsing", SKY, ""), ("search", ORANGE, "/")):
        figure.add_bar(
            x=table["from"],
            y=table[lane],
            name=lane,
            marker={"color": colour, "pattern": {"shape": pattern}, "line": {"width": 0}},
        )
    figure.update_layout(barmode="stack", bargap=0.05)
    return frame(figure, height=280, x="time (UTC)", y="events")


def shares(table: pd.DataFrame) -> go.Figure:
    """What is present: one bar a row of `table` (columns `what`, `count`, `of`), as a share with both numbers."""
    share = table["count"] / table["of"].clip(lower=1)
    figure = go.Figure(
        go.Bar(
            y=table.what,
            x=share,
            orientation="h",
            marker={"color": GREEN},
            text=[f"{s:.0%} · {c:,} of {n:,}" for s, c, n in zip(share, table["count"], table["of"], strict=True)],
            textposition="auto",
            hoverinfo="skip",
        )
    )
    frame(figure, height=60 + 42 * len(table), x="share")
    figure.update_xaxes(range=[0, 1], tickformat=".0%")
    figure.update_yaxes(autorange="reversed")
    return figure
