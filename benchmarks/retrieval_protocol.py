"""The paper's own protocol: random unit vectors, D = 16, L = 2,048, the best 32, fixed weights.

Retrieval, for the benchmark. Random vectors are the hardest case for any quantiser, and a fair one: nothing is learnt
from structure. The paper (SEMINAR, arXiv 2407.10714) reports .98 at 64 bytes for its symmetric scheme.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.retrieval_ground import fold
from seminar_core.contracts import CHANNELS, ChannelVectors, Folded
from seminar_core.retrieval.codebooks import train_codebooks
from seminar_core.retrieval.events import EventSet
from seminar_core.retrieval.exact import ExactScorer
from seminar_core.retrieval.rivals import quantise_target
from seminar_core.retrieval.search import LookupScorer

WIDTH, LENGTH, KEEP = 16, 2_048, 32
TARGETS = 200
SPECS = ("fused,SQ8", "fused,RQ16x8", "SymPQ16x8", "SymPQ64x8")
WEIGHTS = (0.25, 0.25, 0.25, 0.25)


def unit(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, M, D) random unit vectors."""
    x = rng.standard_normal((count, len(CHANNELS), WIDTH)).astype(np.float32)
    return x / np.linalg.norm(x, axis=2, keepdims=True)


def paper_protocol(specs: Sequence[str] = SPECS, *, seed: int = 0) -> list[dict[str, Any]]:
    """Recall of the best 32 for a few specifications: rows of `method`, `bytes_per_event`, `recall@32`."""
    rng = np.random.default_rng(seed)
    x = np.concatenate([np.zeros((1, len(CHANNELS), WIDTH), np.float32), unit(rng, LENGTH)])
    there = np.arange(len(x)) > 0
    vectors = ChannelVectors(
        np.ascontiguousarray(x[:, 1:]), np.repeat(there[:, None], 3, 1), np.ascontiguousarray(x[:, 0]), there
    )
    rows = np.arange(1, len(x), dtype=np.int32)
    events = EventSet(rows, rows)
    weights = np.tile(WEIGHTS, (TARGETS, 1))
    trained = fold(unit(rng, 2_000), np.tile(WEIGHTS, (2_000, 1)))[:, None]
    asked = unit(rng, TARGETS)
    exact = ExactScorer(vectors, events).search_batch([Folded(u[None], 1.0) for u in fold(asked, weights)], KEEP)
    answer = []
    for spec in specs:
        books = train_codebooks(spec, vectors, trained, pairs=np.stack([rows, rows], 1), only=("pair",))
        coded = quantise_target(books, asked, with_query=True) if books.spec.kind == "SymPQ" else asked
        targets = [Folded(u[None], 1.0) for u in fold(coded, weights)]
        kept = LookupScorer(books, vectors, events).search_batch(targets, KEEP)
        shares = [np.isin(a.events, b.events).mean() for a, b in zip(exact, kept, strict=True)]
        answer.append(
            {
                "method": spec,
                "length": LENGTH,
                "width": WIDTH,
                "stage": "scan",
                "layout": "packed",
                "bytes_per_event": books.bytes_per_event,
                "recall@32": float(np.mean(shares)),
            }
        )
    return answer
