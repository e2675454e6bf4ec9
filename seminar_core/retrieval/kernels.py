"""Compiled inner loops: sums over look-up tables, dot products of bytes and of chosen rows, beam search for codes.

Retrieval, under codebooks and search. faiss has the same loops but answers with a top-K only or cannot start from given
codebooks with dead entries; these return every score, and each row's sum has one fixed order, so equal codes score
bitwise equal. numba compiles them at first use and keeps the result on disk.
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def lookup_sums(columns: np.ndarray, tables: np.ndarray, out: np.ndarray) -> None:
    """Add table entries: out[r, i] = sum over s of tables[r, s, columns[s, i]].

    Args:
        columns: (S, n) uint8 or uint16 codes, one row per sub-space.
        tables: (R, S, C) float32.
        out: (R, n) float32, overwritten.
    """
    subspaces, count = columns.shape
    for r in range(len(tables)):
        row = out[r]
        row[:] = 0
        for s in range(subspaces):
            table = tables[r, s]
            codes = columns[s]
            for i in range(count):
                row[i] += table[codes[i]]


@numba.njit(cache=True, nogil=True, fastmath=True)
def byte_products(codes: np.ndarray, weights: np.ndarray, out: np.ndarray) -> None:
    """Inner products of bytes: out[r, i] = sum over d of weights[r, d] * codes[i, d].

    Args:
        codes: (n, d) uint8.
        weights: (R, d) float32.
        out: (R, n) float32, overwritten.
    """
    count, width = codes.shape
    for r in range(len(weights)):
        weight = weights[r]
        for i in range(count):
            total = np.float32(0)
            for d in range(width):
                total += weight[d] * np.float32(codes[i, d])
            out[r, i] = total


@numba.njit(cache=True, nogil=True, fastmath=True)
def gathered_products(table: np.ndarray, places: np.ndarray, u: np.ndarray, out: np.ndarray) -> None:
    """Inner products of chosen rows: out[i] = table[places[i]] . u, each in the same order of additions.

    Args:
        table: (P, W) float32.
        places: (n,) int64.
        u: (W,) float32.
        out: (n,) float32, overwritten.
    """
    for i in range(len(places)):
        row, total = table[places[i]], np.float32(0)
        for w in range(len(u)):
            total += row[w] * u[w]
        out[i] = total


@numba.njit(cache=True, nogil=True)
def pack_keys(scores: np.ndarray, events: np.ndarray, keys: np.ndarray) -> None:
    """Integers that sort by score, then by event: the ordered bits of a score above, the event below.

    Args:
        scores: (n,) float32.
        events: (n,) int64, 0 to 2**32 - 1.
        keys: (n,) int64, overwritten.
    """
    for i in range(len(scores)):
        bits = np.int64(np.float32(scores[i] + np.float32(0)).view(np.int32))  # + 0 turns -0.0 into 0.0
        bits ^= (bits >> 63) & 0x7FFFFFFF  # negative floats sort backwards as integers
        keys[i] = (bits << 32) | events[i]


@numba.njit(cache=True, nogil=True)
def unpack_best(keys: np.ndarray, count: int, events: np.ndarray, scores: np.ndarray) -> None:
    """The `count` largest of rows of sorted keys, largest first.

    Args:
        keys: (R, n) int64, each row ascending.
        events, scores: (R, K) int64 and float32, the first `count` columns overwritten.
    """
    last = keys.shape[1] - 1
    for r in range(len(keys)):
        for i in range(count):
            key = keys[r, last - i]
            bits = key >> 32
            bits ^= (bits >> 63) & 0x7FFFFFFF
            events[r, i] = key & 0xFFFFFFFF
            scores[r, i] = np.int32(bits).view(np.float32)


@numba.njit(cache=True, nogil=True)
def fold_tables(
    u: np.ndarray,
    search: np.ndarray,
    mean: np.ndarray,
    centroids: np.ndarray,
    tables: np.ndarray,
    constants: np.ndarray,
) -> None:
    """Look-up tables of a few targets: tables[r] = (u[r] @ search) @ centroids, constants[r] = u[r] . mean.

    Two products and their bookkeeping in one call: for one target that is half of NumPy's time.

    Args:
        u: (R, W) float32 targets.
        search: (W, n) float32.
        mean: (W,) float32.
        centroids: (n, S * C) float32.
        tables: (R, S * C) float32, overwritten.
        constants: (R,) float32, overwritten.
    """
    for r in range(len(u)):
        np.dot(np.dot(u[r], search), centroids, tables[r])
        constants[r] = np.dot(u[r], mean)


@numba.njit(cache=True, nogil=True)
def settle(scores: np.ndarray, places: np.ndarray, events: np.ndarray, constants: np.ndarray, order: bool) -> bool:
    """Turn what a search over tables found into events and their scores; False, undone, where it left places empty.

    Insertion sort: rows that a search has already sorted by score cost one pass, and the length of each run of ties.

    Args:
        scores: (R, n) float32 without the constant, changed in place.
        places: (R, n) int64 places among `events`, overwritten with the events there.
        events: (P,) int64.
        constants: (R,) float32, added to the scores.
        order: bring each row into order, best first, ties to the newer event.
    """
    for r in range(len(scores)):
        if places[r, scores.shape[1] - 1] < 0:
            return False
    for r in range(len(scores)):
        for i in range(scores.shape[1]):
            score, event = scores[r, i] + constants[r], events[places[r, i]]
            at = i
            while order and at > 0 and (scores[r, at - 1], places[r, at - 1]) < (score, event):
                scores[r, at], places[r, at] = scores[r, at - 1], places[r, at - 1]
                at -= 1
            scores[r, at], places[r, at] = score, event
    return True


@numba.njit(cache=True, nogil=True)
def group_events(pair_of: np.ndarray, starts: np.ndarray, events: np.ndarray) -> None:
    """Lay out the events of a life pair by pair, newest first within one, by counting.

    Args:
        pair_of: (L,) int32 each event's pair.
        starts: (P + 1,) int64 zeros, overwritten with where each pair's events begin.
        events: (L,) int32, overwritten.
    """
    for pair in pair_of:
        starts[pair + 1] += 1
    for pair in range(1, len(starts)):
        starts[pair] += starts[pair - 1]
    filled = starts.copy()
    for event in range(len(pair_of) - 1, -1, -1):
        pair = pair_of[event]
        events[filled[pair]] = event
        filled[pair] += 1


@numba.njit(cache=True, nogil=True)
def spread_pairs(
    pairs: np.ndarray,
    values: np.ndarray,
    starts: np.ndarray,
    events: np.ndarray,
    found: np.ndarray,
    scores: np.ndarray,
) -> None:
    """The best events of each row of pairs: pair by pair, and event by event, newest first, among pairs that tie.

    Args:
        pairs: (R, n) int64, best first, ties to the higher pair, -1 behind the last.
        values: (R, n) float32 their scores.
        starts, events: see `group_events`.
        found, scores: (R, K) int64 and float32, overwritten; -1 and minus infinity behind the last event.
    """
    count, keep = pairs.shape[1], found.shape[1]
    front, end = np.empty(count, np.int64), np.empty(count, np.int64)
    for r in range(len(pairs)):
        filled = first = 0
        while filled < keep and first < count and pairs[r, first] >= 0:
            after = first  # the pairs from `first` to `after` tie; each has its events from `front` to `end`
            while after < count and pairs[r, after] >= 0 and values[r, after] == values[r, first]:
                front[after], end[after] = starts[pairs[r, after]], starts[pairs[r, after] + 1]
                after += 1
            while filled < keep and first < after:
                at, last = front[first], end[first]
                found[r, filled], scores[r, filled] = events[at], values[r, first]
                filled += 1
                at += 1
                if at == last:
                    first += 1
                    continue
                place = first  # the pair's next event takes its place among the fronts of the others
                while place + 1 < after and events[front[place + 1]] > events[at]:
                    front[place], end[place] = front[place + 1], end[place + 1]
                    place += 1
                front[place], end[place] = at, last
        found[r, filled:] = -1
        scores[r, filled:] = -np.inf


@numba.njit(cache=True, nogil=True)
def _best(costs: np.ndarray, total: int, count: int, chosen: np.ndarray) -> None:
    """Indices of the `count` smallest of costs[:total], smallest first, into `chosen`; the lower index wins ties."""
    kept = 0
    worst = np.float32(np.inf)
    for i in range(total):
        cost = costs[i]
        if kept == count:
            if cost >= worst:
                continue
            at = count - 1
        else:
            at = kept
            kept += 1
        while at > 0 and costs[chosen[at - 1]] > cost:
            chosen[at] = chosen[at - 1]
            at -= 1
        chosen[at] = i
        worst = costs[chosen[kept - 1]]


@numba.njit(cache=True, nogil=True, fastmath=True)
def beam_encode(products: np.ndarray, cross: np.ndarray, live: np.ndarray, beam: int, codes: np.ndarray) -> None:
    """Residual codes by beam search on inner products alone, without forming a residual.

    The squared error of a partial sum of centroids grows, when c is added, by |c|^2 - 2 z.c + 2 sum_prev c_prev.c. Each
    partial code carries that growth for all later centroids, so that adding one is a sum of two long rows.

    Args:
        products: (N, S * C) float32, z . c for every centroid.
        cross: (S * C, S * C) float32, c . c' for every pair of centroids.
        live: (S,) int64, centroids in use per sub-space (the first ones).
        beam: partial codes kept per stage.
        codes: (N, S) uint8, overwritten.
    """
    subspaces = codes.shape[1]
    total = products.shape[1]
    centroids = total // subspaces
    growth = np.empty((beam, total), np.float32)
    next_growth = np.empty((beam, total), np.float32)
    paths = np.zeros((beam, subspaces), np.int32)
    next_paths = np.zeros((beam, subspaces), np.int32)
    error = np.zeros(beam, np.float32)
    next_error = np.zeros(beam, np.float32)
    costs = np.empty(beam * centroids, np.float32)
    chosen = np.empty(beam, np.int64)
    squares = np.empty(total, np.float32)
    for i in range(total):
        squares[i] = cross[i, i]
    for n in range(len(products)):
        first = growth[0]
        product = products[n]
        for i in range(total):
            first[i] = squares[i] - 2 * product[i]
        error[0] = 0
        width = 1
        for s in range(subspaces):
            start, alive = s * centroids, live[s]
            for b in range(width):
                for c in range(alive):
                    costs[b * alive + c] = error[b] + growth[b, start + c]
            wanted = min(beam, width * alive)
            _best(costs, width * alive, wanted, chosen)
            after = start + centroids
            for b in range(wanted):
                parent, c = chosen[b] // alive, chosen[b] % alive
                next_error[b] = costs[chosen[b]]
                for t in range(s):
                    next_paths[b, t] = paths[parent, t]
                next_paths[b, s] = c
                old, added, out = growth[parent, after:], cross[start + c, after:], next_growth[b, after:]
                for i in range(len(out)):
                    out[i] = old[i] + 2 * added[i]
            paths, next_paths = next_paths, paths
            growth, next_growth = next_growth, growth
            error, next_error = next_error, error
            width = wanted
        for s in range(subspaces):
            codes[n, s] = paths[0, s]
