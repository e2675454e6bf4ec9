"""Negatives: for training here, for evaluation from `candidates`.

Data, between the splits and the batches. A negative copies the presence pattern of its positive, so that presence alone
gives nothing away. Departure from the paper's released code, which draws one negative item and keeps the query.
"""

from __future__ import annotations

import numpy as np

from ..errors import EmptyDataError, UnknownNameError
from .candidates import MODES, SAMPLERS, Candidates, evaluation_candidates, evaluation_negatives
from .pools import Catalogue, Pool, make_pool, training_events
from .splits import TIED, Split, all_tied

__all__ = ["MODES", "SAMPLERS", "Candidates", "TrainingNegatives", "evaluation_candidates", "evaluation_negatives"]

TRAINING_SAMPLERS = SAMPLERS[:2]


class TrainingNegatives:
    """Draws negative pairs that copy the positive's presence pattern and are never the positive's item.

    For a positive without a query: an item that occurs in training, without a query. For one with a query: a training
    event with a query, taken whole. Items that never occur in training are not drawn: they would be pushed down
    without ever being pulled up, and no cold item could be found. Where fewer than two items have a query in training,
    no negative could copy the pattern, so `pairs` hides the positives' queries.

    Args:
        dataset: supplies `store` and `n_items`.
        split: what may be trained on.
        sampler: "uniform" or "popularity" (to the power 0.75).

    Raises:
        UnknownNameError: another sampler.
        EmptyDataError: fewer than two items occur in training.
    """

    def __init__(self, dataset: Catalogue, split: Split, *, sampler: str = "uniform"):
        if sampler not in TRAINING_SAMPLERS:
            raise UnknownNameError("training sampler", sampler, TRAINING_SAMPLERS)
        events = training_events(dataset.store, split.train_end)
        item, query = np.asarray(dataset.store.item)[events], np.asarray(dataset.store.query)[events]
        counts = np.bincount(item, minlength=dataset.n_items + 1)
        counts[0] = 0
        seen = np.flatnonzero(counts)
        if len(seen) < 2:
            raise EmptyDataError(
                f"{len(seen)} items occur in training; a negative needs at least 2",
                hint=TIED if all_tied(dataset.store) else "import more events, or check the split",
            )
        asked = (query > 0) & (item > 0)
        self.items = make_pool(seen, np.zeros(len(seen), np.int32), sampler, counts)
        self.pairs_with_query = make_pool(item[asked], query[asked], sampler, counts)
        self._groups = {
            id(pool): self._group_edges(pool, dataset.n_items) for pool in (self.items, self.pairs_with_query)
        }

    @staticmethod
    def _group_edges(pool: Pool, n_items: int) -> np.ndarray:
        """(I+2,) cumulative weight before each item's entries."""
        return pool.cumulative[np.searchsorted(pool.item, np.arange(n_items + 2))]

    def _draw_from(self, pool: Pool, rng: np.random.Generator, avoid: np.ndarray, count: int) -> np.ndarray:
        """(n, count) entries of `pool` whose item is not avoid[i], exactly in proportion to their weights."""
        edges = self._groups[id(pool)]
        low, high = edges[avoid][:, None], edges[avoid + 1][:, None]
        point = rng.integers(0, pool.cumulative[-1] - (high - low), (len(avoid), count))
        return pool.at(np.where(point >= low, point + (high - low), point))

    def draw(
        self, rng: np.random.Generator, item: np.ndarray, query: np.ndarray, count: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """`count` negatives for each positive.

        Args:
            item: (...) item rows of the positives.
            query: (...) their query rows, 0 = none.

        Returns:
            item rows and query rows, both (..., count) int32.
        """
        positive, asked = item.reshape(-1), (query.reshape(-1) > 0) & (self.pairs_with_query.n_items > 1)  # (n,)
        drawn = self._draw_from(self.items, rng, positive, count)
        items, queries = self.items.item[drawn], np.zeros((len(positive), count), np.int32)
        if asked.any():
            entries = self._draw_from(self.pairs_with_query, rng, positive[asked], count)
            items[asked], queries[asked] = self.pairs_with_query.item[entries], self.pairs_with_query.query[entries]
        return items.reshape(*item.shape, count), queries.reshape(*item.shape, count)

    def pairs(
        self, rng: np.random.Generator, item: np.ndarray, query: np.ndarray, count: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The positive as candidate 0 and `count` negatives behind it: item and query rows, both (..., 1 + count)."""
        if self.pairs_with_query.n_items < 2:
            query = np.zeros_like(query)
        items, queries = self.draw(rng, item, query, count)
        return (
            np.concatenate((item[..., None].astype(np.int32), items), axis=-1),
            np.concatenate((query[..., None].astype(np.int32), queries), axis=-1),
        )
