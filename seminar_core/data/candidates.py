"""Evaluation candidates: each target's positive and negatives that the person never met, fixed by (seed, person).

Negatives are items that somebody met (`pool="met"`): beside items that nobody ever met, a ranker by popularity alone
looks good. The whole catalogue is the other pool. Who has met almost everything gets fewer negatives.

Data, between the splits and the batches. Draws are a counter-based random stream per person: no generator objects, so
any number of people is drawn at once, and a person's candidates do not depend on who else is evaluated. The person's
own items and repeats are skipped. Query presence is equal for all candidates of a target in every mode: a scorer that
sees only presence gets exactly chance. The paper says "99 negatives" and is silent on samplers and on ties of person
and item; the three samplers and the query modes are this project's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import ConfigError, EmptyDataError, UnknownNameError
from .pools import Catalogue, Pool, item_counts, make_pool, training_events
from .splits import EventColumns, Split, Targets

SAMPLERS = ("uniform", "popularity", "category")
POOLS = ("met", "catalogue")
MODES = ("recommendation", "search", "pair")
ROWS_AT_ONCE = 256
MOST_DRAWS_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class Candidates:
    """Candidate sets of the targets that a mode uses.

    Fields:
        targets: the n targets used (`search` and `pair`: those with a query).
        item: (n, N) int32 item rows, candidate 0 the positive, the others distinct and never met by the person; 0 at
            the end of rows that have fewer than N - 1.
        query: (n, N) int32 query rows, 0 = none.
        left_out: targets that the mode does not use, or that have no negative at all.
        fewer: targets with fewer negatives than asked for.
        same_category: share of the negatives that lie in the positive's category.
    """

    targets: Targets
    item: np.ndarray
    query: np.ndarray
    left_out: int
    fewer: int
    same_category: float

    def __repr__(self) -> str:
        return f"Candidates(n={len(self.targets)}, N={self.item.shape[1]}, left_out={self.left_out})"


def _stream(seed: int, person: np.ndarray, stream: int, first: int, count: int) -> np.ndarray:
    """(n, count) uint64 random words number first, first + 1, ... of each person's stream (splitmix64's mixer)."""

    def mix(word: np.ndarray) -> np.ndarray:
        word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return word ^ (word >> np.uint64(31))

    golden = np.uint64(0x9E3779B97F4A7C15)
    key = mix(np.array([seed], np.int64).view(np.uint64) + golden)
    key = mix(key + np.array([stream + 1], np.uint64) * golden)
    key = mix(key ^ (person.astype(np.uint64) + np.uint64(1)) * golden)[:, None]
    return mix(key + np.arange(first + 1, first + count + 1, dtype=np.uint64) * golden)


def _below(words: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """Words mapped to 0 .. limit - 1 (int64) through their upper 53 bits."""
    return ((words >> np.uint64(11)).astype(np.float64) * 2.0**-53 * limit).astype(np.int64)


def met_items(store: EventColumns, person: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct items of each person's whole life as sorted (row of `person`, item) pairs."""
    offsets = np.asarray(store.offsets)
    length = (offsets[person + 1] - offsets[person]).astype(np.int64)
    row = np.repeat(np.arange(len(person)), length)
    step = np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length)
    item = np.asarray(store.item)[offsets[person][row] + step].astype(np.int64)
    span = int(item.max(initial=0)) + 1
    pairs = np.unique(row * span + item)
    return pairs // span, pairs % span


@dataclass
class _Block:
    """Rows being filled with distinct items that they never met.

    Fields:
        person: (n,) person rows, the key of each row's random stream.
        met: sorted `row * (I + 1) + item` of what may not be drawn.
        chosen: (n, count) int64 entries of the pool, -1 where still open.
        filled: (n,) how many are chosen.
    """

    pool: Pool
    n_items: int
    seed: int
    person: np.ndarray
    met: np.ndarray
    chosen: np.ndarray
    filled: np.ndarray

    def _refused(self, rows: np.ndarray, item: np.ndarray) -> np.ndarray:
        """(r, R) true where item (r, R) was met by its row or stands further left in it."""
        keys = rows[:, None] * (self.n_items + 1) + item
        at = np.minimum(np.searchsorted(self.met, keys), len(self.met) - 1)
        order = np.argsort(item, axis=1, kind="stable")
        ascending = np.take_along_axis(item, order, axis=1)
        repeats = np.zeros(item.shape, bool)
        np.put_along_axis(repeats, order[:, 1:], ascending[:, 1:] == ascending[:, :-1], axis=1)
        return (self.met[at] == keys) | repeats

    def fill(self, stream: int, order: np.ndarray | None, low: np.ndarray, high: np.ndarray, until: np.ndarray) -> None:
        """Draw from points low .. high - 1 of the pool's cumulative weight until `until` (n,) items are chosen.

        Args:
            stream: number of the random stream, so that two fills of one row do not repeat each other.
            order: entries in another order than the pool's, with equal weights; None = the pool's own weights.
        """
        first, draws = 0, 2 * self.chosen.shape[1] + 16
        while len(rows := np.flatnonzero(self.filled < until)):
            words = _stream(self.seed, self.person[rows], stream, first, draws)
            points = low[rows, None] + _below(words, (high - low)[rows, None])
            entries = self.pool.at(points) if order is None else order[points]
            width = self.chosen.shape[1]
            known = np.where(self.chosen[rows] >= 0, self.pool.item[self.chosen[rows]], -1 - np.arange(width))
            items = np.concatenate((known, self.pool.item[entries]), axis=1).astype(np.int64)  # (r, count + draws)
            fresh = ~self._refused(rows, items)[:, width:]
            place = self.filled[rows, None] + np.cumsum(fresh, axis=1) - 1
            fresh &= place < until[rows, None]
            row, column = np.nonzero(fresh)
            self.chosen[rows[row], place[row, column]] = entries[row, column]
            self.filled[rows] += fresh.sum(axis=1)
            first, draws = first + draws, min(draws * 2, MOST_DRAWS_AT_ONCE)


class _Sampler:
    """A pool with what is needed to draw from it by category and to know when it is exhausted."""

    def __init__(self, dataset: Catalogue, pool: Pool, sampler: str):
        self.dataset, self.pool, self.sampler = dataset, pool, sampler
        self.category = np.asarray(dataset.category)
        self.in_pool = np.bincount(np.unique(pool.item), minlength=dataset.n_items + 1) > 0  # (I + 1,)
        entry_category = self.category[pool.item]
        self.by_category = np.argsort(entry_category, kind="stable")
        names = np.arange(int(self.category.max(initial=0)) + 2)
        self.category_edges = np.searchsorted(entry_category[self.by_category], names)
        self.category_items = np.bincount(self.category[self.in_pool.nonzero()[0]], minlength=len(names))

    def draw(self, person: np.ndarray, positive: np.ndarray, count: int, seed: int) -> np.ndarray:
        """(n, count) entries of the pool for each row of (person, positive item), -1 once all are drawn."""
        row, item = met_items(self.dataset.store, person)
        stride = self.dataset.n_items + 1
        met = np.unique(np.concatenate((row * stride + item, np.arange(len(person)) * stride + positive)))
        met_row, met_item = met // stride, met % stride
        counted = self.in_pool[met_item]
        left = int(self.in_pool.sum()) - np.bincount(met_row[counted], minlength=len(person))
        wanted = np.minimum(left, count)
        open_ = np.full((len(person), count), -1, np.int64)
        block = _Block(self.pool, self.dataset.n_items, seed, person, met, open_, np.zeros(len(person), np.int64))
        if self.sampler == "category":
            own = self.category[positive]
            same = counted & (self.category[met_item] == own[met_row])
            free = self.category_items[own] - np.bincount(met_row[same], minlength=len(person))
            until = np.where(own > 0, np.minimum(free, wanted), 0)
            block.fill(1, self.by_category, self.category_edges[own], self.category_edges[own + 1], until)
        zero = np.zeros(len(person), np.int64)
        block.fill(0, None, zero, zero + self.pool.cumulative[-1], wanted)
        return block.chosen


def _draw_all(sampler: _Sampler, targets: Targets, count: int, seed: int) -> np.ndarray:
    """(n, count) entries of the sampler's pool, a block of rows at a time."""
    blocks = [
        sampler.draw(targets.person[at : at + ROWS_AT_ONCE], targets.item[at : at + ROWS_AT_ONCE], count, seed)
        for at in range(0, len(targets), ROWS_AT_ONCE)
    ]
    return np.concatenate(blocks) if blocks else np.zeros((0, count), np.int64)


def _check(sampler: str, count: int) -> None:
    """Refuse an unknown sampler and a count below one."""
    if sampler not in SAMPLERS:
        raise UnknownNameError("sampler", sampler, SAMPLERS)
    if count < 1:
        raise ConfigError(f"{count} negatives were asked for, it must be at least 1", hint="the paper uses 99")


def pool_items(dataset: Catalogue, pool: str, counts: np.ndarray | None = None) -> np.ndarray:
    """Item rows that may be drawn: those in anybody's life, or all. Counting reads every event: ask once.

    Args:
        counts: (I+1,) events of each item, where they are known.

    Raises:
        UnknownNameError: another pool.
    """
    if pool not in POOLS:
        raise UnknownNameError("pool of rivals", pool, POOLS)
    if pool == "catalogue":
        return np.arange(1, dataset.n_items + 1, dtype=np.int32)
    if counts is None:
        counts = item_counts(dataset.store, dataset.n_items)
    return np.flatnonzero(counts > 0).astype(np.int32)


def evaluation_negatives(
    dataset: Catalogue,
    targets: Targets,
    *,
    count: int = 99,
    sampler: str = "uniform",
    seed: int = 0,
    pool: str = "met",
) -> np.ndarray:
    """(n, count) int32 distinct items that each target's person never met, fixed by (seed, person); 0 where too few.

    Args:
        sampler: "uniform"; "popularity" (events to the power 0.75); "category" (of the positive's category, filled
            uniformly where it has too few).
        pool: "met" or "catalogue".

    Raises:
        UnknownNameError: another sampler or pool.
    """
    _check(sampler, count)
    counts = item_counts(dataset.store, dataset.n_items)
    items = pool_items(dataset, pool, counts)
    drawn = make_pool(items, np.zeros_like(items), sampler, counts)
    return _taken(drawn.item, _draw_all(_Sampler(dataset, drawn, sampler), targets, count, seed))


def _taken(values: np.ndarray, entries: np.ndarray) -> np.ndarray:
    """`values` at `entries`, 0 where an entry is -1."""
    return np.where(entries >= 0, values[entries], 0).astype(values.dtype)


def evaluation_candidates(
    dataset: Catalogue,
    split: Split,
    targets: Targets,
    *,
    mode: str = "recommendation",
    sampler: str = "uniform",
    count: int = 99,
    seed: int = 0,
    pool: str = "met",
) -> Candidates:
    """Candidates of all targets that a query mode uses.

    Args:
        mode: "recommendation": no candidate has a query. "search": all share the positive's query. "pair": a negative
            is a drawn training event with a query, taken whole. The last two use only targets that have a query.
        pool: "met" or "catalogue"; the mode "pair" draws from training events and has no pool.

    Raises:
        UnknownNameError: another mode, sampler or pool.
        EmptyDataError: the mode uses none of the targets, nobody has a negative left, or no training event a query.
    """
    if mode not in MODES:
        raise UnknownNameError("query mode", mode, MODES)
    _check(sampler, count)
    used = targets if mode == "recommendation" else targets.take(targets.query > 0)
    if not len(used):
        raise EmptyDataError(
            f"mode {mode!r} uses none of the {len(targets)} targets: none has a query",
            hint="use the mode 'recommendation', or data with search events",
        )
    if mode == "pair":
        items, queries = _pair_negatives(dataset, split, used, sampler=sampler, count=count, seed=seed)
        own = used.query[:, None]
    else:
        items = evaluation_negatives(dataset, used, count=count, sampler=sampler, seed=seed, pool=pool)
        own = (used.query if mode == "search" else np.zeros_like(used.query))[:, None]
        queries = np.broadcast_to(own, items.shape)
    rivals = (items > 0).sum(1)
    some = rivals > 0
    if not some.any():
        raise EmptyDataError(
            f"none of the {len(used)} targets has a rival: everybody met every item that can be drawn",
            hint="draw from the whole catalogue with --pool catalogue, or import more items",
        )
    item = np.concatenate((used.item[:, None], items), axis=1).astype(np.int32)
    category = np.asarray(dataset.category)
    same = (category[items] == category[used.item][:, None]) & (category[items] > 0)
    return Candidates(
        targets=used.take(some),
        item=item[some],
        query=np.where(item > 0, np.concatenate((own, queries), axis=1), 0).astype(np.int32)[some],
        left_out=len(targets) - int(some.sum()),
        fewer=int((rivals[some] < count).sum()),
        same_category=float(same[items > 0].mean()),
    )


def _pair_negatives(
    dataset: Catalogue, split: Split, targets: Targets, *, sampler: str, count: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """(n, count) items and queries of drawn training events that have a query, of distinct items."""
    events = training_events(dataset.store, split.train_end)
    item, query = np.asarray(dataset.store.item)[events], np.asarray(dataset.store.query)[events]
    asked = (query > 0) & (item > 0)
    if not asked.any():
        raise EmptyDataError(
            "mode 'pair' draws training events with a query, and there are none",
            hint="use the mode 'recommendation'",
        )
    counts = np.bincount(item, minlength=dataset.n_items + 1)
    pool = make_pool(item[asked], query[asked], sampler, counts)
    entries = _draw_all(_Sampler(dataset, pool, sampler), targets, count, seed)
    return _taken(pool.item, entries), _taken(pool.query, entries)
