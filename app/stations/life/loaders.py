"""What only Life reads: activity, tables of events, interests, two lives compared; kept under its content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from app import loaders
from app.work import tasks, waiting
from app.work.waiting import Heavy

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@st.cache_data(max_entries=loaders.ENTRIES, show_spinner=False)
def _sparklines(root: str, name: str, key: str, people: tuple[str, ...]) -> list[list[int]]:
    from seminar_core.lives.lifeline import sparkline

    return [sparkline(loaders.life(name, person).time_s) for person in people]


def sparklines(name: str, people: tuple[str, ...]) -> list[list[int]]:
    """Activity over the life of each person."""
    return _sparklines(str(loaders.workspace().root), name, loaders.dataset(name).hash, people)


def event_frame(name: str, person: str, events: np.ndarray, zone: str) -> pd.DataFrame:
    """Events at these positions as a table: event, time, search, action, title, query, label, item. See `in_zone`."""
    from seminar_core.lives.lifeline import event_table

    return in_zone(event_table(loaders.dataset(name), loaders.life(name, person), events), zone)


def in_zone(table: pd.DataFrame, zone: str) -> pd.DataFrame:
    """`table` with its column `time` (UTC) in `zone`, which the times name: a file of them says when it was."""
    return table.assign(time=table["time"].dt.tz_convert(zone))


def as_drawn(table: pd.DataFrame) -> pd.DataFrame:
    """`table` with its column `time` as a clock in its zone shows it, as figures draw it; never for a file."""
    return table.assign(time=table["time"].dt.tz_localize(None))


@st.cache_data(max_entries=loaders.ENTRIES, show_spinner=False)
def _interests(root: str, name: str, key: str, person: str) -> dict[str, Any]:
    return tasks.interests(root, name, person)


def interests(name: str, person: str) -> dict[str, Any]:
    """Interests of a life over time, named: the fields of `lives.interests.Interests`.

    Raises:
        Pending: the data set's texts and pictures are being encoded.
    """
    from seminar_core.encoders import is_encoded

    question = interests_question(name, person)
    kept = waiting.is_kept(question)  # the example's came with the sample
    if not is_encoded(loaders.dataset(name)):
        if kept:
            loaders.encode_ahead(name)
        else:
            loaders.encoded(name)
    if kept:
        return waiting.answer(question)
    return _interests(str(loaders.workspace().root), *question.of)


def interests_question(name: str, person: str) -> Heavy:
    """The interests of a life as a question for a process beside the server."""
    arguments = (str(loaders.workspace().root), name, person)
    asked = (name, loaders.dataset(name).hash, person)
    return Heavy(f"Interests of person {person}", tasks.interests, arguments, asked)


@st.cache_data(max_entries=loaders.ENTRIES, show_spinner="Comparing two lives …")
def _lives_compared(root: str, name: str, key: str, person: str, other: str) -> Any:
    from seminar_core.lives.comparison import compare_lives

    return compare_lives(loaders.dataset(name), person, other)


def lives_compared(name: str, person: str, other: str) -> Any:
    """Interests of two people over one time axis.

    Raises:
        Pending: the data set's texts and pictures are being encoded.
    """
    loaders.encoded(name)
    return _lives_compared(str(loaders.workspace().root), name, loaders.dataset(name).hash, person, other)
