"""A life as something to look at: sessions, silences, query groups, thinning, density.

Diagnostics. Works on the columns of one `Life` (events oldest first). What is drawn is always a stated part of what is
there: `thin` says how many of how many, `density` counts everything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..data.dataset import Dataset
from ..data.sequence_store import Life

SESSION_GAP_S = 1800
DRAWN_LIMIT = 2000


def session_of(time_s: np.ndarray, gap_s: int = SESSION_GAP_S) -> np.ndarray:
    """Session number of each event, from 0; a new session begins after more than `gap_s` without an event.

    Args:
        time_s: (L,) int64 ascending.
        gap_s: longest silence inside a session, seconds.

    Returns:
        (L,) int64.
    """
    if not len(time_s):
        return np.zeros(0, np.int64)
    return np.concatenate([[0], np.cumsum(np.diff(time_s) > gap_s)]).astype(np.int64)


def things(number: int, noun: str) -> str:
    """A count with its noun: 1 item, 2 items."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


@dataclass(frozen=True)
class LifeFacts:
    """A life in numbers; `days` from the first to the last event."""

    events: int
    searches: int
    items: int
    sessions: int
    days: float


def facts(life: Life) -> LifeFacts:
    """Count what a life holds."""
    times = np.asarray(life.time_s)
    return LifeFacts(
        events=len(life),
        searches=int((life.query > 0).sum()),
        items=len(np.unique(life.item)),
        sessions=int(session_of(times)[-1]) + 1 if len(life) else 0,
        days=float(times[-1] - times[0]) / 86_400 if len(life) else 0.0,
    )


def event_table(dataset: Dataset, life: Life, events: np.ndarray) -> pd.DataFrame:
    """Events at positions (n,) as a table: event, time (UTC), search, action, title, query, label, item, category."""
    rows, queries, labels = life.item[events], life.query[events], life.label[events]
    return pd.DataFrame(
        {
            "event": np.asarray(events, np.int64),
            "time": pd.to_datetime(life.time_s[events], unit="s", utc=True),
            "search": queries > 0,
            "action": [dataset.actions[a] for a in life.action[events]],
            "title": [dataset.titles[row] or "" for row in rows],
            "query": [dataset.query_texts[row] for row in queries],
            "label": pd.array(labels, "Int64"),
            "item": [dataset.item_ids[row] for row in rows],
            "category": [dataset.category_names[c] for c in dataset.category[rows]],
        }
    ).assign(label=lambda table: table["label"].mask(labels < 0))


@dataclass(frozen=True)
class Silence:
    """A long time without an event: from the event before it to the event after it, UTC seconds."""

    from_s: int
    to_s: int

    @property
    def days(self) -> float:
        return (self.to_s - self.from_s) / 86_400


def silences(time_s: np.ndarray, *, most: int = 5, at_least_share: float = 0.05) -> list[Silence]:
    """The longest silences of a life, longest first: at most `most`, each at least this share of the whole span."""
    if len(time_s) < 2 or time_s[-1] == time_s[0]:
        return []
    lengths = np.diff(time_s)
    longest = np.argsort(-lengths, kind="stable")[:most]
    floor = at_least_share * (time_s[-1] - time_s[0])
    return [Silence(int(time_s[i]), int(time_s[i + 1])) for i in longest if lengths[i] >= floor]


def thin(count: int, limit: int = DRAWN_LIMIT, first: np.ndarray | None = None) -> np.ndarray:
    """Which of `count` events to draw when at most `limit` can be: spread evenly, always the first and the last.

    Args:
        count: events there are.
        limit: events that may be drawn, at least 2.
        first: (n,) positions that are drawn before others, for instance kept events; the newest of them when too many.

    Returns:
        (n,) int64 ascending positions, n = min(count, limit).
    """
    if count <= limit:
        return np.arange(count)
    chosen = np.unique(first)[-limit:] if first is not None else np.zeros(0, np.int64)
    rest = np.setdiff1d(np.arange(count), chosen, assume_unique=True)
    room = limit - len(chosen)
    spread = rest[np.unique(np.linspace(0, len(rest) - 1, room).round().astype(np.int64))] if room else rest[:0]
    return np.sort(np.concatenate([chosen, spread])).astype(np.int64)


def density(time_s: np.ndarray, search: np.ndarray, bins: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """How many events of each lane fall into each of `bins` equal spans of time; every event is counted once.

    Args:
        time_s: (L,) int64 ascending.
        search: (L,) bool, true where the event carries a query.
        bins: number of spans.

    Returns:
        (bins+1,) float64 edges in UTC seconds, and (2, bins) int64 counts: browsing, search.
    """
    low, high = (float(time_s[0]), float(time_s[-1])) if len(time_s) else (0.0, 1.0)
    edges = np.linspace(low, max(high, low + 1.0), bins + 1)
    return edges, np.stack([np.histogram(time_s[lane], edges)[0] for lane in (~search, search)]).astype(np.int64)


def query_groups(query: np.ndarray, session: np.ndarray) -> np.ndarray:
    """Group number of each event: a run of events of one session that carry the same query (or none).

    Args:
        query: (L,) query rows, 0 = none.
        session: (L,) session numbers.

    Returns:
        (L,) int64 from 0.
    """
    if not len(query):
        return np.zeros(0, np.int64)
    changes = (np.diff(query) != 0) | (np.diff(session) != 0)
    return np.concatenate([[0], np.cumsum(changes)]).astype(np.int64)


def sparkline(time_s: np.ndarray, bins: int = 24) -> list[int]:
    """Events in each of `bins` equal spans of a life, for a small line in a table."""
    if not len(time_s):
        return [0] * bins
    _, counts = density(time_s, np.zeros(len(time_s), bool), bins)
    return [int(n) for n in counts[0]]
