"""Station Life: find a person, and read the life: interests, lanes, silences, queries above what they led to."""

from __future__ import annotations

from zoneinfo import available_timezones

import numpy as np
import pandas as pd
import streamlit as st

from app import background, loaders, state, widgets
from app.components.cards import Card, Group, cards
from app.glossary import meaning
from app.stations.life import bands, beside, figures, searched
from app.stations.life import loaders as sources
from seminar_core.lives import lifeline
from seminar_core.lives.life_filter import LANES, LifeFilter, positions

FOUND = 50
PAGE = 50
GROUPS = 16
CARDS_PER_GROUP = 12
UNFILTERED = {"text": "", "actions": (), "categories": (), "lanes": "both", "from_s": None, "to_s": None, "page": 0}
SORTS = {"length": "longest life", "gap": "widest modality gap", "pq-loss": "largest PQ loss"}


def render() -> None:
    """Draw the station."""
    name, person = state.get("dataset"), state.get("person")
    opened = st.expander("Find a person", expanded=not person, icon=":material/person_search:", key="find_person")
    with opened, widgets.explained("find"):
        find(name)
    if not person:
        widgets.empty("Choose a person in the table above, or type an id at the top of the page.")
        return
    dataset = loaders.dataset(name)
    life = dataset.store.life(dataset.person_row(person))
    if not len(life):
        widgets.empty(f"Person {widgets.plain(person)} has no event.")
        return
    headline(name, person)
    interests(name, person)
    beside.section(name, person)
    filters(name)
    chosen = LifeFilter(
        text=state.get("text"),
        actions=state.get("actions"),
        categories=state.get("categories"),
        lanes=state.get("lanes"),
        from_s=state.get("from_s"),
        to_s=state.get("to_s"),
    )
    shown = positions(dataset, life, chosen)
    if not len(shown):
        widgets.empty(f"None of the {len(life):,} events matches this period and filter.")
        st.button("Show the whole life", key="no_filter", on_click=state.put, kwargs=UNFILTERED)
        return
    timeline(name, person, shown)
    searches(name, person, shown)
    table(name, person, shown)


def find(name: str) -> None:
    """The list of people: by search text, length, modality gap or PQ loss, each with a small line of activity."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("They searched for", placeholder="any text", width=220, **state.bound("find"))
        st.selectbox(
            "Order", list(SORTS), format_func=SORTS.__getitem__, width=220, **state.bound("sort", options=SORTS)
        )
    if state.get("sort") != "length" and not state.get("run"):
        widgets.empty("Modality gap and PQ loss belong to a trained run: choose one at the top of the page.")
        background.first_run(name)
        return
    people = loaders.people(name, state.get("find"), state.get("sort"), state.get("run"))
    if not people:
        widgets.empty(f"Nobody searched for “{widgets.plain(state.get('find'))}”. Try a shorter text.")
        return
    if state.get("sort") == "pq-loss" and all(p["pq_loss"] is None for p in people):
        why = loaders.population(state.get("run"))["note"] or "No PQ loss is known of these people"
        widgets.empty(f"{widgets.plain(why)}: the longest lives are shown.")
    shown = people[:FOUND]
    frame = pd.DataFrame(shown)
    frame["activity"] = sources.sparklines(name, tuple(p["person"] for p in shown))
    frame = frame[
        [c for c in ("person", "events", "searches", "matches", "gap", "pq_loss", "activity") if filled(frame, c)]
    ]

    # the key follows the person: a table drawn anew has no row chosen, so that any of them can be chosen, again too
    key = f"people_{state.get('person')}"

    def choose() -> None:
        rows = st.session_state[key]["selection"]["rows"]
        if rows:
            state.another_person(shown[rows[0]]["person"], item="", query="")

    st.dataframe(
        frame,
        hide_index=True,
        key=key,
        on_select=choose,
        selection_mode="single-row",
        height=min(320, 40 + 35 * len(frame)),
        column_config={
            "matches": st.column_config.NumberColumn(help="searches that contain the text"),
            "gap": st.column_config.NumberColumn("modality gap", format="%.3f", help=meaning("Modality gap")),
            "pq_loss": st.column_config.NumberColumn(
                "PQ loss",
                format="%.4f",
                help=f"{meaning('PQ loss')} Measured at the last event.",
            ),
            "activity": st.column_config.BarChartColumn("activity over the life", y_min=0),
        },
    )
    widgets.trust_line(f"showing {len(shown):,} of {len(people):,} people", "select a row to read that life")


def filled(frame: pd.DataFrame, column: str) -> bool:
    """Whether a column has anything to show."""
    return column in frame and bool(frame[column].notna().any())


def headline(name: str, person: str) -> None:
    """The life in numbers."""
    facts = loaders.life_facts(name, person)
    with st.container(horizontal=True):
        for label, value in (
            ("Events", f"{facts.events:,}"),
            ("Searches", f"{facts.searches:,}"),
            ("Distinct items", f"{facts.items:,}"),
            ("Sessions", f"{facts.sessions:,}"),
            ("Days", f"{facts.days:,.0f}"),
        ):
            st.metric(label, value, width=130)
        if st.button("What does it say about an item?", icon=":material/manage_search:", key="to_retrieval"):
            widgets.open_station("retrieval")


def filters(name: str) -> None:
    """Text, action, category, lane, period and time zone."""
    dataset = loaders.dataset(name)
    first_page = {"page": 0}
    with st.container(horizontal=True, vertical_alignment="bottom", key="life_filters"):
        st.text_input("Title or query contains", width=200, **state.bound("text", also=first_page))
        st.segmented_control(
            "Lane",
            LANES,
            required=True,
            format_func=str.capitalize,
            **state.bound("lanes", options=LANES, also=first_page),
        )
        actions = dataset.actions
        st.multiselect("Actions", actions, width=200, **state.bound("actions", options=actions, also=first_page))
        names = sorted(n for n in dataset.category_names if n)
        st.multiselect("Categories", names, width=240, **state.bound("categories", options=names, also=first_page))
        zones = sorted(available_timezones())
        st.selectbox("Time zone", zones, width=170, **state.bound("zone", options=zones))
        if state.get("from_s") is not None or state.get("to_s") is not None:
            st.button(
                "Whole life",
                icon=":material/zoom_out_map:",
                key="whole_life",
                on_click=state.put,
                kwargs={"from_s": None, "to_s": None, "page": 0},
            )


def timeline(name: str, person: str, shown: np.ndarray) -> None:
    """The two lanes; a box drawn over them becomes the shown period."""
    dataset = loaders.dataset(name)
    life = dataset.store.life(dataset.person_row(person))
    zone = state.get("zone")
    drawn = shown[lifeline.thin(len(shown))]
    session = lifeline.session_of(life.time_s)[shown]  # of the whole life: what a filter hides was no silence
    edges, counts = lifeline.density(life.time_s[shown], life.query[shown] > 0)
    starts = np.flatnonzero(np.diff(session, prepend=-1))
    ends = np.append(starts[1:], len(shown)) - 1
    pick = lifeline.thin(len(starts), 400)
    figure = figures.timeline(
        sources.as_drawn(sources.event_frame(name, person, drawn, zone)),
        pd.DataFrame({"from": widgets.times(edges[:-1], zone), "browsing": counts[0], "search": counts[1]}),
        sessions=list(
            zip(
                widgets.times(life.time_s[shown][starts[pick]], zone),
                widgets.times(life.time_s[shown][ends[pick]], zone),
                strict=True,
            )
        ),
        silences=[
            (*widgets.times(np.array([s.from_s, s.to_s]), zone), s.days)
            for s in lifeline.silences(life.time_s[in_period(life.time_s)])
        ],
        zone=zone,
    )
    figure.update_layout(dragmode="select")

    def brushed() -> None:
        span = widgets.selected_range(st.session_state["chart_timeline"])
        if span is not None:
            low, high = (widgets.seconds(value, zone) for value in span)
            state.put(from_s=low, to_s=high, page=0)

    what = f"showing {len(drawn):,} of {len(shown):,} events" + (
        f" ({len(life):,} in the life)" if len(shown) < len(life) else ""
    )
    thinned = f", {len(pick):,} of {len(starts):,} sessions" if len(pick) < len(starts) else ""
    widgets.chart(
        figure,
        name="timeline",
        alt=f"Timeline of {len(shown):,} events in a search and a browsing lane, {len(starts):,} sessions.",
        table=lambda: sources.event_frame(name, person, shown, zone),
        says=f"{what}{thinned}; the bars count every event. Drag over a period to zoom in.",
        on_select=brushed,
        selection_mode=("box",),
    )


def in_period(time_s: np.ndarray) -> np.ndarray:
    """Which events lie in the shown period, whatever the other filters hide."""
    low, high = state.get("from_s"), state.get("to_s")
    return (time_s >= (-np.inf if low is None else low)) & (time_s <= (np.inf if high is None else high))


def searches(name: str, person: str, shown: np.ndarray) -> None:
    """The newest searches, each above the pictures of the items it led to; a picture becomes the target."""
    dataset = loaders.dataset(name)
    life = dataset.store.life(dataset.person_row(person))
    group = lifeline.query_groups(life.query, lifeline.session_of(life.time_s))[shown]
    found = np.unique(group[life.query[shown] > 0])[::-1]
    st.subheader("Queries and what they led to", anchor=False)
    if not len(found):
        widgets.empty("No event with a query in this period and filter.")
        return
    groups: list[Group] = []
    zone = state.get("zone")
    for number in found[:GROUPS]:
        events = shown[group == number]
        when = widgets.times(life.time_s[events[:1]], zone)[0]
        listed: list[Card] = [
            {
                "id": str(event),
                "title": dataset.titles[row] or "(no title)",
                "image": loaders.picture(name, row),
                "lines": [dataset.actions[life.action[event]]],
            }
            for event in events[:CARDS_PER_GROUP].tolist()
            if (row := int(life.item[event])) or True
        ]
        more = f", showing {len(listed)} of {len(events)}" if len(events) > len(listed) else ""
        groups.append(
            {
                "id": str(events[0]),
                "chosen": str(events[0]) == state.get("search"),
                "heading": f"“{dataset.query_texts[int(life.query[events[0]])]}”",
                "note": f"{when:%Y-%m-%d %H:%M}{more}",
                "cards": listed,
            }
        )
    searched.panel(name, person)
    cards(groups, key="query_groups", strip=True, on_choose=target, on_open=open_search)
    widgets.trust_line(
        f"showing the newest {len(groups):,} of {len(found):,} searches",
        "choose a query to see what was chosen and what was left, a picture to ask what the life before it says about "
        "that item",
    )


def open_search(event: str) -> None:
    """Open a search, or close it where it is open."""
    state.put(search="" if event == state.get("search") else event)


def target(event: str) -> None:
    """Make the item of this event the target, seen from this event."""
    dataset = loaders.dataset(state.get("dataset"))
    life = dataset.store.life(dataset.person_row(state.get("person")))
    state.put(item=dataset.item_ids[int(life.item[int(event)])], at=event, query="", event=())


def interests(name: str, person: str) -> None:
    """Clusters of the life's items, and how their shares changed."""
    st.subheader("Interests over time", anchor=False)
    with widgets.explained("interests"):
        bands.chart(name, person, key="interests")


def table(name: str, person: str, shown: np.ndarray) -> None:
    """The events, newest first, a page at a time, with thumbnails."""
    st.subheader("Events", anchor=False)
    pages = -(-len(shown) // PAGE)
    page = min(state.get("page"), pages - 1)
    newest = shown[::-1]
    part = newest[page * PAGE : (page + 1) * PAGE]
    frame = sources.as_drawn(sources.event_frame(name, person, part, state.get("zone")))
    rows = loaders.dataset(name).store.life(loaders.dataset(name).person_row(person)).item[part]
    frame.insert(1, "picture", [loaders.picture(name, int(row)) for row in rows])
    st.dataframe(
        frame.drop(columns=["search"]),
        hide_index=True,
        row_height=52,
        height=420,
        column_config={
            "picture": st.column_config.ImageColumn(width="small"),
            "time": st.column_config.DatetimeColumn(f"time ({state.get('zone')})", format="YYYY-MM-DD HH:mm:ss"),
        },
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Newer", key="newer", disabled=page == 0, on_click=state.put, kwargs={"page": page - 1})
        st.button("Older", key="older", disabled=page + 1 >= pages, on_click=state.put, kwargs={"page": page + 1})
        first = page * PAGE + 1
        st.caption(f"showing {first:,} to {first + len(part) - 1:,} of {len(shown):,} events, newest first")
    widgets.downloads(sources.event_frame(name, person, newest, state.get("zone")), name=f"life_{len(shown)}_events")
