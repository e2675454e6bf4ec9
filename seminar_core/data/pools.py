"""Pools: what a negative can be drawn from, with weights.

Data, below the negatives. A pool lists items without a query, or the training events that have a query, taken whole;
its entries are sorted by item and its weights are integers, so that draws that avoid one item are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .splits import EventColumns

POPULARITY_POWER = 0.75
_WEIGHT_SCALE = 1000


class Catalogue(Protocol):
    """What this part reads of a data set."""

    @property
    def store(self) -> EventColumns: ...
    @property
    def n_items(self) -> int: ...
    @property
    def category(self) -> np.ndarray: ...


@dataclass(frozen=True)
class Pool:
    """What can be drawn, sorted by item, with integer weights so that draws are exact.

    Fields:
        item: (E,) int32 item rows, ascending.
        query: (E,) int32 query rows.
        cumulative: (E + 1,) int64 running sum of the weights.
    """

    item: np.ndarray
    query: np.ndarray
    cumulative: np.ndarray

    def __len__(self) -> int:
        return len(self.item)

    @property
    def n_items(self) -> int:
        """How many distinct items can be drawn."""
        return int((np.diff(self.item) != 0).sum()) + (len(self.item) > 0)

    @staticmethod
    def of(item: np.ndarray, query: np.ndarray, weight: np.ndarray) -> Pool:
        """Sort entries by item (stable) and sum up their weights."""
        order = np.argsort(item, kind="stable")
        return Pool(
            item=item[order].astype(np.int32),
            query=query[order].astype(np.int32),
            cumulative=np.concatenate(([0], np.cumsum(weight[order].astype(np.int64)))),
        )

    def at(self, point: np.ndarray) -> np.ndarray:
        """Entry that owns each point of the cumulative weight."""
        if self.cumulative[-1] == len(self.item):  # equal weights of one
            return point
        return np.searchsorted(self.cumulative, point, side="right") - 1


def item_counts(store: EventColumns, n_items: int, train_end: np.ndarray | None = None) -> np.ndarray:
    """(I+1,) int64: events of each item, only those before `train_end` where it is given; row 0 is 0."""
    items = np.asarray(store.item)
    if train_end is None:
        counts = np.bincount(items, minlength=n_items + 1)
    else:
        counts = np.bincount(items[training_events(store, train_end)], minlength=n_items + 1)
    counts[0] = 0
    return counts


def training_events(store: EventColumns, train_end: np.ndarray) -> np.ndarray:
    """Positions in the store of all events before `train_end` (P,) of their person."""
    offsets = np.asarray(store.offsets)
    change = np.zeros(len(store.item) + 1, np.int8)
    inside = np.flatnonzero(train_end > 0)
    change[offsets[inside]] += 1
    change[offsets[inside] + np.minimum(train_end[inside], np.diff(offsets)[inside])] -= 1
    return np.flatnonzero(np.cumsum(change[:-1], dtype=np.int8))


def _popularity_weight(counts: np.ndarray) -> np.ndarray:
    """Integer weights in proportion to count ** 0.75; what never occurred counts as one."""
    return np.rint(np.maximum(counts, 1) ** POPULARITY_POWER * _WEIGHT_SCALE).astype(np.int64)


def make_pool(item: np.ndarray, query: np.ndarray, sampler: str, counts: np.ndarray) -> Pool:
    """A pool of (item, query) entries: each entry equally likely, or each item by popularity ** 0.75."""
    if sampler != "popularity":
        return Pool.of(item, query, np.ones(len(item), np.int64))
    per_item = np.maximum(np.bincount(item, minlength=len(counts)), 1)
    weight = np.maximum(_popularity_weight(counts)[item] // per_item[item], 1)
    return Pool.of(item, query, weight)
