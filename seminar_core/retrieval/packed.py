"""A life packed for the fastest scan: one code per event, in groups that look-up tables can score.

Retrieval, seventh stop. Events without a query carry the code of their item, events with one the code of their pair;
each group is scanned with its own tables and the results are merged. Packing costs far more than a scan, so a
`PackedLife` is made once and kept. 4-bit codes go into faiss's FastScan, fed with ready look-up tables: its product
quantiser gets unit vectors for centroids, so that the "query" it is given *is* the look-up table. Events are stored
newest first, because FastScan keeps the first of equal scores and ties go to the newer event.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import faiss
import numpy as np

from ..contracts import PAD, ChannelVectors
from ..errors import ConfigError
from .codebooks import Codebooks
from .events import EventSet
from .kernels import settle
from .parts import Part

WORD = 16  # centroids of a 4-bit code word
BLOCK = 128  # events that FastScan holds in registers at once: a quarter faster than its 32 on long lives


@dataclass(frozen=True)
class Group:
    """Events of a life that share a part.

    Fields:
        part: the codebooks that coded them.
        events: (n,) int64 positions in the life, newest first.
        codes: (n, S) codes in the same order.
        scaled: scores are multiplied by the target's `item_scale_without_query`.
    """

    part: Part
    events: np.ndarray
    codes: np.ndarray
    scaled: bool

    @cached_property
    def columns(self) -> np.ndarray:
        """Codes laid out for a scan that answers with every score."""
        return self.part.columns(self.codes)

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
            order: best first, ties to the newer event; a shortlist needs no order.

        Returns:
            events (R, k) int64 and scores (R, k) float32, k = min(K, n).
        """
        tables, constants = self.tables(rows, scale)
        count = min(keep, len(self.events))
        events, scores = np.empty((len(rows), count), np.int64), np.empty((len(rows), count), np.float32)
        tables = np.ascontiguousarray(tables)
        table, score, place = map(faiss.swig_ptr, (tables, scores, events))
        search = self.fastscan.search_c  # type: ignore[attr-defined]  # without its wrapper, whose checks cost 1.5 us
        search(len(rows), table, count, score, place)
        settle(scores, events, self.events, constants, order)
        return events, scores

    def tables(self, rows: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Look-up tables and constants of stacked targets (R, M, D) for this group."""
        tables, constants = self.part.tables(rows)
        if self.scaled and (scale != 1).any():
            return tables * scale.reshape(-1, *[1] * (tables.ndim - 1)), constants * scale
        return tables, constants


@dataclass(frozen=True)
class PackedLife:
    """One life in the packed layout.

    Fields:
        codebooks: what coded it.
        groups: one or two groups, together holding each event once.
        length: L.
    """

    codebooks: Codebooks
    groups: tuple[Group, ...]
    length: int

    def __repr__(self) -> str:
        return f"PackedLife({self.codebooks.spec}, L={self.length}, groups={[len(g.events) for g in self.groups]})"


def pack(codebooks: Codebooks, vectors: ChannelVectors, events: EventSet) -> PackedLife:
    """Pack a life: codes of known items and pairs are looked up, only unseen pairs are encoded."""
    item, query, inverse = events.distinct
    searched = (query != PAD) & vectors.query_present[query]
    groups = []
    for with_query in (False, True):
        chosen = searched == with_query
        if not chosen.any():
            continue
        if with_query:
            if "pair" not in codebooks.parts:
                raise without_queries()
            distinct = codebooks.pair_codes(vectors, item[chosen], query[chosen])
        else:
            distinct = codebooks.codes["item"][item[chosen]]
        place = np.cumsum(chosen) - 1
        mine = np.flatnonzero(chosen[inverse])[::-1]  # newest first
        part = codebooks.parts["pair" if with_query else "item"]
        groups.append(Group(part, mine, distinct[place[inverse[mine]]], scaled=not with_query))
    return PackedLife(codebooks, tuple(groups), len(events))


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
