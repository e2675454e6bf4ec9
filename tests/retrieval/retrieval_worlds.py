"""Small worlds for retrieval tests: channel vectors with absences, lives with and without queries, folded targets."""

from __future__ import annotations

import numpy as np

from seminar_core.contracts import ChannelVectors, Folded
from seminar_core.retrieval.events import EventSet


def vectors(items: int = 60, queries: int = 20, width: int = 8, seed: int = 0, absent: float = 0.15) -> ChannelVectors:
    """Random channel vectors; about `absent` of the item channels are missing, every item keeps its attribute."""
    rng = np.random.default_rng(seed)
    present = rng.random((items + 1, 3)) >= absent
    present[:, 0] = True
    present[0] = False
    item = rng.standard_normal((items + 1, 3, width)).astype(np.float32)
    item[~present] = 0
    query = rng.standard_normal((queries + 1, width)).astype(np.float32)
    query[0] = 0
    return ChannelVectors(item, present, query, np.arange(queries + 1) > 0)


def life(world: ChannelVectors, length: int = 120, seed: int = 1, searched: float = 0.5) -> EventSet:
    """Random events; about `searched` of them have a query."""
    rng = np.random.default_rng(seed)
    item = rng.integers(1, len(world.item), length).astype(np.int32)
    query = np.where(rng.random(length) < searched, rng.integers(1, max(len(world.query), 2), length), 0)
    return EventSet(item, np.minimum(query, len(world.query) - 1).astype(np.int32))


def targets(world: ChannelVectors, count: int = 200, heads: int = 2, seed: int = 2) -> np.ndarray:
    """Folded targets (count, heads, M, D)."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, heads, 4, world.query.shape[1])).astype(np.float32)


def target(world: ChannelVectors, heads: int = 2, seed: int = 3, scale: float = 2.0) -> Folded:
    return Folded(targets(world, 1, heads, seed)[0], scale)


def naive_scores(world: ChannelVectors, events: EventSet, asked: Folded) -> np.ndarray:
    """Scores (H, L) by the definition, one event and one head at a time, in float64."""
    out = np.zeros((len(asked.u), len(events)))
    for h, u in enumerate(asked.u.astype(np.float64)):
        for l, (item, query) in enumerate(zip(events.item, events.query, strict=True)):
            items = sum(u[1 + c] @ world.item[item, c].astype(np.float64) for c in range(3))
            if query and world.query_present[query]:
                out[h, l] = items + u[0] @ world.query[query].astype(np.float64)
            else:
                out[h, l] = asked.item_scale_without_query * items
    return out


def naive_top(scores: np.ndarray, keep: int) -> list[int]:
    """The `keep` best of (L,), best first, ties to the newer event, by sorting everything."""
    return sorted(range(len(scores)), key=lambda l: (-scores[l], -l))[:keep]
