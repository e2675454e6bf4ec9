"""The paper's rivals: symmetric product quantisation, and a search per channel by HNSW graphs or LSH.

Retrieval, beside the main road; they exist to be compared with. SEMINAR (arXiv 2407.10714) codes both sides, channel
by channel; its two-stage rivals search each channel by itself, join what they find and order it by exact scores.
HNSW and LSH index the distinct vectors of a life, because graphs break on many equal points.
"""

from __future__ import annotations

from collections.abc import Sequence

import faiss
import numpy as np

from ..contracts import CHANNELS, ITEM_CHANNELS, ChannelVectors, Folded, Kept
from ..errors import ConfigError
from .codebooks import Codebooks
from .events import EventSet
from .exact import ExactScorer, best_of, check_keep
from .spec import Spec

SEARCH_WIDTH = 64  # HNSW's candidate list, at least
LINK_BYTES = 4


def quantise_target(codebooks: Codebooks, channels: np.ndarray, *, with_query: bool) -> np.ndarray:
    """The target as the symmetric scheme sees it: its channel vectors replaced by their centroids.

    Folding the result and searching as usual *is* the symmetric scheme: its table of centroid pairs holds the same
    inner products.

    Args:
        codebooks: of a `SymPQ` specification.
        channels: (n, M, D) targets' channel vectors, absent channels zero.
        with_query: whether the query channel takes part.

    Returns:
        (n, M, D) float32.
    """
    if codebooks.spec.kind != "SymPQ":
        raise ConfigError(f"{codebooks.spec} does not quantise the target", hint="use SymPQ<S>x<b>")
    part = codebooks.parts["pair" if with_query else "item"]
    used = slice(0, len(CHANNELS)) if with_query else slice(1, len(CHANNELS))
    x = channels[:, used].reshape(len(channels), -1)
    out = np.zeros_like(channels, np.float32)
    out[:, used] = part.decode(part.encode(x)).reshape(len(channels), -1, channels.shape[2])
    return np.where(channels.any(2, keepdims=True), out, 0).astype(np.float32)


class ChannelIndex:
    """One channel of a life: an index over its distinct present vectors, and which events hold each of them."""

    def __init__(self, spec: Spec, vectors: np.ndarray, place: np.ndarray):
        """Build.

        Args:
            spec: HNSW or LSH.
            vectors: (n, D) distinct present vectors.
            place: (L,) index of each event's vector, -1 where the channel is absent.
        """
        width = vectors.shape[1]
        if spec.kind == "HNSW":
            self.index: faiss.Index = faiss.IndexHNSWFlat(width, spec.size, faiss.METRIC_INNER_PRODUCT)
            self.index.hnsw.efSearch = SEARCH_WIDTH
        else:
            self.index = faiss.IndexLSH(width, spec.size, True, False)
        self.index.add(np.ascontiguousarray(vectors, np.float32))  # type: ignore[call-arg]
        order = np.argsort(place, kind="stable")
        self._events = order[
            np.searchsorted(place[order], 0) :
        ]  # events that have the channel, by vector, oldest first
        sizes = np.bincount(place[place >= 0], minlength=len(vectors))
        self._ends = np.cumsum(sizes)
        self._starts = self._ends - sizes

    def nearest_events(self, u: np.ndarray, count: int) -> np.ndarray:
        """Events of the nearest vectors to `u` (D,), vector by vector, newest first within one, at most `count`."""
        if isinstance(self.index, faiss.IndexHNSWFlat):
            self.index.hnsw.efSearch = max(SEARCH_WIDTH, count)
        _, found = self.index.search(u[None], min(count, self.index.ntotal))  # type: ignore[call-arg]
        runs = [self._events[self._starts[i] : self._ends[i]][::-1] for i in found[0] if i >= 0]
        return np.concatenate(runs)[:count] if runs else np.empty(0, np.int64)


class TwoStageScorer:
    """Search each weighted channel by itself, join what is found, order it by exact scores.

    Args:
        spec: HNSW or LSH.
        vectors: the run's vectors.
        events: the life.
        exact: orders the candidates.
        breadth: each channel contributes this many times K events.
    """

    def __init__(self, spec: Spec, vectors: ChannelVectors, events: EventSet, exact: ExactScorer, breadth: float = 1.0):
        self.spec, self.layout = str(spec), "packed"
        width = vectors.query.shape[1]
        vector_bytes = 4.0 * width + 2 * LINK_BYTES * spec.size if spec.kind == "HNSW" else spec.size / 8
        self.bytes_per_event = len(CHANNELS) * vector_bytes
        self.exact, self.breadth, self.length = exact, breadth, len(events)
        self._channels: list[ChannelIndex | None] = []
        for channel in range(len(CHANNELS)):
            rows = events.query if channel == 0 else events.item
            present = vectors.query_present[rows] if channel == 0 else vectors.item_present[rows, channel - 1]
            table = vectors.query if channel == 0 else vectors.item[:, channel - 1]
            distinct = np.unique(rows[present])
            place = np.where(present, np.searchsorted(distinct, rows), -1)
            self._channels.append(ChannelIndex(spec, table[distinct], place) if len(distinct) else None)
        assert len(self._channels) == 1 + len(ITEM_CHANNELS)

    def search(self, target: Folded, keep: int) -> Kept:
        """Keep the best of what the channels find, by exact scores."""
        check_keep(keep)
        count = min(int(np.ceil(self.breadth * keep)), self.length)
        events = np.full((len(target.u), keep), -1, np.int64)
        scores = np.full((len(target.u), keep), -np.inf, np.float32)
        for head, u in enumerate(target.u):
            found = [
                index.nearest_events(np.ascontiguousarray(one), count)
                for one, index in zip(u, self._channels, strict=True)
                if index is not None and one.any()
            ]
            candidates = np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)
            exact = self.exact.scores_of(u, target.item_scale_without_query, candidates)
            best = best_of(exact[None], candidates[None], keep)
            events[head], scores[head] = best.events[0], best.scores[0]
        return Kept(events, scores)

    def search_batch(self, targets: Sequence[Folded], keep: int) -> list[Kept]:
        """`search` for each target."""
        return [self.search(target, keep) for target in targets]
