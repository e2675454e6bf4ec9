"""Exact search: the oracle that every approximation is measured against, and the top-K rule that all searches share.

Retrieval, second stop. Scores are computed once per distinct (item, query) pair, by one loop, so that equal vectors
have bitwise equal scores and ties are real ties; the best pairs are spread to events. Ties go to the newer event, until
exactly K are kept. `PremultipliedScorer` is the simplest rival of all: fixed weights, one vector per event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from ..contracts import CHANNELS, PAD, ChannelVectors, Folded, Kept, check_shape
from ..errors import ConfigError, NonFiniteError
from .events import EventSet, pair_vectors, stack
from .kernels import gathered_products, pack_keys, unpack_best

OUT_OF_SPAN = 1e-3  # relative length of a target outside the span that a `fused` search was made for


@runtime_checkable
class Scorer(Protocol):
    """What every search offers: exact, pre-multiplied, look-up tables, FastScan, and each of them with a refine stage.

    Fields:
        spec: the specification string of the index, or `exact`.
        layout: `packed` (one code per event) or `shared` (codes per item and per query, events hold ids).
        bytes_per_event: what a scan reads per event.
    """

    spec: str
    layout: str
    bytes_per_event: float

    def search(self, target: Folded, keep: int) -> Kept: ...

    def search_batch(self, targets: Sequence[Folded], keep: int) -> list[Kept]: ...


def check_keep(keep: int) -> None:
    """Raise `ConfigError` unless at least one event is to be kept."""
    if keep < 1:
        raise ConfigError(f"a search was asked to keep {keep} events, expected at least 1", hint="choose K >= 1")


def rank_keys(scores: np.ndarray, events: np.ndarray) -> np.ndarray:
    """Integers that sort as the tie rule does: by score, then by newness.

    Args:
        scores: (..., n) float32.
        events: (..., n) int64 positions, 0 to 2**32 - 1.

    Returns:
        (..., n) int64, larger is better.
    """
    keys = np.empty(scores.shape, np.int64)
    pack_keys(np.ravel(scores), np.ravel(events), keys.reshape(-1))
    return keys


def best_of(scores: np.ndarray, events: np.ndarray, keep: int) -> Kept:
    """The best `keep` of each row of a shortlist, best first, ties to the newer event.

    Args:
        scores: (R, n) float32.
        events: (R, n) int64 positions in any order.
        keep: K; where n is smaller the last slots are -1 with score minus infinity.
    """
    keys = rank_keys(scores, events)
    keys.sort(axis=1)
    count = min(keep, keys.shape[1])
    found, kept = np.empty((len(keys), keep), np.int64), np.empty((len(keys), keep), np.float32)
    if count < keep:
        found.fill(-1)
        kept.fill(-np.inf)
    unpack_best(keys, count, found, kept)
    return Kept(found, kept)


def best_events(scores: np.ndarray, keep: int) -> np.ndarray:
    """Indices of the `keep` best of (L,) scores, best first, ties to the newer (higher) index.

    A partition finds the K-th best score; only those that reach it are ever sorted.
    """
    length = len(scores)
    if keep < length:
        threshold = np.partition(scores, length - keep)[length - keep]
        chosen = np.flatnonzero(scores >= threshold)
    else:
        chosen = np.arange(length)
    keys = rank_keys(scores[chosen], chosen)
    keys.sort()
    return keys[max(len(keys) - keep, 0) :][::-1] & 0xFFFFFFFF


def top_k(scores: np.ndarray, keep: int) -> Kept:
    """Keep the `keep` best events of each head.

    Args:
        scores: (H, L) float32, higher is nearer.
        keep: K; where fewer events exist the last slots are -1 with score minus infinity.
    """
    check_shape("scores", scores, (None, None))
    check_keep(keep)
    events = np.full((len(scores), keep), -1, np.int64)
    kept = np.full((len(scores), keep), -np.inf, np.float32)
    for head, row in enumerate(scores):
        chosen = best_events(row, keep)
        events[head, : len(chosen)] = chosen
        kept[head, : len(chosen)] = row[chosen]
    return Kept(events, kept)


def split_heads(kept: Kept, targets: Sequence[Folded]) -> list[Kept]:
    """Hand rows (targets x heads) back to their targets."""
    if len(targets) == 1:
        return [kept]
    found, start = [], 0
    for target in targets:
        end = start + len(target.u)
        found.append(Kept(kept.events[start:end], kept.scores[start:end]))
        start = end
    return found


class ExactScorer:
    """The oracle: exact scores of every event under free weights, nothing quantised."""

    def __init__(self, vectors: ChannelVectors, events: EventSet):
        self.spec, self.layout = "exact", "shared"
        self.bytes_per_event = 4.0 * len(CHANNELS) * vectors.query.shape[1]
        self.vectors, self.events = vectors, events
        self.distinct = events.distinct
        item, query = self.distinct.item, self.distinct.query
        self._pairs = pair_vectors(vectors, item, query)  # (P, M * D)
        self._unsearched = ~(vectors.query_present[query] & (query != PAD))
        self._mixed = bool(self._unsearched.any())
        self._every = np.arange(len(item))

    def scores(self, target: Folded) -> np.ndarray:
        """Exact scores (H, L) of one target."""
        return self._scores_of_all(target)[:, self.distinct.pair_of]

    def _scores_of_all(self, target: Folded) -> np.ndarray:
        """Exact scores (H, P) of the distinct pairs."""
        rows, scale = stack([target])
        return np.stack([self.scores_of_pairs(u, one, self._every) for u, one in zip(rows, scale, strict=True)])

    def scores_of(self, u: np.ndarray, scale: float, events: np.ndarray) -> np.ndarray:
        """Exact scores (n,) of chosen events (n,) for one head (M, D); bitwise those of `scores`."""
        return self.scores_of_pairs(u, scale, self.distinct.pair_of[events])

    def vectors_of(self, events: np.ndarray) -> np.ndarray:
        """Channel vectors (n, M * D) of chosen events (n,), absent channels zero."""
        return self._pairs[self.distinct.pair_of[events]]

    def scores_of_pairs(self, u: np.ndarray, scale: float, pairs: np.ndarray) -> np.ndarray:
        """Exact scores (n,) of chosen distinct pairs (n,) for one head (M, D)."""
        out = np.empty(len(pairs), np.float32)
        gathered_products(self._pairs, pairs, u.reshape(-1), out)
        if self._mixed and scale != 1:
            out[self._unsearched[pairs]] *= np.float32(scale)
        return out

    def search(self, target: Folded, keep: int) -> Kept:
        """Keep the exact best events of each head."""
        best = top_k(self._scores_of_all(target), keep)
        return self.distinct.spread(best.events, best.scores, keep)

    def search_batch(self, targets: Sequence[Folded], keep: int) -> list[Kept]:
        """`search` for each target."""
        return [self.search(target, keep) for target in targets]


def span(targets: np.ndarray, width: int) -> np.ndarray:
    """Orthonormal basis (W, r) of folded targets of one fixed weighting.

    Under fixed weights all heads' folded targets lie in at most D dimensions of the M * D, so the events can be
    projected there once and for all: that is pre-multiplication.

    Args:
        targets: (n, W) float32 stacked folded targets.
        width: D.

    Raises:
        ConfigError: the targets span more than D dimensions, so they were not folded with one fixed weighting.
    """
    if not np.isfinite(targets).all():
        raise NonFiniteError("folded training targets hold NaN or infinity", hint="check the run and the weights")
    left, strength, _ = np.linalg.svd(targets.T.astype(np.float64) @ targets)
    rank = int((strength > 1e-9 * max(strength[0], 1e-300)).sum())
    if strength[0] == 0:
        raise ConfigError("all weights are zero: the folded targets vanish", hint="give at least one channel a weight")
    if rank > width:
        raise ConfigError(
            f"pre-multiplied search is for fixed weights: targets of one weighting span at most {width} dimensions, "
            f"these span {rank}",
            hint="fold the training targets with one weighting, or choose a specification without `fused`",
        )
    return left[:, :rank].astype(np.float32)


def within_span(u: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Coordinates (R, r) of stacked folded targets u (R, W) in a `basis` (W, r) from `span`.

    Raises:
        ConfigError: a target lies outside, so it was folded with other weights.
    """
    inside = u @ basis
    outside = float(np.linalg.norm(u - inside @ basis.T)) / max(float(np.linalg.norm(u)), 1e-30)
    if outside > OUT_OF_SPAN:
        raise ConfigError(
            f"a target folded with other weights met a search made for fixed weights (`fused`): {outside:.1%} of its "
            "length lies outside what they span",
            hint="use a specification without `fused`, or the weights that it was made for",
        )
    return inside


class PremultipliedScorer:
    """Exact search with weights fixed beforehand: one projected fp32 vector per distinct pair, packed.

    Args:
        vectors: the catalogue's and the queries' vectors.
        events: the life.
        basis: (M * D, r) from `span`.
    """

    def __init__(self, vectors: ChannelVectors, events: EventSet, basis: np.ndarray):
        self.spec, self.layout = "fused,exact", "packed"
        self.bytes_per_event = 4.0 * basis.shape[1]
        self.basis = basis
        self.distinct = events.distinct
        item, query = self.distinct.item, self.distinct.query
        self._packed = pair_vectors(vectors, item, query) @ basis  # (P, r)
        self._unsearched = ~(vectors.query_present[query] & (query != PAD))
        self._mixed = bool(self._unsearched.any())

    def _scores_of_all(self, targets: Sequence[Folded]) -> np.ndarray:
        """Scores (R, P) of the distinct pairs, for all targets and heads in one product."""
        rows, scale = stack(targets)
        out = within_span(rows.reshape(len(rows), -1), self.basis) @ self._packed.T
        if self._mixed:
            out[:, self._unsearched] *= scale[:, None]
        return out

    def scores(self, target: Folded) -> np.ndarray:
        """Scores (H, L) of one target that was folded with the fixed weights."""
        return self._scores_of_all([target])[:, self.distinct.pair_of]

    def search(self, target: Folded, keep: int) -> Kept:
        """Keep the best events of each head."""
        return self.search_batch([target], keep)[0]

    def search_batch(self, targets: Sequence[Folded], keep: int) -> list[Kept]:
        """`search` for all targets in one product."""
        best = top_k(self._scores_of_all(targets), keep)
        return split_heads(self.distinct.spread(best.events, best.scores, keep), targets)
