"""Station Data: the bundled sample, a data set of the workspace or an upload; its report comes before its use."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from app import background, loaders, state, widgets
from app.components.cards import Group, cards
from app.stations.data import figures, uploads
from seminar_core.access import may_operate
from seminar_core.workspace import checked_name

LOOK = 24


def render() -> None:
    """Draw the station."""
    chosen, upload = st.tabs(["This data set", "Bring your own"])
    with chosen, widgets.explained("data_report"):
        name = state.get("dataset")
        report = loaders.report(name)
        numbers(name, report)
        ways_on(name, report)
        problems(report)
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


def ways_on(name: str, report: dict[str, Any]) -> None:
    """What to do next: read a life, or train a first run where there is none."""
    person = str(report["example_person"])
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(f"Read the life of person {widgets.plain(person)}", type="primary", icon=":material/timeline:"):
            state.another_person(person)
            widgets.open_station("life")
    background.first_run(name)


def problems(report: dict[str, Any], key: str = "data_problems") -> None:
    """What is wrong, with row numbers and what to do; `key` names the downloads."""
    found = report["problems"]
    if not found:
        st.success("No problem was found.", icon=":material/check_circle:")
        return
    st.subheader(f"{len(found)} things to know about this data", anchor=False)
    for problem in found:
        rows = ", ".join(f"{row:,}" for row in problem["example_rows"])
        where = f" · rows {rows}{' …' if problem['count'] > len(problem['example_rows']) else ''}" if rows else ""
        what = widgets.plain(problem["kind"].replace("_", " "))
        st.markdown(f"- **{what}** · {problem['count']:,}{where}  \n  {widgets.plain(problem['hint'])}")
    widgets.trust_line("rows are counted from 1, the header not counted")
    table = pd.DataFrame(
        {
            "what": [p["kind"] for p in found],
            "count": [p["count"] for p in found],
            "first_rows": [", ".join(map(str, p["example_rows"])) for p in found],
            "what_to_do": [p["hint"] for p in found],
        }
    )
    widgets.downloads(table, name=key)


def charts(name: str, report: dict[str, Any]) -> None:
    """Life lengths, events over time, and what is present."""
    left, right = st.columns(2)
    with left:
        table = loaders.length_table(name)
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
        table = loaders.month_table(name)
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


def bring_your_own() -> None:
    """Upload, check, report; the data set is used only when the reader says so."""
    if not may_operate():
        st.info("Only an operator may import data here.", icon=":material/lock:")
        return
    st.write(
        "One row per event: `person`, `time` (UTC seconds or a date), `item`, and if you have them `query`, `action`, "
        "`label`. Items are optional: `item`, `title`, `description`, `category`, further attributes, and `image` "
        "(the picture's bytes)."
    )
    with st.form("upload"):
        events = st.file_uploader("Events (CSV or Parquet)", type=["csv", "parquet"], key="upload_events")
        items = st.file_uploader("Items (CSV or Parquet, optional)", type=["csv", "parquet"], key="upload_items")
        name = st.text_input("Name", placeholder="my-data", key="upload_name")
        replace = st.checkbox("Replace a data set of this name", key="upload_replace")
        asked = st.form_submit_button("Check and import", type="primary")
    if asked:
        take_in(name, events, items, replace)
    done = st.session_state.get("uploaded")
    if done:
        report_of_upload(done)


def take_in(name: str, events: Any, items: Any, replace: bool) -> None:
    """Import the uploaded files with visible progress."""
    st.session_state.pop("uploaded", None)
    if events is None:
        st.warning("Choose a file of events first.", icon=":material/upload_file:")
        return
    checked_name(name, "data set")
    if name in loaders.dataset_names() and not replace:
        st.warning(
            f"There is a data set {widgets.plain(name)} already. Choose another name, or tick the box to replace it: "
            "runs made on the old one are then shown as stale.",
            icon=":material/content_copy:",
        )
        return
    with widgets.progress_bar("Reading the files") as progress:
        st.session_state["uploaded"] = uploads.import_upload(loaders.workspace(), name, events, items, progress)


def report_of_upload(done: dict[str, Any]) -> None:
    """What was imported and what is wrong with it, and the button that chooses it."""
    name = done["dataset"]
    used = state.get("dataset") == name
    st.success(
        f"{widgets.plain(name)} is imported: {done['events']:,} events of {done['people']:,} people and "
        f"{done['items']:,} items, {done['rejected']:,} rows rejected, in {done['seconds']:.1f} s. "
        + ("It is chosen now." if used else "Nothing uses it until you choose it."),
        icon=":material/inventory:",
    )
    problems(loaders.report(name), key="upload_problems")
    if used:
        widgets.trust_line("lengths, shares and the catalogue stand in the first tab, This data set")
        if st.button("Read a life of it", type="primary", icon=":material/timeline:", key="upload_life"):
            state.another_person(str(loaders.report(name)["example_person"]))
            widgets.open_station("life")
        return
    st.button(
        f"Use {widgets.plain(name)}",
        type="primary",
        key="use_upload",
        on_click=state.put,
        kwargs={"dataset": name, "run": "", "run_b": "", "person": "", "item": "", "at": "", "query": "", "event": ()},
    )
