"""Figures of the station Retrieval: what exact and approximate search kept, and why they differ.

Most draw the table `verdicts` of the answer: a row for each event that either kept, with both ranks, scores and
weights. Points carry the event's position as `customdata`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from app.palette import (
    CHANNEL_COLOURS,
    DASHES,
    DIVERGING,
    GREY,
    ORANGE,
    SERIES,
    SKY,
    SYMBOLS,
    VERDICTS,
    empty,
    frame,
    shown,
)

SUBSPACES_NAMED = 8
LEAST_LOSS = 0.001  # the axis of PQ loss reaches at least so far, so that no loss at all lies at its foot
# Stage of a measured specification: what the legend says, and the ending of its marker's name.
STAGES = {"scan": ("scan alone", "-open"), "refine": ("shortlist refined", "")}


def rank_shift(table: pd.DataFrame) -> go.Figure:
    """Lines from the exact rank (left) to the approximate rank (right); lost and gained events stand at the edges."""
    if table.empty:
        return empty("Nothing was kept.")
    figure = go.Figure()
    for verdict, (colour, symbol, _) in VERDICTS.items():
        part = table[table.verdict == verdict]
        if part.empty:
            continue
        if verdict == "kept":
            x: list[float | None] = [v for _ in range(len(part)) for v in (0, 1, None)]
            y = [v for a, b in zip(part.rank_exact, part.rank_approx, strict=True) for v in (a, b, None)]
            ids = np.repeat(part.event.to_numpy(np.int32), 3)
        else:
            side = 0 if verdict == "lost" else 1
            x, y = [side] * len(part), list(part.rank_exact if verdict == "lost" else part.rank_approx)
            ids = part.event.to_numpy(np.int32)
        figure.add_scatter(
            x=x,
            y=y,
            name=f"{verdict} ({len(part)})",
            mode="lines+markers" if verdict == "kept" else "markers",
            line={"color": colour, "width": 1},
            marker={"color": colour, "symbol": symbol, "size": 6 if verdict == "kept" else 10},
            customdata=ids,
            hovertemplate="event %{customdata}, rank %{y}<extra>" + verdict + "</extra>",
        )
    frame(figure, height=420, y="rank by attention weight (1 = most)")
    figure.update_xaxes(tickvals=[0, 1], ticktext=["exact", "approximate"], range=[-0.15, 1.15], fixedrange=True)
    figure.update_yaxes(autorange="reversed")
    return figure


def scores(table: pd.DataFrame) -> go.Figure:
    """Exact against approximate score of every kept event; on the diagonal they agree."""
    part = table.dropna(subset=["score_exact"])
    if part.empty:
        return empty("Nothing was kept.")
    figure = go.Figure()
    both = part.dropna(subset=["score_approx"])
    floor = float(np.nanmin([part.score_exact.min(), both.score_approx.min() if len(both) else np.inf]))
    top = float(np.nanmax([part.score_exact.max(), both.score_approx.max() if len(both) else -np.inf]))
    figure.add_scatter(
        x=[floor, top],
        y=[floor, top],
        mode="lines",
        name="equal",
        line={"color": GREY, "dash": DASHES[2]},
        hoverinfo="skip",
    )
    for verdict, (colour, symbol, _) in VERDICTS.items():
        some = part[part.verdict == verdict]
        if some.empty:
            continue
        figure.add_scatter(
            x=some.score_exact,
            y=some.score_approx.fillna(floor),
            mode="markers",
            name=f"{verdict} ({len(some)})" + (", drawn at the floor" if some.score_approx.isna().any() else ""),
            marker={"color": colour, "symbol": symbol, "size": 9, "opacity": 0.8},
            customdata=some.event.to_numpy(np.int32),
            hovertemplate="event %{customdata}<br>exact %{x:.3f}, approximate %{y:.3f}<extra>" + verdict + "</extra>",
        )
    return frame(figure, height=420, x="exact score (largest over heads)", y="approximate score")


def contributions(matrix: np.ndarray, channels: Sequence[str], names: dict[str, str]) -> go.Figure:
    """M x M heatmap: how much each pair of a target channel and an event channel adds to the exact score."""
    bound = max(float(np.abs(matrix).max()), 1e-9)
    labels = [names[c] for c in channels]
    figure = go.Figure(
        go.Heatmap(
            z=matrix,
            x=labels,
            y=labels,
            zmin=-bound,
            zmax=bound,
            colorscale=DIVERGING,
            reversescale=True,
            text=[[f"{v:+.3f}" for v in row] for row in matrix],
            texttemplate="%{text}",
            hovertemplate="target %{y} · event %{x}: %{z:+.4f}<extra></extra>",
            colorbar={"title": "score", "thickness": 10},
        )
    )
    frame(figure, height=330, x="channel of the event", y="channel of the target")
    figure.update_yaxes(autorange="reversed")
    return figure


def errors(channel: dict[str, float], subspace: Sequence[float], names: dict[str, str]) -> go.Figure:
    """Error of the approximate score by channel and by sub-space; either sums to the whole error.

    Args:
        channel: channel -> error.
        subspace: error of each sub-space; the last is what the transform dropped before coding.
        names: channel -> what it is called.
    """
    figure = go.Figure()
    figure.add_bar(
        x=[names.get(c, c) for c in channel],
        y=list(channel.values()),
        name="by channel",
        marker={"color": [CHANNEL_COLOURS.get(c, GREY) for c in channel]},
        hovertemplate="%{x}: %{y:+.4f}<extra></extra>",
    )
    figure.add_bar(
        x=[*(f"s{i + 1}" for i in range(len(subspace) - 1)), "dropped"],
        y=list(subspace),
        name="by sub-space",
        marker={"color": GREY, "pattern": {"shape": "/"}},
        hovertemplate="%{x}: %{y:+.4f}<extra></extra>",
    )
    frame(figure, height=330, y="approximate minus exact score")
    figure.update_layout(bargap=0.15)
    # every channel is named; of many sub-spaces only some, so that no label crowds another out
    bars = [str(x) for trace in figure.data for x in trace.x]
    blocks = bars[len(channel) : -1]
    named = [*bars[: len(channel)], *blocks[:: -(-len(blocks) // SUBSPACES_NAMED) or 1], bars[-1]]
    figure.update_xaxes(tickmode="array", tickvals=named, tickangle=90)
    return figure


def budget(
    rows: pd.DataFrame, *, x: str, current: tuple[str, str], suggestion: tuple[str, str] = ("", "")
) -> go.Figure:
    """Recall and attention mass of every specification against bytes per event or latency, the current one marked.

    Args:
        rows: `spec`, `stage`, `bytes_per_event`, `latency_us`, `recall`, `attention_mass`.
        x: the column on the horizontal axis: `bytes_per_event` or `latency_us`.
        current: specification and stage (`scan` or `refine`) that are set now.
        suggestion: specification and stage that the frontier suggests.
    """
    if rows.empty:
        return empty("No specification has been measured on this run yet.")
    rows = rows.sort_values(x)
    figure = go.Figure()
    for number, (column, name) in enumerate((("recall", "recall@K"), ("attention_mass", "attention mass"))):
        for stage, (says, hollow) in STAGES.items():
            part = rows[rows.stage == stage]
            if part.empty:
                continue
            figure.add_scatter(
                x=part[x],
                y=part[column],
                name=f"{name}, {says}",
                mode="lines+markers",
                line={"color": SERIES[number], "dash": DASHES[number], "width": 1},
                marker={"symbol": f"{SYMBOLS[number]}{hollow}", "size": 9},
                text=[shown(s, 40) for s in part.spec],
                hovertemplate="%{text}<br>%{x:.3g}: %{y:.3f}<extra>" + f"{name}, {says}</extra>",
            )
    for (spec, stage), label, symbol in ((current, "current", "star"), (suggestion, "suggested", "hexagram-open")):
        here = rows[(rows.spec == spec) & (rows.stage == stage)]
        if len(here):
            figure.add_scatter(
                x=here[x],
                y=here["recall"],
                mode="markers",
                name=label,
                marker={"symbol": symbol, "size": 17, "color": ORANGE, "line": {"width": 2, "color": ORANGE}},
                hoverinfo="skip",
            )
    unit = "bytes per event (log)" if x == "bytes_per_event" else "microseconds per target, measured here (log)"
    frame(figure, height=340, x=unit, y="share of the exact answer")
    figure.update_xaxes(type="log")
    figure.update_yaxes(rangemode="tozero")
    return figure


def population(people: pd.DataFrame, *, chosen: int | None = None, x: str = "events", colour: str = "gap") -> go.Figure:
    """Every person: PQ loss against life length, coloured by modality gap; `customdata` is the row in `people`."""
    known = people.dropna(subset=["pq_loss"])
    if known.empty:
        return empty("No person of this run has a measured PQ loss.")
    kind = go.Scattergl if len(known) > 1500 else go.Scatter
    figure = go.Figure(
        kind(
            x=known[x],
            y=known.pq_loss,
            mode="markers",
            marker={
                "color": known[colour],
                "colorscale": "Cividis",
                "size": 7,
                "opacity": 0.8,
                "colorbar": {"title": colour, "thickness": 10},
            },
            customdata=known.index.to_numpy(np.int32),
            text=[shown(p, 30) for p in known.person],
            hovertemplate="person %{text}<br>%{x:,} events · PQ loss %{y:.4f}<extra></extra>",
            showlegend=False,
        )
    )
    if chosen is not None and chosen in known.index:
        row = known.loc[chosen]
        figure.add_scatter(
            x=[row[x]],
            y=[row.pq_loss],
            mode="markers",
            name="this person",
            marker={"symbol": "star", "size": 18, "color": ORANGE},
            hoverinfo="skip",
        )
    frame(figure, height=380, x="events in the life (log)", y="PQ loss (1 - attention mass)")
    figure.update_xaxes(type="log")
    low, high = min(0.0, float(known.pq_loss.min())), max(float(known.pq_loss.max()), LEAST_LOSS)
    figure.update_yaxes(range=[low - 0.05 * (high - low), high + 0.05 * (high - low)])
    return figure


def parts(exact: dict[str, float], approx: dict[str, float], names: dict[str, str]) -> go.Figure:
    """What the score is made of: one bar for each part of the logit, exact beside approximate."""
    shown_parts = [name for name in names if name in exact]
    if not shown_parts:
        return empty("The parts of this score are not known.")
    figure = go.Figure()
    for label, values, colour, pattern in (("exact", exact, SKY, ""), ("approximate", approx, ORANGE, "/")):
        figure.add_bar(
            y=[names[name] for name in shown_parts],
            x=[values[name] for name in shown_parts],
            name=label,
            orientation="h",
            marker={"color": colour, "pattern": {"shape": pattern}},
            text=[f"{values[name]:+.2f}" for name in shown_parts],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:+.3f}<extra>" + label + "</extra>",
        )
    frame(figure, height=320, x="part of the logit", y="")
    figure.update_layout(barmode="group")
    figure.update_yaxes(autorange="reversed", automargin=True)
    return figure
