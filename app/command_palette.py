"""Ctrl+K: people, items, runs, data sets, stations and settings by name, and what was looked at last.

The search runs in the server over what the loaders hold already; the dialog is Streamlit's own, so Tab, Enter and
Escape work as everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from app import loaders, state, widgets
from app.components.focus import focus_on
from app.parameters import PARAMETERS, write_value

RECENT, KEPT, EACH = "seminar_recent", 8, 6
# Whether it is open: a page that is drawn once more for another reason would close it.
OPEN = "seminar_palette_open"
# Settings by station, under the names that links have and the words that pages show.
SETTINGS: dict[str, dict[str, str]] = {
    "life": {"find": "Searched for", "text": "Title or query contains", "lanes": "Lane", "zone": "Time zone"},
    "alignment": {"view": "View", "stages": "Stages", "colour": "Colour", "correction": "Remove before measuring"},
    "retrieval": {
        "k": "K per head",
        "spec": "Specification",
        "shortlist": "Shortlist x K",
        "weights": "Channel weights",
        "mask": "Masked channels",
        "head": "Head",
        "method": "First stage",
        "figure": "Figure",
    },
    "training": {"part": "Part", "recipe": "Recipe", "clock": "Clock", "metric": "Metric"},
}


@dataclass(frozen=True)
class Found:
    """One answer: its kind, what is shown, the station that opens and the choices it makes; "" stays at the station."""

    kind: str
    label: str
    station: str
    choices: dict[str, Any] = field(default_factory=dict)


def found(text: str, stations: dict[str, str]) -> list[Found]:
    """What `text` names, stations first; a few of each kind. `stations`: name -> title."""
    asked, name = text.strip().casefold(), state.get("dataset")
    if not asked:
        return []
    answers = [Found("Station", title, station) for station, title in stations.items() if asked in title.casefold()]
    answers += settings(text.strip())
    answers += [
        Found("Run", widgets.run_label(row), "", {"run": row["run"], "dataset": row["dataset"]})
        for row in loaders.runs()
        if asked in row["run"].casefold() and row["dataset"]
    ][:EACH]
    answers += [
        Found("Data set", one, "data", {"dataset": one}) for one in loaders.dataset_names() if asked in one.casefold()
    ][:EACH]
    people = [row["person"] for row in loaders.people(name, "", "length") if asked in str(row["person"]).casefold()]
    people.sort(key=lambda person: (len(person), person))
    answers += [Found("Person", person, "life", {"person": person}) for person in people[:EACH]]
    dataset = loaders.dataset(name)
    for row in loaders.find_items(name, text.strip())[0][:EACH]:
        item = dataset.item_ids[row]
        answers.append(Found("Item", f"{dataset.titles[row] or '(no title)'} · {item}", "retrieval", {"item": item}))
    return answers


def settings(text: str) -> list[Found]:
    """Settings by name; `k 20` also sets it."""
    words, _, value = text.partition(" ")
    answers = []
    for station, known in SETTINGS.items():
        for name, label in known.items():
            if value and words.casefold() == name:
                try:
                    read = PARAMETERS[name].read(value.strip())
                except ValueError:
                    continue
                answers.append(Found("Setting", f"Set {label} to {write_value(read)}", station, {name: read}))
            elif text.casefold() in (name, label.casefold()) or text.casefold() in label.casefold():
                now = write_value(state.get(name)) or "none"
                answers.append(Found("Setting", f"{label}, now {now}", station))
    return answers[:EACH]


def remember(station: str, title: str) -> None:
    """Keep this view among those looked at last, the newest first, each once."""
    what = [state.get(name) for name in ("person", "item", "run") if state.get(name)]
    label = " · ".join([title, *what])
    recent = [one for one in st.session_state.get(RECENT, []) if one.label != label]
    choices = {name: state.get(name) for name in PARAMETERS}
    st.session_state[RECENT] = [Found("Recent", label, station, choices), *recent][:KEPT]


def go(one: Found, here: str) -> None:
    """Open what was found."""
    close()
    if one.choices.get("person") and one.kind == "Person":
        state.another_person(one.choices["person"], item="", query="")
    elif one.choices:
        state.put(**one.choices)
    widgets.open_station(one.station or here)


def button(here: str, stations: dict[str, str]) -> None:
    """The button that opens the palette, also with Ctrl+K; it stays open until it is closed or something is chosen."""
    if st.button("Find", icon=":material/search:", key="palette_open", shortcut="Ctrl+K"):
        st.session_state[OPEN] = True
    if st.session_state.get(OPEN):
        opened(here, stations)


def close() -> None:
    """The palette was closed."""
    st.session_state[OPEN] = False


@st.dialog("Find", icon=":material/search:", on_dismiss=close)
def opened(here: str, stations: dict[str, str]) -> None:
    """The palette as a dialog."""
    search(here, stations)


def search(here: str, stations: dict[str, str]) -> None:
    """A field and what it finds; what was looked at last while it is empty."""
    text = st.text_input(
        "People, items, runs, stations and settings",
        placeholder="a name or an id; “k 20” sets K",
        key="palette_text",
        live=True,
    )
    focus_on("palette_text")
    answers = found(text, stations) if text else st.session_state.get(RECENT, [])[1:]
    if text and not answers:
        widgets.empty(f"Nothing is called “{widgets.plain(text)}”. Try a shorter text.")
    elif not text:
        st.caption("What you looked at last:" if answers else "What you look at is listed here.")
    for number, one in enumerate(answers):
        words = f"{one.kind}: {widgets.plain(one.label)}"
        if st.button(words, key=f"palette_{number}", type="tertiary", wrap=True):
            go(one, here)
