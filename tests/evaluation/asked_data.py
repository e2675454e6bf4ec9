"""A data set of plain arrays, small enough for naive loops, for the tests of the evaluation."""

from types import SimpleNamespace

import numpy as np

from seminar_core.data.splits import position_split


class PlainTruth:
    """A truth that likes items whose row equals the person's, modulo four."""

    def oracle_scores(self, person, event, item):
        return ((np.asarray(item) % 4) == (np.asarray(person)[:, None] % 4)).astype(float)


def plain_data(people=12, items=60, seed=0, labels=False, searches=True, truth=None):
    """Lives of 6 to 20 events; about half of the events have a query."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(6, 21, people)
    n = int(lengths.sum())
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    time_s = np.concatenate([np.sort(rng.integers(0, 15, k)) for k in lengths]).astype(np.int64)
    query = np.where(rng.random(n) < 0.5, rng.integers(1, 30, n), 0) if searches else np.zeros(n, int)
    store = SimpleNamespace(
        offsets=offsets,
        time_s=time_s,
        item=rng.integers(1, items + 1, n).astype(np.int32),
        query=query.astype(np.int32),
        label=(rng.integers(0, 2, n) if labels else np.full(n, -1)).astype(np.int8),
        n_people=people,
        n_events=n,
        lengths=lengths,
    )
    dataset = SimpleNamespace(
        store=store,
        n_items=items,
        category=rng.integers(0, 4, items + 1).astype(np.int32),
        truth=truth,
        person_ids=[f"p{i}" for i in range(people)],
    )
    return dataset, position_split(store)
