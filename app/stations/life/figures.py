"""Figures of the station Life: the timeline with its two lanes, its density, and interests over time.

Times are drawn in the zone the caller converted them to. Points carry the event's position as `customdata`, so that a
selection gives events back, whatever is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from app.palette import DASHES, GREY, ORANGE, SERIES, SKY, SYMBOLS, empty, frame, shown

LANES = ("browsing", "search")
WEBGL_FROM = 1500


def timeline(
    events: pd.DataFrame,
    counts: pd.DataFrame,
    *,
    sessions: Sequence[tuple[pd.Timestamp, pd.Timestamp]] = (),
    silences: Sequence[tuple[pd.Timestamp, pd.Timestamp, float]] = (),
    period: tuple[pd.Timestamp, pd.Timestamp] | None = None,
    zone: str = "UTC",
) -> go.Figure:
    """Density of all events above, the drawn events in a search and a browsing lane below.

    Args:
        events: drawn events: `event` (position), `time`, `search` (bool), `action`, `title`, `query`.
        counts: density of *all* events: `from`, `browsing`, `search`.
        sessions: first and last time of each session, drawn as bars between the lanes.
        silences: long times without an event: from, to, days.
        period: the shown period, pinned as the range of the time axis.
        zone: name of the time zone for the axis title.
    """
    if events.empty:
        return empty("No event in this period and filter.")
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.3, 0.7], vertical_spacing=0.04)
    add_density(figure, counts)
    add_sessions(figure, sessions)
    add_events(figure, events)
    add_silences(figure, silences)
    frame(figure, height=380)
    figure.update_layout(barmode="stack", bargap=0.05, yaxis={"title": "events"}, selectdirection="h")
    figure.update_yaxes(tickvals=[0, 1], ticktext=list(LANES), range=[-0.5, 1.6], fixedrange=True, row=2, col=1)
    figure.update_yaxes(fixedrange=True, row=1, col=1)
    figure.update_xaxes(title=f"time ({zone})", row=2, col=1)
    if period:
        figure.update_xaxes(range=list(period))
    return figure


def add_density(figure: go.Figure, counts: pd.DataFrame) -> None:
    """Bars of all events in the upper row, one colour and pattern a lane."""
    for lane, colour, pattern in ((LANES[0], SKY, ""), (LANES[1], ORANGE, "/")):
        figure.add_bar(
            x=counts["from"],
            y=counts[lane],
            name=f"{lane} (all events)",
            marker={"color": colour, "pattern": {"shape": pattern}, "line": {"width": 0}},
            showlegend=False,
            row=1,
            col=1,
        )


def add_sessions(figure: go.Figure, sessions: Sequence[tuple[pd.Timestamp, pd.Timestamp]]) -> None:
    """A bar between the lanes for each session."""
    if not sessions:
        return
    x: list[pd.Timestamp | None] = [t for pair in sessions for t in (*pair, None)]
    figure.add_scatter(
        x=x,
        y=[0.5, 0.5, None] * len(sessions),
        mode="lines+markers",
        name=f"sessions ({len(sessions):,})",
        line={"color": GREY, "width": 4},
        marker={"symbol": "line-ns-open", "size": 7, "color": GREY},
        hoverinfo="skip",
        row=2,
        col=1,
    )


def add_events(figure: go.Figure, events: pd.DataFrame) -> None:
    """The drawn events in their lanes, one trace an action."""
    kind = go.Scattergl if len(events) > WEBGL_FROM else go.Scatter
    for number, (action, part) in enumerate(events.groupby("action", sort=True)):
        marker = {"color": SERIES[number % len(SERIES)], "symbol": SYMBOLS[number % len(SYMBOLS)]}
        figure.add_trace(
            kind(
                x=part["time"],
                y=part["search"].astype(np.int8),
                mode="markers",
                name=shown(action),
                marker={**marker, "size": 9, "opacity": 0.75},
                customdata=part["event"].to_numpy(np.int32),
                text=[
                    shown(title) + (f"<br>searched “{shown(query, 60)}”" if query else "")
                    for title, query in zip(part["title"], part["query"], strict=True)
                ],
                hovertemplate="%{text}<br>%{x|%Y-%m-%d %H:%M} · event %{customdata}<extra></extra>",
            ),
            row=2,
            col=1,
        )


def add_silences(figure: go.Figure, silences: Sequence[tuple[pd.Timestamp, pd.Timestamp, float]]) -> None:
    """A grey band with its days for each long time without an event."""
    for start, stop, days in silences:
        figure.add_vrect(x0=start, x1=stop, fillcolor=GREY, opacity=0.15, line_width=0, row=2, col=1)
        figure.add_annotation(
            x=start + (stop - start) / 2, y=1.42, text=f"{days:,.0f} days", showarrow=False, row=2, col=1
        )


def interests(
    middle: Sequence[pd.Timestamp], shares: np.ndarray, names: Sequence[str], *, zone: str = "UTC"
) -> go.Figure:
    """Share of each interest over time, stacked; `shares` is (interests, bins)."""
    if not len(names):
        return empty("No item of this life has a vector, so interests cannot be told apart.")
    figure = go.Figure()
    add_bands(figure, middle, shares, names)
    frame(figure, height=280, x=f"time ({zone})", y="share of events")
    figure.update_yaxes(tickformat=".0%", range=[0, 1])
    figure.update_layout(hovermode="x unified")
    return figure


def add_bands(
    figure: go.Figure, middle: Sequence[pd.Timestamp], shares: np.ndarray, names: Sequence[str], **place: Any
) -> None:
    """One band an interest, the same colour and pattern wherever it stands; `place` is a subplot's row and column."""
    for number, name in enumerate(names):
        figure.add_scatter(
            x=middle,
            y=shares[number],
            name=shown(name, 40),
            legendgroup=str(number),
            showlegend=place.get("row", 1) == 1,
            stackgroup="all",
            mode="lines",
            line={
                "color": SERIES[number % len(SERIES)],
                "width": 1,
                "dash": DASHES[number % len(DASHES)],
                "shape": "hvh",
            },
            fillpattern={"shape": ("", "/", "\\", "x", ".", "+", "-")[number % 7], "fgopacity": 0.4},
            hovertemplate="%{fullData.name}: %{y:.0%}<extra></extra>",
            **place,
        )


def compared(
    middle: Sequence[pd.Timestamp],
    shares: np.ndarray,
    names: Sequence[str],
    people: Sequence[str],
    *,
    zone: str = "UTC",
) -> go.Figure:
    """Interests of two people above each other over one time axis; `shares` is (2, interests, bins)."""
    if not len(names):
        return empty("No item of these lives has a vector, so interests cannot be told apart.")
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    frame(figure, height=440)
    for row, person in enumerate(people, start=1):
        add_bands(figure, middle, shares[row - 1], names, row=row, col=1)
        figure.update_yaxes(title=f"{shown(person, 20)}: share", tickformat=".0%", range=[0, 1], row=row, col=1)
    figure.update_xaxes(title=f"time ({zone})", row=2, col=1)
    return figure
