"""Finding people: by how long they lived here, by what they searched for, by a measure that a run gives them.

Data. Counts come from the vocabulary of people and from one pass over the query column of the store, so 10,000 people
are filtered in milliseconds and no event is read as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..data.dataset import Dataset
from ..errors import ConfigError, NotReadyError, UnknownNameError

SORTS = ("length", "gap", "pq-loss")
BLOCK = 4_000_000


def find_people(
    dataset: Dataset,
    query: str | None = None,
    sort: str = "length",
    limit: int = 50,
    gap: Mapping[str, float | None] | None = None,
    pq_loss: Mapping[str, float | None] | None = None,
) -> list[dict[str, Any]]:
    """People of a data set, the highest of the sort key first, then by more events, then by row.

    Args:
        dataset: the data set.
        query: only people with a search that contains this text, case ignored.
        sort: one of `SORTS`; `gap` and `pq-loss` need the values below.
        limit: how many at most.
        gap: a run's modality gap per person id; people without a value come last.
        pq_loss: what quantisation loses per person id, the same.

    Returns:
        Rows of person, events, searches, gap, pq_loss, matches (searches that contain the text; None without a text).

    Raises:
        UnknownNameError: `sort` is none of `SORTS`.
        ConfigError: `limit` is below 1.
        NotReadyError: the sort key comes from a run and no run was given.
    """
    if sort not in SORTS:
        raise UnknownNameError("sort", sort, SORTS)
    if limit < 1:
        raise ConfigError(f"limit {limit} is below 1", hint="ask for at least one person")
    if (sort == "gap" and gap is None) or (sort == "pq-loss" and pq_loss is None):
        raise NotReadyError(f"people have no {sort} without a run", hint="name a run with --run")
    frame = dataset.people_frame()
    frame["gap"] = _values(frame["person"], gap)
    frame["pq_loss"] = _values(frame["person"], pq_loss)
    frame["matches"] = matches_per_person(dataset, query) if query else -1
    if query:
        frame = frame[frame["matches"] > 0]
    key = {"length": "events", "gap": "gap", "pq-loss": "pq_loss"}[sort]
    keys = list(dict.fromkeys([key, "events"]))
    frame = frame.sort_values([*keys, "person_row"], ascending=[False] * len(keys) + [True], na_position="last")
    return [
        {
            "person": str(row.person),
            "events": int(row.events),
            "searches": int(row.searches),
            "gap": None if np.isnan(row.gap) else float(row.gap),
            "pq_loss": None if np.isnan(row.pq_loss) else float(row.pq_loss),
            "matches": int(row.matches) if query else None,
        }
        for row in frame.head(limit).itertuples()
    ]


def _values(people: Any, given: Mapping[str, float | None] | None) -> np.ndarray:
    """(P,) float64, NaN where a person has no value."""
    values = ((given or {}).get(person) for person in people)
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def matches_per_person(dataset: Dataset, text: str) -> np.ndarray:
    """(P,) int64 searches whose query contains `text`, case ignored."""
    needle = text.strip().lower()
    wanted = np.array([bool(query) and needle in query.lower() for query in dataset.query_texts])
    counts = np.zeros(dataset.n_people, dtype=np.int64)
    if not wanted.any():
        return counts
    store = dataset.store
    for start in range(0, store.n_events, BLOCK):
        hits = start + np.flatnonzero(wanted[store.query[start : start + BLOCK]])
        people = np.searchsorted(store.offsets, hits, side="right") - 1
        counts += np.bincount(people, minlength=len(counts))
    return counts
