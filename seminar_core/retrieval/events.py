"""The events that are searched: item rows and query rows of one life, oldest first.

Retrieval's input. A life holds ids, never vectors: equal (item, query) pairs share one vector, one code and one score,
so everything below works on the distinct pairs and spreads to events by position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..contracts import CHANNELS, PAD, ChannelVectors, Folded, check_shape
from ..errors import InvalidDataError, ShapeError


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
    def distinct(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distinct pairs and each event's place among them: item (P,), query (P,), inverse (L,)."""
        keys, inverse = np.unique(pair_keys(self.item, self.query), return_inverse=True)
        return (keys >> 32).astype(np.int32), (keys & 0xFFFFFFFF).astype(np.int32), inverse


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
