"""Approximate search over the events of a life, behind the same `Scorer` as exact search.

Retrieval's front door. Exact and approximate search differ in one argument:

    events = EventSet(item_rows, query_rows)                       # oldest first
    exact = make_scorer("exact", vectors, events)
    books = train_codebooks("QC64,RQ32x4fs", vectors, targets)    # targets (T, H, M, D)
    scan = make_scorer(books, vectors, events)                     # packed layout, 4-bit FastScan
    refined = make_scorer(books, vectors, events, shortlist=4)     # the scan keeps 4 K, exact scores order them
    kept = refined.search(Folded(u, scale), keep=50)               # Kept(events (H, K), scores (H, K))

All of them score each distinct pair of the life once and spread the best pairs to their events. `LookupScorer` (look-up
tables over codes) can answer with every score, `FastScanScorer` with the best only, both in either layout. A shortlist
counts distinct pairs: on a life of repeats the newest events of a few items would fill it. What was kept by the
scan and lost by the refine stage is in `RefinedScorer.stages`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ..contracts import ChannelVectors, Folded, Kept
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
from .packed import PackedLife, pack
from .rivals import TwoStageScorer
from .spec import SHORTLIST_KINDS, parse


class CodeScorer(Protocol):
    """What a search over codes offers a refine stage: the best distinct pairs of stacked targets."""

    def best_pairs(
        self, rows: np.ndarray, scale: np.ndarray, keep: int, *, order: bool = True
    ) -> tuple[np.ndarray, np.ndarray]: ...


class LookupScorer:
    """Asymmetric distances by look-up tables (ADC): the target is not quantised, every event gets a score.

    Args:
        codebooks: of the run.
        vectors: the run's vectors, for codes of pairs that were not encoded beforehand.
        events: the life.
        layout: `packed` (a code per pair) or `shared` (item and query codes looked up by id).
    """

    def __init__(self, codebooks: Codebooks, vectors: ChannelVectors, events: EventSet, layout: str = "packed"):
        self.spec, self.layout = str(codebooks.spec), layout
        self.life = pack(codebooks, vectors, events, layout)
        self.bytes_per_event = self.life.bytes_per_event

    def scores(self, target: Folded) -> np.ndarray:
        """Approximate scores (H, L) of one target."""
        return self.life.scores(*stack([target]))[:, self.life.distinct.pair_of]

    def best_pairs(
        self, rows: np.ndarray, scale: np.ndarray, keep: int, *, order: bool = True
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best distinct pairs (R, min(K, P)) and their scores, always best first."""
        best, count = top_k(self.life.scores(rows, scale), keep), min(keep, len(self.life.distinct))
        return best.events[:, :count], best.scores[:, :count]

    def search(self, target: Folded, keep: int) -> Kept:
        """Keep the best events of each head."""
        return self.search_batch([target], keep)[0]

    def search_batch(self, targets: Sequence[Folded], keep: int) -> list[Kept]:
        """`search` for all targets and heads in one pass."""
        return _best_events(self, self.life, targets, keep)


class FastScanScorer:
    """4-bit codes scanned in registers, packed per life: the fastest scan, which answers with the best events only."""

    def __init__(self, life: PackedLife):
        if not life.codebooks.spec.fastscan:
            raise ConfigError(
                f"{life.codebooks.spec} has no 4-bit FastScan codes", hint="add `fs`, as in QC64,RQ32x4fs"
            )
        self.spec, self.layout = str(life.codebooks.spec), life.layout
        self.bytes_per_event = life.bytes_per_event
        self.life, self.best_pairs = life, life.best_pairs

    def search(self, target: Folded, keep: int) -> Kept:
        """Keep the best events of each head."""
        return self.search_batch([target], keep)[0]

    def search_batch(self, targets: Sequence[Folded], keep: int) -> list[Kept]:
        """`search` for all targets and heads in one pass."""
        return _best_events(self, self.life, targets, keep)


def _best_events(scorer: CodeScorer, life: PackedLife, targets: Sequence[Folded], keep: int) -> list[Kept]:
    """The best events of each target and head, from the best pairs."""
    check_keep(keep)
    return split_heads(life.distinct.spread(*scorer.best_pairs(*stack(targets), keep), keep), targets)


class RefinedScorer:
    """Two stages: a scan keeps `shortlist` x K distinct pairs, exact scores order them and keep K events."""

    def __init__(self, first: Scorer, exact: ExactScorer, shortlist: float):
        if shortlist < 1:
            raise ConfigError(f"shortlist {shortlist} keeps fewer than K events", hint="use a factor of 1 or more")
        self.spec, self.layout = first.spec, first.layout
        self.bytes_per_event = first.bytes_per_event
        self.refine_bytes_per_event = exact.bytes_per_event
        self.first, self.exact, self.shortlist = first, exact, shortlist

    def stages(
        self, targets: Sequence[Folded], keep: int, asked: Sequence[Folded] | None = None
    ) -> list[tuple[list[np.ndarray], Kept]]:
        """What the scan kept: all events of each head's shortlist, oldest first; and the K that refining kept of it.

        `asked`: the targets as the scan sees them, where a scheme quantises them.
        """
        distinct = self.exact.distinct
        return [
            ([distinct.events_of(pairs) for pairs in shortlists], self.refine(shortlists, target, keep))
            for shortlists, target in zip(self.shortlists(asked or targets, keep), targets, strict=True)
        ]

    def shortlists(self, targets: Sequence[Folded], keep: int) -> list[list[np.ndarray]]:
        """The distinct pairs (n,) that the first stage keeps, in no order, by target and head."""
        check_keep(keep)
        wanted = math.ceil(self.shortlist * keep)
        if isinstance(self.first, LookupScorer | FastScanScorer):
            rows = iter(self.first.best_pairs(*stack(targets), wanted, order=False)[0])
            return [[next(rows) for _ in target.u] for target in targets]
        pair_of = self.exact.distinct.pair_of
        return [
            [np.unique(pair_of[row[row >= 0]]) for row in kept.events]
            for kept in self.first.search_batch(targets, wanted)
        ]

    def refine(self, shortlists: Sequence[np.ndarray], target: Folded, keep: int) -> Kept:
        """Keep the best events of each head's distinct pairs (n,) by exact scores."""
        scale, found = target.item_scale_without_query, []
        for u, pairs in zip(target.u, shortlists, strict=True):
            best = best_of(self.exact.scores_of_pairs(u, scale, pairs)[None], pairs[None], min(keep, len(pairs)))
            found.append(self.exact.distinct.spread(best.events, best.scores, keep))
        if len(found) == 1:
            return found[0]
        return Kept(np.concatenate([one.events for one in found]), np.concatenate([one.scores for one in found]))

    def search(self, target: Folded, keep: int) -> Kept:
        """Keep the best events of each head."""
        return self.search_batch([target], keep)[0]

    def search_batch(self, targets: Sequence[Folded], keep: int, asked: Sequence[Folded] | None = None) -> list[Kept]:
        """`search` for all targets; `asked`: see `stages`."""
        found = self.shortlists(asked or targets, keep)
        return [self.refine(pairs, target, keep) for pairs, target in zip(found, targets, strict=True)]


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
        layout: of the codes: `packed` (a pair's own) or `shared` (its item's and its query's, by id).
        targets: (T, H, M, D) folded training targets, needed by `fused,exact` alone.

    Raises:
        SpecError: an unknown specification, or one that needs codebooks.
        StaleError: the codebooks were made from other vectors.
    """
    first: Scorer
    exact = ExactScorer(vectors, events)
    if isinstance(index, Codebooks):
        index.check(vectors)
        if index.spec.fastscan:
            first = FastScanScorer(pack(index, vectors, events, layout))
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
