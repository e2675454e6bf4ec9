"""A small event store in memory with the fields of a sequence store, for tests of what reads one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class MemoryStore:
    offsets: np.ndarray
    time_s: np.ndarray
    item: np.ndarray
    query: np.ndarray
    label: np.ndarray


@dataclass
class MemoryCatalogue:
    store: MemoryStore
    n_items: int
    category: np.ndarray


def store_of(*lives: list[tuple[int, int, int, int]]) -> MemoryStore:
    """A store of lives, each a list of (time_s, item, query, label)."""
    rows = np.array([event for life in lives for event in life], np.int64).reshape(-1, 4)
    return MemoryStore(
        offsets=np.concatenate(([0], np.cumsum([len(life) for life in lives]))).astype(np.int64),
        time_s=rows[:, 0],
        item=rows[:, 1].astype(np.int32),
        query=rows[:, 2].astype(np.int32),
        label=rows[:, 3].astype(np.int8),
    )


def random_catalogue(
    seed: int = 0, people: int = 40, items: int = 400, longest: int = 300, ties: int = 3
) -> MemoryCatalogue:
    """Lives of 5 .. `longest` events; about `ties` events share a second; a third of the events have a query."""
    rng = np.random.default_rng(seed)
    lengths = np.exp(rng.uniform(np.log(5), np.log(longest), people)).astype(int)
    events = int(lengths.sum())
    store = MemoryStore(
        offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        time_s=np.concatenate([1000 + np.sort(rng.integers(0, max(n // ties, 2) * 2, n)) for n in lengths]),
        item=rng.integers(1, items + 1, events).astype(np.int32),
        query=np.where(rng.random(events) < 0.33, rng.integers(1, 200, events), 0).astype(np.int32),
        label=rng.choice([-1, 0, 1], events).astype(np.int8),
    )
    category = np.concatenate(([0], rng.integers(1, 9, items))).astype(np.int32)
    return MemoryCatalogue(store, items, category)
