"""Where a target comes from: the catalogue, or the model's own first choices.

Diagnostics, before a search trace. All of them end in an item id, so a target is always a link.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from ..contracts import LifeBatch, TargetBatch
from ..data.dataset import Dataset
from ..model.psu import PSU
from ..model.ranker import Ranker
from ..model.tensors import to_tensors
from .question import Question, moment
from .study import Study
from .typed_query import query_row

CANDIDATES_AT_ONCE = 2048


def find_items(dataset: Dataset, text: str, limit: int = 50) -> tuple[list[int], int]:
    """Rows of items whose title or id contains `text` (case ignored), titles that begin with it first; and how many."""
    needle = text.strip().lower()
    found = [
        row
        for row in range(1, dataset.n_items + 1)
        if needle in (dataset.titles[row] or "").lower() or needle in dataset.item_ids[row].lower()
    ]
    found.sort(key=lambda row: not (dataset.titles[row] or "").lower().startswith(needle))
    return found[:limit], len(found)


@torch.no_grad()
def top_items(study: Study, question: Question, count: int = 20) -> list[dict[str, Any]]:
    """The model's first choices for this person at this time, over the full catalogue.

    The model reads its newest `max_length` visible events, as in training.

    Returns:
        Rows of item, logit, rank.
    """
    at = moment(study.dataset, question)
    model: PSU | Ranker = study.model
    life = study.dataset.store.life(at.person_row)
    seen = at.positions[-study.run.max_length :]
    batch = LifeBatch(
        life.item[seen][None], life.query[seen][None], life.time_s[seen][None], np.ones((1, len(seen)), bool)
    )
    query = query_row(study, question.query or "")
    items = np.arange(1, study.dataset.n_items + 1, dtype=np.int32)
    logits = np.concatenate(
        [
            _logits(model, batch, items[start : start + CANDIDATES_AT_ONCE], query, at.time_s)
            for start in range(0, len(items), CANDIDATES_AT_ONCE)
        ]
    )
    best = np.argsort(-logits, kind="stable")[:count]
    return [
        {"item": study.dataset.item_ids[int(items[i])], "logit": float(logits[i]), "rank": n + 1}
        for n, i in enumerate(best)
    ]


def _logits(model: PSU | Ranker, life: LifeBatch, items: np.ndarray, query: int, time_s: int) -> np.ndarray:
    """(n,) logits of candidate items for one life."""
    true = np.ones((1, 1), bool)
    targets = TargetBatch(
        items[None, None],
        np.full((1, 1, len(items)), query, np.int32),
        np.array([[time_s]], np.int64),
        np.array([[life.item.shape[1]]], np.int32),
        true,
        true.astype(np.int8),
    )
    tensors = to_tensors(life, targets)
    with _prepared(model):
        logits = model.rank(*tensors)
    return logits[0, 0].float().numpy()


@contextmanager
def _prepared(model: PSU | Ranker) -> Iterator[None]:
    """Fuse every item once where the model offers it."""
    if isinstance(model, Ranker):
        with model.prepared():
            yield
    else:
        yield
