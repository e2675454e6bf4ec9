"""Colours and shapes of all figures: Okabe and Ito's palette, which stays distinct with colour-vision deficiency.

Every meaning has a colour *and* a shape (or dash), so nothing is told by colour alone. No yellow: on a light
background its contrast is too small for thin marks.
"""

from __future__ import annotations

import html

import plotly.graph_objects as go

BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE, GREY = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#d55e00",
    "#56b4e9",
    "#cc79a7",
    "#8a8a8a",
)
SERIES = (SKY, ORANGE, GREEN, PURPLE, VERMILION, BLUE, GREY)
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x", "star", "cross")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
CHANNEL_COLOURS = {"Q": PURPLE, "A": ORANGE, "T": SKY, "I": GREEN}
CHANNEL_SYMBOLS = {"Q": "star", "A": "square", "T": "circle", "I": "diamond"}
# kept by both, lost by the approximation, gained by it
VERDICTS = {"kept": (SKY, "circle", "●"), "lost": (VERMILION, "x", "✕"), "gained": (GREEN, "triangle-up", "▲")}
DIVERGING = "RdBu"
SEQUENTIAL = "Viridis"


def frame(figure: go.Figure, *, height: int = 320, x: str = "", y: str = "", title: str = "") -> go.Figure:
    """Give a figure its size, its axis titles with units, and room for a legend above."""
    figure.update_layout(
        height=height,
        title={"text": title, "font": {"size": 15}} if title else None,
        margin={"l": 10, "r": 10, "t": 50 if title else 28, "b": 10},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0},
        xaxis_title=x,
        yaxis_title=y,
        dragmode="pan",
        hoverlabel={"namelength": -1},
    )
    return figure


def shown(text: object, limit: int = 90) -> str:
    """Text from data for a Plotly label: markup is shown as text, long text is cut with a sign that says so."""
    words = " ".join(str(text).split())
    return html.escape(words if len(words) <= limit else words[: limit - 1] + "…", quote=False)


def empty(text: str, *, height: int = 160) -> go.Figure:
    """A figure that says why there is nothing to see."""
    figure = go.Figure()
    figure.add_annotation(text=text, showarrow=False, font={"size": 14})
    figure.update_layout(
        height=height, xaxis_visible=False, yaxis_visible=False, margin={"l": 0, "r": 0, "t": 0, "b": 0}
    )
    return figure
