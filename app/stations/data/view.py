"""Station Data: the bundled sample, a data set of the workspace or an upload; its report comes before its use."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from app import background, loaders, state, widgets
from app.components.cards import Group, cards
from app.stations.data import figures
from app.stations.data import loaders as sources
from app.stations.data.bring import bring_your_own
from app.stations.data.report import problems, read_line

LOOK = 24


def render() -> None:
    """Draw the station."""
    chosen, upload = st.tabs(["This data set", "Bring your own"])
    with chosen, widgets.explained("data_report"):
        name = state.get("dataset")
        report = loaders.report(name)
        numbers(name, report)
        ways_on(name, report)
        source = loaders.dataset(name).manifest["source"]
        problems(report, by_page=bool(source.get("uploaded")))
        charts(name, report)
        catalogue(name)
    with upload, widgets.explained("data_upload"):
        bring_your_own()


def numbers(name: str, report: dict[str, Any]) -> None:
    """The headline counts."""
    facts = (
        ("People", report["people"]),
        ("Items", report["items"]),
        ("Events", report["events"]),
        ("Events with a query", report["events_with_query"]),
        ("Median life", report["life_length"]["median"]),
        ("Longest life", report["life_length"]["max"]),
    )
    with st.container(horizontal=True):
        for label, value in facts:
            st.metric(label, widgets.count(value), width=140)
    dataset = loaders.dataset(name)
    widgets.trust_line(
        f"data set {widgets.plain(name)}",
        f"content {dataset.hash}",
        f"from {widgets.plain(dataset.manifest['source']['format'])}",
        f"{report['tied_time_frac']:.1%} of events share their second with another of the same person",
    )
    read_line(report)


def ways_on(name: str, report: dict[str, Any]) -> None:
    """What to do next: read a life, or train a first run where there is none."""
    person = str(report["example_person"])
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(f"Read the life of person {widgets.plain(person)}", type="primary", icon=":material/timeline:"):
            state.another_person(person)
            widgets.open_station("life")
    background.first_run(name)


def charts(name: str, report: dict[str, Any]) -> None:
    """Life lengths, events over time, and what is present."""
    left, right = st.columns(2)
    with left:
        table = sources.length_table(name)
        length = report["life_length"]
        widgets.chart(
            figures.life_lengths(table, length["median"], length["p90"]),
            name="life_lengths",
            alt=f"Histogram of life lengths: median {length['median']:,.0f}, 90 % up to {length['p90']:,.0f}, longest "
            f"{length['max']:,.0f} events.",
            table=table,
            says=f"Half of {report['people']:,} people have at most {length['median']:,.0f} events, "
            f"nine of ten at most {length['p90']:,.0f}.",
        )
    with right:
        table = sources.month_table(name)
        share = report["events_with_query"] / max(report["events"], 1)
        widgets.chart(
            figures.events_over_time(table),
            name="events_over_time",
            alt=f"Events over time, {share:.0%} of them searches.",
            table=table,
            says=f"{share:.0%} of {report['events']:,} events carry a query.",
        )
    table = pd.DataFrame(
        {
            "what": ["events with a query", "items with text", "items with a picture"],
            "count": [report["events_with_query"], report["items_with_text"], report["items_with_image"]],
            "of": [report["events"], report["items"], report["items"]],
        }
    )
    widgets.chart(
        figures.shares(table),
        name="presence",
        alt="; ".join(f"{r.what}: {r.count:,} of {r.of:,}" for r in table.itertuples()),
        table=table,
        says="What is absent is masked: it contributes nothing and is left out of every loss.",
    )


def catalogue(name: str) -> None:
    """A look at the first items."""
    dataset = loaders.dataset(name)
    rows = range(1, min(LOOK, dataset.n_items) + 1)
    group: Group = {
        "heading": "A look at the catalogue",
        "note": f"showing the first {len(rows)} of {dataset.n_items:,} items",
        "cards": [
            {
                "title": dataset.titles[row] or "(no title)",
                "image": loaders.picture(name, row),
                "lines": [dataset.category_names[int(dataset.category[row])] or "no category"],
            }
            for row in rows
        ],
    }
    cards([group], key="catalogue", strip=True)
