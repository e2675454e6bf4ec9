"""Cards of events with pictures, grouped under headings; a card can be chosen with mouse or keyboard.

A Streamlit component (v2): data goes in as JSON and is written with `textContent`, so markup in a title or a query is
shown as text. What comes back is the id of the chosen card.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import streamlit as st

NAME = "seminar_cards"
SCRIPT = Path(__file__).with_name("card.js")


class Card(TypedDict, total=False):
    """One event or item.

    Fields:
        id: what `on_choose` gets; a card without id cannot be chosen.
        image: data URI, or empty for a drawn placeholder.
        title: first line.
        query: the query that led there, shown as a quotation.
        lines: further short lines.
        mark: a short sign in the corner (shape as well as colour), for instance `✓ kept`.
        tone: one of `same`, `lost`, `gained`, `plain`; sets the colour of the edge.
        chosen: drawn as chosen.
    """

    id: str
    image: str
    title: str
    query: str
    lines: list[str]
    mark: str
    tone: str
    chosen: bool


class Group(TypedDict, total=False):
    """Cards under one heading, with a note beside it; a heading with an id can be chosen like a card."""

    id: str
    chosen: bool
    heading: str
    note: str
    cards: list[Card]


CSS = """
.groups { display: flex; flex-direction: column; gap: .9rem; font-family: var(--st-font); color: var(--st-text-color); }
.head { display: flex; gap: .6rem; align-items: baseline; flex-wrap: wrap; margin-bottom: .35rem; }
.head b { font-size: .95rem; overflow-wrap: anywhere; }
.head .open { font: inherit; font-size: .95rem; font-weight: 600; color: var(--st-link-color); background: none;
  border: 0; padding: 0; cursor: pointer; text-align: left; text-decoration: underline; overflow-wrap: anywhere; }
.head .open[aria-pressed=true]::after { content: " ▾"; }
.head .open:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 2px; }
.head span { font-size: .8rem; opacity: .75; }
.row { display: grid; gap: .5rem; grid-template-columns: repeat(auto-fill, minmax(var(--card, 13rem), 1fr)); }
.groups.strip { flex-flow: row wrap; gap: .9rem 1.1rem; }
.strip section { max-width: 100%; }
.strip .row { display: flex; overflow-x: auto; padding-bottom: .35rem; }
.strip .card { flex: 0 0 7.2rem; flex-direction: column; }
.strip .card img, .strip .card .none { width: 100%; height: 5.2rem; }
.card { display: flex; gap: .55rem; text-align: left; align-items: flex-start; padding: .45rem; border-radius: .5rem;
  border: 1px solid var(--st-border-color); border-left: 4px solid var(--tone, var(--st-border-color));
  background: var(--st-background-color); color: inherit; font: inherit; min-width: 0; cursor: default; }
button.card { cursor: pointer; }
button.card:hover { background: var(--st-secondary-background-color); }
button.card:focus-visible, .row:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 1px; }
.card.chosen { box-shadow: 0 0 0 2px var(--st-primary-color); }
.card img, .card .none { width: 3.6rem; height: 3.6rem; object-fit: cover; border-radius: .35rem; flex: none;
  background: var(--st-secondary-background-color); }
.card .none { display: grid; place-items: center; font-size: .62rem; opacity: .7; }
.words { min-width: 0; flex: 1; display: flex; flex-direction: column; gap: .1rem; width: 100%; }
.title { font-size: .84rem; font-weight: 600; line-height: 1.2; overflow: hidden; display: -webkit-box;
  -webkit-line-clamp: 2; -webkit-box-orient: vertical; overflow-wrap: anywhere; }
.query { font-size: .78rem; font-style: italic; opacity: .85; overflow: hidden;
  text-overflow: ellipsis; white-space: nowrap; }
.line { font-size: .75rem; opacity: .78; font-variant-numeric: tabular-nums; }
.mark { font-size: .72rem; font-weight: 600; }
.same { --tone: #0072b2; } .lost { --tone: #d55e00; } .gained { --tone: #009e73; }
"""

JS = """
export default function(component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = el("div", "groups" + (data.strip ? " strip" : ""));
  root.style.setProperty("--card", data.width);
  for (const group of data.groups) {
    const section = el("section");
    if (group.heading) {
      const head = el("div", "head");
      const name = el(group.id === undefined ? "b" : "button", group.id === undefined ? "" : "open", group.heading);
      if (group.id !== undefined) {
        name.type = "button";
        name.dataset.id = group.id;
        name.setAttribute("aria-pressed", group.chosen ? "true" : "false");
        name.onclick = () => setTriggerValue("opened", group.id);
      }
      head.append(name, el("span", "", group.note || ""));
      section.append(head);
    }
    const row = el("div", "row");
    row.dataset.of = group.id ?? group.heading ?? "";
    if (data.strip && !group.cards.some((card) => card.id !== undefined)) {
      row.tabIndex = 0;  // nothing in it takes the focus: it is swept with the arrow keys itself
      row.setAttribute("role", "group");
      row.setAttribute("aria-label", group.heading || "cards");
    }
    for (const card of group.cards) row.append(cardNode(card, (id) => setTriggerValue("chosen", id)));
    section.append(row);
    root.append(section);
  }
  keepingPlace(parentElement, () => {
    parentElement.querySelectorAll(".groups").forEach((old) => old.remove());
    parentElement.append(root);
  });
}
"""

_mount: Callable[..., Any] | None = None


def without_id(card: Card) -> Card:
    """The card, not to be chosen."""
    plain = card.copy()
    plain.pop("id", None)
    return plain


def cards(
    groups: list[Group],
    *,
    key: str,
    on_choose: Callable[[str], None] | None = None,
    on_open: Callable[[str], None] | None = None,
    strip: bool = False,
    width: str = "13rem",
) -> None:
    """Draw `groups`; `on_choose(card id)` is called when a card with an id is chosen.

    Args:
        groups: headings and their cards.
        key: widget key, unique on the page.
        on_choose: runs before the page is drawn again.
        on_open: called with the id of the group whose heading was chosen.
        strip: small groups beside each other, each one scrolling row, instead of a grid.
        width: smallest width of a card in the grid (CSS length).
    """
    global _mount
    if _mount is None:
        _mount = st.components.v2.component(NAME, css=CSS, js=SCRIPT.read_text(encoding="utf-8") + JS)

    def chosen() -> None:
        value = st.session_state[key].get("chosen")
        if value is not None and on_choose is not None:
            on_choose(str(value))

    def opened() -> None:
        value = st.session_state[key].get("opened")
        if value is not None and on_open is not None:
            on_open(str(value))

    if on_choose is None:
        groups = [{**g, "cards": [without_id(card) for card in g["cards"]]} for g in groups]
    _mount(
        key=key,
        data={"groups": groups, "strip": strip, "width": width},
        on_chosen_change=chosen,
        on_opened_change=opened,
    )
