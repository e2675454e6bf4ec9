"""One search opened: what it showed, chosen or left, and what followed in the session."""

from __future__ import annotations

import numpy as np
import streamlit as st

from app import loaders, state, widgets
from app.components.cards import Card, Group, cards
from app.stations.life import loaders as sources
from seminar_core.lives.searches import CHOSEN, LEFT, OpenedSearch, open_search

MARKS = {CHOSEN: ("✓ chosen", "gained"), LEFT: ("✕ left", "lost")}


def panel(name: str, person: str) -> None:
    """The search that is chosen, or nothing."""
    if not state.get("search"):
        return
    dataset = loaders.dataset(name)
    life = dataset.store.life(dataset.person_row(person))
    with st.container(border=True, key="opened_search"), widgets.explained("opened_search_error"):
        found = open_search(dataset, life, int(state.get("search")))
        when = widgets.times(np.array([found.time_s]), state.get("zone"))[0]
        st.markdown(f"**“{widgets.plain(found.query)}”**, {when:%Y-%m-%d %H:%M}")
        st.markdown(found.says())
        groups: list[Group] = [{"heading": "Shown by the search", "cards": shown(name, found)}]
        if len(found.following):
            more = (
                f"the first {len(found.following)} of {found.followed}" if found.followed > len(found.following) else ""
            )
            groups.append({"heading": "Followed in the session", "note": more, "cards": followed(name, found)})
        cards(groups, key="opened_cards", strip=True)
        with st.expander("Table and download", key="behind_search", on_change="rerun", type="compact") as behind:
            if behind.open:
                frame = sources.in_zone(found.table(dataset, life), state.get("zone"))
                st.dataframe(frame, hide_index=True)
                widgets.downloads(frame, name="search")
        st.button("Close", key="search_close", icon=":material/close:", on_click=state.put, kwargs={"search": ""})


def shown(name: str, found: OpenedSearch) -> list[Card]:
    """A card for each item of the search."""
    listed = []
    for event, fate, again in zip(found.shown.tolist(), found.fate, found.again.tolist(), strict=True):
        mark, tone = MARKS.get(fate, ("seen", "plain"))
        listed.append(card(name, event, mark, tone, [f"met again {again:,} times" if again else "not met again"]))
    return listed


def followed(name: str, found: OpenedSearch) -> list[Card]:
    """A card for each event that followed."""
    dataset = loaders.dataset(name)
    life = dataset.store.life(dataset.person_row(state.get("person")))
    return [card(name, event, "", "plain", [dataset.actions[life.action[event]]]) for event in found.following.tolist()]


def card(name: str, event: int, mark: str, tone: str, lines: list[str]) -> Card:
    """One event as a card."""
    dataset = loaders.dataset(name)
    row = int(dataset.store.life(dataset.person_row(state.get("person"))).item[event])
    return {
        "id": str(event), "title": dataset.titles[row] or "(no title)", "image": loaders.picture(name, row),
        "lines": lines, "mark": mark, "tone": tone,
    }  # fmt: skip
