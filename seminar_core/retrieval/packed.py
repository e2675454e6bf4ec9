"""A life packed for the fastest scan: one code per distinct pair, in groups that look-up tables can score.

Retrieval, seventh stop. Pairs without a query carry the code of their item. Pairs with one carry, in the *packed*
layout, a code of their own; in the *shared* layout the catalogue's code of their item and that of their query side by
side, gathered by id. Each group is scanned with its own tables and the results are merged. Gathering and packing cost
far more than a scan, so a `PackedLife` is made once and kept. 4-bit codes go into faiss's FastScan, fed with ready
look-up tables: its product quantiser gets unit vectors for centroids, so that the "query" it is given *is* the look-up
table. Pairs are stored newest first, because FastScan keeps the first of equal scores and ties go to the newer event.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import faiss
import numpy as np

from ..contracts import PAD, ChannelVectors
from ..errors import ConfigError
from .codebooks import Codebooks
from .events import DistinctPairs, EventSet
from .exact import best_of
from .kernels import settle
from .parts import Part
from .quantisers import Scalar

LAYOUTS = ("packed", "shared")
WORD = 16  # centroids of a 4-bit code word
FEWEST = 21  # for fewer FastScan keeps a heap, which throws out any of several that tie instead of the oldest
BLOCK = 128  # codes that FastScan holds in registers at once: a quarter faster than its 32 on long lives


@dataclass(frozen=True)
class Group:
    """Pairs of a life that are coded alike.

    Fields:
        parts: the codebooks that coded them; of two parts the codes stand side by side and the scores add up.
        pairs: (n,) int64 places among the life's distinct pairs, newest first.
        codes: (n, S) codes in the same order, S over all parts.
        scaled: scores are multiplied by the target's `item_scale_without_query`.
    """

    parts: tuple[Part, ...]
    pairs: np.ndarray
    codes: np.ndarray
    scaled: bool

    @cached_property
    def columns(self) -> np.ndarray:
        """Codes laid out for a scan that answers with every score."""
        return self.parts[0].columns(self.codes)

    @cached_property
    def fastscan(self) -> faiss.IndexPQFastScan:
        """Codes packed for FastScan."""
        return pack_fastscan(self.codes)

    def scan(self, rows: np.ndarray, scale: np.ndarray, keep: int, *, order: bool) -> tuple[np.ndarray, np.ndarray]:
        """The best of the group by FastScan.

        Args:
            rows: (R, M, D) stacked targets.
            scale: (R,) their `item_scale_without_query`.
            keep: K.
            order: best first, ties to the newer pair; a shortlist needs no order.

        Returns:
            pairs (R, k) int64 and scores (R, k) float32, k = min(K, n).
        """
        count = min(keep, len(self.pairs))
        tables, constants = self.tables(rows, scale)
        asked = min(max(count, FEWEST), len(self.pairs))
        pairs, scores = np.empty((len(rows), asked), np.int64), np.empty((len(rows), asked), np.float32)
        tables = np.ascontiguousarray(tables)
        table, score, place = map(faiss.swig_ptr, (tables, scores, pairs))
        search = self.fastscan.search_c  # type: ignore[attr-defined]  # without its wrapper, whose checks cost 1.5 us
        search(len(rows), table, asked, score, place)
        order = order or asked > count
        if not settle(scores, pairs, self.pairs, constants, order):
            self._fill(tables, scores, pairs)
            settle(scores, pairs, self.pairs, constants, order)
        return pairs[:, :count], scores[:, :count]

    def _fill(self, tables: np.ndarray, scores: np.ndarray, places: np.ndarray) -> None:
        """Put in what FastScan leaves out, newest first: pairs with the least score that its 8-bit tables can say."""
        least = tables.reshape(len(tables), -1, WORD).min(2).sum(1)
        for row in np.flatnonzero(places[:, -1] < 0):
            empty = np.flatnonzero(places[row] < 0)
            others = np.setdiff1d(np.arange(len(self.pairs)), places[row])
            places[row, empty], scores[row, empty] = others[: len(empty)], least[row]

    def scores(self, rows: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Approximate scores (R, n) of every pair of the group, by look-up tables."""
        return self.parts[0].scan(self.columns, *self.tables(rows, scale))

    def tables(self, rows: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Look-up tables and constants of stacked targets (R, M, D) for this group."""
        tables, constants = self.parts[0].tables(rows)
        for part in self.parts[1:]:
            more, constant = part.tables(rows)
            tables, constants = np.concatenate([tables, more], 1), constants + constant
        if self.scaled and (scale != 1).any():
            return tables * scale.reshape(-1, *[1] * (tables.ndim - 1)), constants * scale
        return tables, constants


@dataclass(frozen=True)
class PackedLife:
    """One life, its distinct pairs coded and packed once each.

    Fields:
        codebooks: what coded it.
        groups: one or two groups, together holding each distinct pair once.
        distinct: the pairs, and which events hold them.
        layout: `packed` or `shared`.
    """

    codebooks: Codebooks
    groups: tuple[Group, ...]
    distinct: DistinctPairs
    layout: str

    def __repr__(self) -> str:
        sizes = [len(group.pairs) for group in self.groups]
        return f"PackedLife({self.codebooks.spec}, {self.layout}, L={len(self.distinct.pair_of)}, groups={sizes})"

    @property
    def bytes_per_event(self) -> float:
        """Bytes of the longest code of a pair, which is what a scan reads."""
        bits = [8 if isinstance(g.parts[0].coder, Scalar) else self.codebooks.spec.bits for g in self.groups]
        sizes = [bit * group.codes.shape[1] / 8 for bit, group in zip(bits, self.groups, strict=True)]
        return max(sizes, default=self.codebooks.bytes_per_event)

    def best_pairs(
        self, rows: np.ndarray, scale: np.ndarray, keep: int, *, order: bool = True
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best distinct pairs by FastScan.

        Args:
            rows: (R, M, D) stacked targets.
            scale: (R,) their `item_scale_without_query`.
            keep: K.
            order: best first, ties to the newer pair; a shortlist needs no order.

        Returns:
            pairs (R, k) int64 and scores (R, k) float32, k = min(K, P).
        """
        found = [group.scan(rows, scale, keep, order=order) for group in self.groups]
        if len(found) == 1:
            return found[0]
        if not found:
            return np.empty((len(rows), 0), np.int64), np.empty((len(rows), 0), np.float32)
        pairs, scores = np.concatenate([one for one, _ in found], 1), np.concatenate([one for _, one in found], 1)
        best = best_of(scores, pairs, min(keep, pairs.shape[1]))
        return best.events, best.scores

    def scores(self, rows: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Approximate scores (R, P) of all distinct pairs, by look-up tables."""
        out = np.empty((len(rows), len(self.distinct)), np.float32)
        for group in self.groups:
            out[:, group.pairs] = group.scores(rows, scale)
        return out


def pack(codebooks: Codebooks, vectors: ChannelVectors, events: EventSet, layout: str = "packed") -> PackedLife:
    """Pack a life: known codes are looked up, only pairs that the packed layout has not seen are encoded.

    Args:
        codebooks: of the run.
        vectors: the run's vectors.
        events: the life.
        layout: `packed` (a pair's own code) or `shared` (its item's and its query's code, by id).
    """
    if layout not in LAYOUTS:
        raise ConfigError(f"layout {layout!r} is not known; known: {', '.join(LAYOUTS)}", hint="choose one of them")
    item, query = events.distinct.item, events.distinct.query
    searched = (query != PAD) & vectors.query_present[query]
    groups = []
    for with_query in (False, True):
        pairs = np.flatnonzero(searched == with_query)[::-1]  # newest first
        if not len(pairs):
            continue
        names = ("item",) if not with_query else ("pair",) if layout == "packed" else ("item", "query")
        if any(name not in codebooks.parts for name in names):
            raise without_queries()
        rows = {"item": item[pairs], "query": query[pairs]}
        if names == ("pair",):
            codes = codebooks.pair_codes(vectors, rows["item"], rows["query"])
        else:
            codes = np.concatenate([codebooks.codes[name][rows[name]] for name in names], 1)
        groups.append(Group(tuple(codebooks.parts[name] for name in names), pairs, codes, scaled=not with_query))
    return PackedLife(codebooks, tuple(groups), events.distinct, layout)


def without_queries() -> ConfigError:
    """The error for a life with queries and codebooks without."""
    return ConfigError(
        "the life has events with a query, but the codebooks were trained without queries",
        hint="train the codebooks again with the queries of this data set",
    )


def pack_fastscan(codes: np.ndarray) -> faiss.IndexPQFastScan:
    """A FastScan index over (n, S) 4-bit codes, S even, that is searched with look-up tables (R, S * 16)."""
    subspaces = codes.shape[1]
    plain = faiss.IndexPQ(subspaces * WORD, subspaces, 4, faiss.METRIC_INNER_PRODUCT)
    units = np.tile(np.eye(WORD, dtype=np.float32), (subspaces, 1, 1))
    faiss.copy_array_to_vector(units.ravel(), plain.pq.centroids)
    plain.is_trained = True
    plain.add_sa_codes(np.ascontiguousarray(codes[:, 0::2] | (codes[:, 1::2] << 4)))
    return faiss.IndexPQFastScan(plain, BLOCK)  # type: ignore[arg-type]
