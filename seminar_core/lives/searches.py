"""One search of a life, opened: what it showed, what was chosen, what was left, and what followed.

Diagnostics, beside `lifeline`. A search is a run of events of one session with the same query. Where the log records
impressions, those that were not chosen carry label 0; many logs hold only what was chosen, and then nothing is known to
have been left: `left_recorded` says which. What follows are the session's next events until its next search.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..data.dataset import Dataset
from ..data.sequence_store import Life
from ..errors import ConfigError
from .lifeline import event_table, query_groups, session_of, things

MOST_FOLLOWING = 24
CHOSEN, LEFT, SEEN = "chosen", "left", "seen"
WORDS = {CHOSEN: "chosen", LEFT: "left", SEEN: "without a label"}


@dataclass(frozen=True)
class OpenedSearch:
    """A search with its items, each once.

    Fields:
        query: its text.
        time_s: UTC seconds of its first event.
        shown: (n,) int64 position of the first event of each item that the search showed, in order.
        fate: (n,) `chosen` (label 1), `left` (label 0), `seen` (no label); shown twice, chosen once is chosen.
        again: (n,) int64 later events of the life with the same item.
        following: (m,) int64 positions of what followed in the session before its next search.
        followed: events that followed in all; `following` holds the first `MOST_FOLLOWING`.
    """

    query: str
    time_s: int
    shown: np.ndarray
    fate: list[str]
    again: np.ndarray
    following: np.ndarray
    followed: int

    @property
    def left_recorded(self) -> bool:
        """Whether the log says of any item of this search that it was left."""
        return LEFT in self.fate

    def says(self) -> str:
        """What became of the search, in one or two sentences."""
        counted = [(self.fate.count(fate), word) for fate, word in WORDS.items()]
        parts = ", ".join(f"{number:,} {word}" for number, word in counted if number)
        words = f"The search showed {things(len(self.fate), 'item')}: {parts}."
        if not self.left_recorded:
            words += " The log names no item that was shown and left."
        back = int((self.again > 0).sum())
        words += f" {back:,} of {len(self.fate):,} were met again later."
        followed = things(self.followed, "event") if self.followed else "No event"
        return f"{words} {followed} followed in the session before the next search."

    def table(self, dataset: Dataset, life: Life) -> pd.DataFrame:
        """Every item of the search and every event that followed: `part`, `fate`, `again`, then the event's columns."""
        events = np.concatenate([self.shown, self.following])
        table = event_table(dataset, life, events).drop(columns="search")
        table.insert(0, "part", ["search"] * len(self.shown) + ["followed"] * len(self.following))
        table.insert(1, "fate", [*self.fate, *(fate_of(int(label)) for label in life.label[self.following])])
        table.insert(2, "again", np.concatenate([self.again, times_again(life, self.following)]))
        return table

    def as_dict(self, dataset: Dataset, life: Life) -> dict[str, object]:
        """What the command `life --search` answers; `event` as the other commands write it."""
        items = [
            {"event": str(event), "item": dataset.item_ids[int(life.item[event])], "fate": fate, "again": int(again)}
            for event, fate, again in zip(self.shown.tolist(), self.fate, self.again, strict=True)
        ]
        return {
            "query": self.query,
            "time_s": self.time_s,
            "says": self.says(),
            "left_recorded": self.left_recorded,
            "items": items,
            "following": [str(event) for event in self.following.tolist()],
            "followed": self.followed,
        }


def fate_of(label: int) -> str:
    """What a label says of an event: 1 chosen, 0 left, none seen."""
    return {1: CHOSEN, 0: LEFT}.get(label, SEEN)


def times_again(life: Life, events: np.ndarray) -> np.ndarray:
    """(n,) how many events after each of `events` have its item."""
    return np.array([int((life.item[event + 1 :] == life.item[event]).sum()) for event in events], np.int64)


def open_search(dataset: Dataset, life: Life, event: int) -> OpenedSearch:
    """Open the search that an event of a life belongs to.

    Args:
        dataset: the data set of the life.
        life: one person's events.
        event: position of any event of the search.

    Raises:
        ConfigError: the life has no such event, or it carries no query.
    """
    if not 0 <= event < len(life) or not life.query[event]:
        searches = np.flatnonzero(np.asarray(life.query) > 0)
        known = f"for example {searches[-1]}" if len(searches) else "this life has none"
        raise ConfigError(
            f"event {event} of this life of {len(life):,} events is no search",
            hint=f"choose an event with a query: {known}",
        )
    session = session_of(np.asarray(life.time_s))
    group = query_groups(np.asarray(life.query), session)
    own = np.flatnonzero(group == group[event])
    items, first = np.unique(life.item[own], return_index=True)
    labels = [life.label[own[life.item[own] == item]] for item in items]
    order = np.argsort(first)
    shown = own[first[order]]
    after = np.arange(own[-1] + 1, len(life))
    after = after[session[after] == session[event]]
    searched = np.flatnonzero(life.query[after] > 0)
    after = after[: searched[0]] if len(searched) else after
    last = int(own[-1])
    again = np.array([int((life.item[last + 1 :] == life.item[one]).sum()) for one in shown], np.int64)
    fates = [fate_of(int(labels[at].max())) for at in order]
    return OpenedSearch(
        str(dataset.query_texts[int(life.query[event])]), int(life.time_s[own[0]]), shown, fates, again,
        after[:MOST_FOLLOWING], len(after),
    )  # fmt: skip
