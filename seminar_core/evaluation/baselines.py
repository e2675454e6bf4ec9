"""The rows that stand beside every model: chance, popularity, and the oracle where the truth is planted.

Evaluation. Chance is exact (everything ties). Popularity ranks by the number of training events of an item: on data
like the paper's this alone reaches a HIT@10 of .44 to .76, so no model is judged without it. The oracle knows the
planted interests and says how much of the rest can be found at all.
"""

from __future__ import annotations

import numpy as np

from ..data.candidates import pool_items
from ..data.dataset import Dataset
from ..data.pools import item_counts
from ..data.splits import Split
from .questions import Questions, rival_mask
from .ranks import Ranks, chance_ranks, join, ranks_against, ranks_from_scores

BLOCK = 256


def training_counts(dataset: Dataset, split: Split) -> np.ndarray:
    """(I+1,) int64 training events of each item; row 0 is 0."""
    return item_counts(dataset.store, dataset.n_items, split.train_end)


def rank_by_item(dataset: Dataset, questions: Questions, score: np.ndarray) -> Ranks:
    """Ranks of a scorer that sees the item alone: `score` is (I+1,)."""
    targets = questions.targets
    if questions.item is not None:
        return ranks_from_scores(score[questions.item].astype(np.float64), targets.person, allowed=questions.allowed)
    parts, pool = [], pool_items(dataset, questions.protocol["pool"])
    for first in range(0, len(targets), BLOCK):
        part = targets.take(np.arange(first, min(first + BLOCK, len(targets))))
        rivals = np.broadcast_to(score[1:].astype(np.float64), (len(part), dataset.n_items))
        allowed = rival_mask(dataset, part, items=pool)
        parts.append(ranks_against(score[part.item], rivals, part.person, allowed=allowed))
    return join(parts)


def popularity_ranks(dataset: Dataset, split: Split, questions: Questions) -> Ranks:
    """Ranks of the popularity ranker."""
    return rank_by_item(dataset, questions, training_counts(dataset, split).astype(np.float64))


def oracle_ranks(dataset: Dataset, questions: Questions) -> Ranks | None:
    """Ranks of the scorer that knows the planted truth; None where nothing was planted."""
    if dataset.truth is None:
        return None
    targets = questions.targets
    if questions.item is not None:
        scores = dataset.truth.oracle_scores(targets.person, targets.event, questions.item)
        return ranks_from_scores(np.asarray(scores, np.float64), targets.person, allowed=questions.allowed)
    parts, pool = [], pool_items(dataset, questions.protocol["pool"])
    for first in range(0, len(targets), BLOCK):
        part = targets.take(np.arange(first, min(first + BLOCK, len(targets))))
        items = np.broadcast_to(np.arange(1, dataset.n_items + 1, dtype=np.int32), (len(part), dataset.n_items))
        scores = np.asarray(dataset.truth.oracle_scores(part.person, part.event, items), np.float64)
        own = scores[np.arange(len(part)), part.item - 1]
        parts.append(ranks_against(own, scores, part.person, allowed=rival_mask(dataset, part, items=pool)))
    return join(parts)


def baseline_ranks(dataset: Dataset, split: Split, questions: Questions) -> dict[str, Ranks | None]:
    """`chance`, `popularity` and `oracle` (None where nothing was planted) on the same questions."""
    popularity = popularity_ranks(dataset, split, questions)
    return {
        "chance": chance_ranks(popularity),
        "popularity": popularity,
        "oracle": oracle_ranks(dataset, questions),
    }
