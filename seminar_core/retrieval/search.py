"""Approximate search over the events of a life, behind the same `Scorer` as exact search.

Retrieval's front door. Exact and approximate search differ in one argument:

    events = EventSet(item_rows, query_rows)                       # oldest first
    exact = make_scorer("exact", vectors, events)
    books = train_codebooks("QC64,RQ32x4fs", vectors, targets)    # targets (T, H, M, D)
    scan = make_scorer(books, vectors, events)                     # packed layout, 4-bit FastScan
    refined = make_scorer(books, vectors, events, shortlist=4)     # the scan keeps 4 K, exact scores order them
    kept = refined.search(Folded(u, scale), keep=50)               # Kept(events (H, K), scores (H, K))

`LookupScorer` (look-up tables over codes) answers with every score, in either layout; `FastScanScorer` with the best
events only. What was kept by the scan and lost by the refine stage is in `RefinedScorer.stages`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..contracts import PAD, ChannelVectors, Folded, Kept
from ..errors import ConfigError
from .codebooks import Codebooks
from .events import EventSet, stack
from .exact import (
    ExactScorer,
    PremultipliedScorer,
    Scorer,
    best_of,
    check_keep,
    span,
    split_heads,
    top_k,
)
from .kernels import combine_by_id
from .packed import PackedLife, pack, without_queries
from .rivals import TwoStageScorer
from .spec import SHORTLIST_KINDS, parse

LAYOUTS = ("packed", "shared")


class LookupScorer:
    """Asymmetric distances by look-up tables (ADC): the target is not quantised, every event gets a score.

    Args:
        codebooks: of the run.
        vectors: the run's vectors, for codes of pairs that were not encoded beforehand.
        events: the life.
        layout: `packed` (a code per event) or `shared` (item and query codes looked up by id).
    """

    def __init__(self, codebooks: Codebooks, vectors: ChannelVectors, events: EventSet, layout: str = "packed"):
        if layout not in LAYOUTS:
            raise ConfigError(f"layout {layout!r} is not known; known: {', '.join(LAYOUTS)}", hint="choose one of them")
        self.spec, self.layout = str(codebooks.spec), layout
        self.codebooks, self.events = codebooks, events
        self.bytes_per_event = codebooks.bytes_per_event
        self._life = pack(codebooks, vectors, events) if layout == "packed" else None
        if layout == "shared":
            self.bytes_per_event = 8.0  # an item id and a query id; the codes stay with the catalogue
            self._share(vectors)

    def _share(self, vectors: ChannelVectors) -> None:
        """Look up the codes of the life's distinct items and queries; events keep two int32 places among them."""
        item, query = self.codebooks.parts["item"], self.codebooks.parts.get("query")
        items, item_at = np.unique(self.events.item, return_inverse=True)
        queries, query_at = np.unique(self.events.query, return_inverse=True)
        self._item_at, self._query_at = item_at.astype(np.int32), query_at.astype(np.int32)
        self._items = item.columns(self.codebooks.codes["item"][items])
        self._absent = ~(vectors.query_present[queries] & (queries != PAD))
        self._queries = None
        if not self._absent.all():
            if query is None:
                raise without_queries()
            self._queries = query.columns(self.codebooks.codes["query"][queries])

    def scores_of_rows(self, rows: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Approximate scores (R, L) of stacked targets (R, M, D)."""
        if self._life is None:
            return self._shared_scores(rows, scale)
        out = np.empty((len(rows), self._life.length), np.float32)
        for group in self._life.groups:
            out[:, group.events] = group.part.scan(group.columns, *group.tables(rows, scale))
        return out

    def _shared_scores(self, rows: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Item scores and query scores, each with its constant added back, combined by id."""
        item, query = self.codebooks.parts["item"], self.codebooks.parts.get("query")
        of_items = item.scan(self._items, *item.tables(rows))
        of_queries = np.zeros((len(rows), len(self._absent)), np.float32)
        if self._queries is not None and query is not None:
            of_queries = query.scan(self._queries, *query.tables(rows))
        out = np.empty((len(rows), len(self.events)), np.float32)
        combine_by_id(of_items, of_queries, self._absent, self._item_at, self._query_at, scale, out)
        return out

    def scores(self, target: Folded) -> np.ndarray:
        """Approximate scores (H, L) of one target."""
        return self.scores_of_rows(*stack([target]))

    def search(self, target: Folded, keep: int) -> Kept:
        """Keep the best events of each head."""
        return top_k(self.scores(target), keep)

    def search_batch(self, targets: Sequence[Folded], keep: int) -> list[Kept]:
        """`search` for all targets and heads in one pass."""
        return split_heads(top_k(self.scores_of_rows(*stack(targets)), keep), targets)


class FastScanScorer:
    """4-bit codes scanned in registers, packed per life: the fastest scan, which answers with the best events only."""

    def __init__(self, life: PackedLife):
        if not life.codebooks.spec.fastscan:
            raise ConfigError(
                f"{life.codebooks.spec} has no 4-bit FastScan codes", hint="add `fs`, as in QC64,RQ32x4fs"
            )
        self.spec, self.layout = str(life.codebooks.spec), "packed"
        self.bytes_per_event = life.codebooks.bytes_per_event
        self.life = life

    def found_rows(self, rows: np.ndarray, scale: np.ndarray, keep: int, *, order: bool = True) -> Kept:
        """The best `keep` events of every group (R, n) and their scores; `order`: each group's best first."""
        check_keep(keep)
        found = [group.scan(rows, scale, keep, order=order) for group in self.life.groups]
        if len(found) == 1:
            return Kept(*found[0])
        if not found:
            return Kept(np.empty((len(rows), 0), np.int64), np.empty((len(rows), 0), np.float32))
        return Kept(np.concatenate([events for events, _ in found], 1), np.concatenate([s for _, s in found], 1))

    def search(self, target: Folded, keep: int) -> Kept:
        """Keep the best events of each head."""
        return self.search_batch([target], keep)[0]

    def search_batch(self, targets: Sequence[Folded], keep: int) -> list[Kept]:
        """`search` for all targets and heads in one pass."""
        found = self.found_rows(*stack(targets), keep)
        if found.events.shape[1] != keep or len(self.life.groups) != 1:
            found = best_of(found.scores, found.events, keep)
        return split_heads(found, targets)


class RefinedScorer:
    """Two stages: a scan keeps `shortlist` x K events, exact scores order them and keep K."""

    def __init__(self, first: Scorer, exact: ExactScorer, shortlist: float):
        if shortlist < 1:
            raise ConfigError(f"shortlist {shortlist} keeps fewer than K events", hint="use a factor of 1 or more")
        self.spec, self.layout = first.spec, first.layout
        self.bytes_per_event = first.bytes_per_event
        self.refine_bytes_per_event = exact.bytes_per_event
        self.first, self.exact, self.shortlist = first, exact, shortlist

    def stages(self, targets: Sequence[Folded], keep: int) -> list[tuple[Kept, Kept]]:
        """What the scan kept (shortlist x K per head) and what the refine stage kept of it (K per head)."""
        check_keep(keep)
        scanned = self.first.search_batch(targets, self._wanted(keep))
        return [
            (first, self.refine([row[row >= 0] for row in first.events], target, keep))
            for first, target in zip(scanned, targets, strict=True)
        ]

    def _wanted(self, keep: int) -> int:
        return math.ceil(self.shortlist * keep)

    def refine(self, candidates: Sequence[np.ndarray], target: Folded, keep: int) -> Kept:
        """Keep the best of each head's candidates (n,) by exact scores."""
        scale = target.item_scale_without_query
        found = [
            best_of(self.exact.scores_of(u, scale, events)[None], events[None], keep)
            for u, events in zip(target.u, candidates, strict=True)
        ]
        if len(found) == 1:
            return found[0]
        return Kept(np.concatenate([one.events for one in found]), np.concatenate([one.scores for one in found]))

    def search(self, target: Folded, keep: int) -> Kept:
        """Keep the best events of each head."""
        return self.search_batch([target], keep)[0]

    def search_batch(self, targets: Sequence[Folded], keep: int) -> list[Kept]:
        """`search` for all targets."""
        if not isinstance(self.first, FastScanScorer) or len(self.first.life.groups) != 1:
            return [refined for _, refined in self.stages(targets, keep)]
        found = self.first.found_rows(*stack(targets), self._wanted(keep), order=False).events
        rows = iter(found)
        return [self.refine([next(rows) for _ in target.u], target, keep) for target in targets]


def make_scorer(
    index: Codebooks | str,
    vectors: ChannelVectors,
    events: EventSet,
    *,
    shortlist: float | None = None,
    layout: str = "packed",
    targets: np.ndarray | None = None,
) -> Scorer:
    """Build the search that a specification names.

    Args:
        index: codebooks, or a specification that needs none: `exact`, `fused,exact`, `HNSW`, `LSH`.
        vectors: the run's vectors.
        events: the life.
        shortlist: None = one stage; F = the first stage keeps F x K and exact scores order them.
        layout: of the codes; FastScan needs `packed`, in `shared` its codes are scanned with look-up tables.
        targets: (T, H, M, D) folded training targets, needed by `fused,exact` alone.

    Raises:
        SpecError: an unknown specification, or one that needs codebooks.
        StaleError: the codebooks were made from other vectors.
    """
    first: Scorer
    exact = ExactScorer(vectors, events)
    if isinstance(index, Codebooks):
        index.check(vectors)
        if index.spec.fastscan and layout == "packed":
            first = FastScanScorer(pack(index, vectors, events))
        else:
            first = LookupScorer(index, vectors, events, layout)
    else:
        first = _untrained(index, vectors, events, exact, targets)
    return first if shortlist is None or first is exact else RefinedScorer(first, exact, shortlist)


def _untrained(
    text: str, vectors: ChannelVectors, events: EventSet, exact: ExactScorer, targets: np.ndarray | None
) -> Scorer:
    """Searches that need no codebooks."""
    spec = parse(text)
    if spec.kind == "exact" and not spec.fused:
        return exact
    if spec.kind == "exact":
        if targets is None:
            raise ConfigError("pre-multiplied search needs folded targets of its fixed weights", hint="pass `targets`")
        width = vectors.query.shape[1]
        return PremultipliedScorer(vectors, events, span(targets.reshape(-1, targets.shape[-2] * width), width))
    if spec.kind in SHORTLIST_KINDS:
        return TwoStageScorer(spec, vectors, events, exact)
    raise ConfigError(f"{spec} needs codebooks", hint="train them first: codebooks --spec " + str(spec))
