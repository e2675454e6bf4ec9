"""The events that are searched: item rows and query rows of one life, oldest first.

Retrieval's input. A life holds ids, never vectors: equal (item, query) pairs share one vector, one code and one score,
so every search works on the distinct pairs, and the pairs that it keeps are spread to their events at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..contracts import CHANNELS, PAD, ChannelVectors, Folded, Kept, check_shape
from ..errors import InvalidDataError, ShapeError
from .kernels import group_events, spread_pairs


@dataclass(frozen=True)
class EventSet:
    """L events of one life.

    Fields:
        item: (L,) int32 item rows, oldest event first.
        query: (L,) int32 query rows, 0 = no query.
    """

    item: np.ndarray
    query: np.ndarray

    def __post_init__(self) -> None:
        check_shape("EventSet.item", self.item, (None,))
        check_shape("EventSet.query", self.query, self.item.shape)
        if len(self.item) and (self.item.min() < PAD or self.query.min() < PAD):
            raise InvalidDataError("an event set holds a negative row", hint="rows start at 0, which means absent")

    def __len__(self) -> int:
        return len(self.item)

    def __repr__(self) -> str:
        return f"EventSet(L={len(self)}, with_query={int((self.query != PAD).sum())})"

    @cached_property
    def distinct(self) -> DistinctPairs:
        """The distinct pairs of the life."""
        keys, newest, inverse = np.unique(
            pair_keys(self.item, self.query)[::-1], return_index=True, return_inverse=True
        )
        by_age = np.argsort(
            -newest
        )  # `newest` counts from the end of the life: its largest is the pair met longest ago
        rank = np.empty(len(keys), np.int32)
        rank[by_age] = np.arange(len(keys), dtype=np.int32)
        pair_of = np.ascontiguousarray(rank[inverse[::-1]])
        starts, events = np.zeros(len(keys) + 1, np.int64), np.empty(len(self), np.int32)
        group_events(pair_of, starts, events)
        item, query = (keys[by_age] >> 32).astype(np.int32), (keys[by_age] & 0xFFFFFFFF).astype(np.int32)
        return DistinctPairs(item, query, pair_of, starts, events)


@dataclass(frozen=True)
class DistinctPairs:
    """The P distinct pairs of a life, in the order of each one's newest event, so that ties go to the higher pair.

    Fields:
        item, query: (P,) int32 rows.
        pair_of: (L,) int32 each event's pair.
        starts: (P + 1,) int64 where each pair's events begin in `events`.
        events: (L,) int32 positions in the life, pair by pair, newest first within one.
    """

    item: np.ndarray
    query: np.ndarray
    pair_of: np.ndarray
    starts: np.ndarray
    events: np.ndarray

    def __len__(self) -> int:
        return len(self.item)

    def spread(self, pairs: np.ndarray, values: np.ndarray, keep: int) -> Kept:
        """The best `keep` events of each row, from its best pairs: ties between events go to the newer one.

        The K best events lie within the K best pairs: a pair behind those has K newer or better events before it.

        Args:
            pairs: (R, n) int64, best first, ties to the higher pair, -1 behind the last; n >= K, or all pairs.
            values: (R, n) float32 their scores.
            keep: K; where the pairs have fewer events the last slots are -1 with score minus infinity.
        """
        if len(self.item) == len(self.pair_of) and pairs.shape[1] == keep:
            return Kept(pairs, values)  # nothing repeats: pairs are numbered as the events are
        events, scores = np.empty((len(pairs), keep), np.int64), np.empty((len(pairs), keep), np.float32)
        spread_pairs(pairs, values, self.starts, self.events, events, scores)
        return Kept(events, scores)

    def events_of(self, pairs: np.ndarray) -> np.ndarray:
        """All events of pairs (n,), oldest first."""
        chosen = np.zeros(len(self), bool)
        chosen[pairs] = True
        return np.flatnonzero(chosen[self.pair_of])


def pair_keys(item: np.ndarray, query: np.ndarray) -> np.ndarray:
    """One int64 per (item, query) pair: item in the upper half, query in the lower."""
    return (item.astype(np.int64) << 32) | query.astype(np.int64)


def stack(targets: Sequence[Folded]) -> tuple[np.ndarray, np.ndarray]:
    """Lay the heads of several targets below each other.

    Returns:
        rows (R, M, D) float32 with R = targets x heads, and item_scale_without_query (R,) float32.
    """
    if not targets:
        raise ShapeError("a search got no target", hint="give at least one folded target")
    if len(targets) == 1:
        only = targets[0]
        return np.asarray(only.u, np.float32), np.array([only.item_scale_without_query] * len(only.u), np.float32)
    rows = np.concatenate([target.u for target in targets]).astype(np.float32, copy=False)
    scale = np.repeat([target.item_scale_without_query for target in targets], [len(t.u) for t in targets])
    return np.ascontiguousarray(rows), scale.astype(np.float32)


def pair_vectors(vectors: ChannelVectors, item: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Channel vectors of pairs, absent channels exactly zero.

    Args:
        vectors: the catalogue's and the queries' vectors.
        item: (n,) item rows.
        query: (n,) query rows.

    Returns:
        (n, M * D) float32 in the order of `CHANNELS`.
    """
    width = vectors.query.shape[1]
    out = np.empty((len(item), len(CHANNELS), width), np.float32)
    out[:, 0] = vectors.query[query]
    out[:, 1:] = vectors.item[item]
    return out.reshape(len(item), len(CHANNELS) * width)  # (n, M * D)
