"""Figures of the station Training: one small panel per learning curve, and runs laid over each other."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from app.palette import DASHES, GREY, SERIES, SYMBOLS, empty, frame, shown

CLOCKS = {"step": "step", "time_s": "seconds of training"}
MARKED = 60
"""Curves with at most this many points show each of them."""


def curve(table: pd.DataFrame, name: str, clock: str = "step", *, best: float | None = None) -> go.Figure:
    """One small panel: `table` has columns `step`, `time_s`, `value`; `best` marks where validation was best."""
    if not len(table):
        return empty("No line has been written yet.")
    loss = name.startswith("loss/")
    figure = go.Figure(
        go.Scatter(
            x=table[clock].to_numpy("float32"),
            y=table["value"].to_numpy("float32"),
            mode="lines+markers" if len(table) <= MARKED else "lines",
            line={"color": SERIES[0] if loss else SERIES[1], "dash": DASHES[0] if loss else DASHES[1], "width": 2},
            marker={"symbol": SYMBOLS[0] if loss else SYMBOLS[1], "size": 5},
            showlegend=False,
            hovertemplate=f"{CLOCKS[clock]} %{{x}}<br>{shown(title(name))} %{{y:.4g}}<extra></extra>",
        )
    )
    if best is not None and not loss:
        figure.add_vline(x=best, line={"color": GREY, "dash": "dot"})
    frame(figure, height=210, x=CLOCKS[clock], title=shown(title(name)))
    figure.update_layout(margin={"t": 34, "b": 36}, title_font_size=13)
    return figure


def title(name: str) -> str:
    """`loss/next_pair` -> `loss: next pair`."""
    return name.replace("/", ": ").replace("_", " ")


def overlay(series: Mapping[str, pd.DataFrame], metric: str, clock: str = "step") -> go.Figure:
    """One metric of several runs: `series` maps a run to columns `step`, `time_s`, `value`."""
    drawn = {name: table for name, table in series.items() if len(table)}
    if not drawn:
        return empty(f"None of these runs has written {shown(title(metric))}.")
    figure = go.Figure()
    for i, (name, table) in enumerate(drawn.items()):
        figure.add_scatter(
            x=table[clock].to_numpy("float32"),
            y=table["value"].to_numpy("float32"),
            mode="lines+markers" if len(table) <= MARKED else "lines",
            name=shown(name, 40),
            line={"color": SERIES[i % len(SERIES)], "dash": DASHES[i % len(DASHES)], "width": 2},
            marker={"symbol": SYMBOLS[i % len(SYMBOLS)], "size": 6},
        )
    return frame(figure, height=340, x=CLOCKS[clock], y=title(metric))


def differences(table: pd.DataFrame, metric: str) -> go.Figure:
    """Difference to the first run with its interval: columns `run`, `difference`, `low`, `high`."""
    figure = go.Figure(
        go.Scatter(
            x=table["difference"],
            y=table["run"],
            mode="markers",
            marker={"color": SERIES[0], "symbol": "diamond", "size": 11},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": table["high"] - table["difference"],
                "arrayminus": table["difference"] - table["low"],
            },
            hovertemplate="%{y}: %{x:+.4f}<extra></extra>",
        )
    )
    figure.add_vline(x=0, line={"color": GREY, "dash": "dash"})
    return frame(figure, height=110 + 42 * len(table), x=f"{metric} minus the first run, 95 % interval")
