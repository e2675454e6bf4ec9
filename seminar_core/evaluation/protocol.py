"""Asking a model: score every candidate of every question, in batches of similar life length, and rank.

Evaluation. `rank_model` knows a model only as a function from a batch of lives and targets to scores, so the trained
models, their approximations and the naive oracles of the tests are measured by the same lines. The person's side is
computed once for all candidates of a target; the full catalogue is scored in chunks of a bounded size.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..contracts import LifeBatch, TargetBatch
from ..data.batches import evaluation_batches
from ..data.candidates import pool_items
from ..data.dataset import Dataset
from ..data.splits import Split, Targets, targets_at
from ..errors import EmptyDataError
from ..progress import Progress, silent
from .intervals import intervals
from .metrics import METRICS, grouped_auc, label_auc, log_loss, mean_metrics, ranking_metrics
from .questions import Questions, rival_mask
from .ranks import Ranks, ranks_against, ranks_from_scores

ScoreFunction = Callable[[LifeBatch, TargetBatch], np.ndarray]
"""Scores (B, P, N), higher is better, of the candidates of each target."""

CELLS = 1 << 22  # candidates x events scored at once: keeps a batch's score rows within about 64 MB
CHUNK = 2048
MOST_TARGETS = 256


@dataclass(frozen=True)
class Measured:
    """The ranks of one model and how long ranking took.

    Fields:
        ranks: one row per question, in the questions' order.
        seconds: wall time of scoring and ranking.
    """

    ranks: Ranks
    seconds: float

    @property
    def people_per_s(self) -> float:
        return len(self.ranks) / max(self.seconds, 1e-9)

    def __repr__(self) -> str:
        return f"Measured(n={len(self.ranks)}, people_per_s={self.people_per_s:.0f})"


def batch_size(max_length: int, candidates: int, longest: int) -> int:
    """Targets scored at once, so that targets x candidates x events stays below `CELLS`."""
    return int(np.clip(CELLS // max(1, min(max_length, longest) * candidates), 1, MOST_TARGETS))


def rank_model(
    score: ScoreFunction,
    dataset: Dataset,
    questions: Questions,
    *,
    max_length: int,
    progress: Progress = silent,
) -> Measured:
    """Rank the positive of every question by `score`."""
    begin = time.monotonic()
    rank = _rank_catalogue if questions.item is None else _rank_candidates
    ranks = rank(score, dataset, questions, max_length, progress)
    return Measured(ranks, time.monotonic() - begin)


def _rank_candidates(
    score: ScoreFunction, dataset: Dataset, questions: Questions, max_length: int, progress: Progress
) -> Ranks:
    assert questions.item is not None
    scores = np.empty(questions.item.shape, np.float64)
    size = batch_size(max_length, questions.item.shape[1], int(dataset.store.lengths.max()))
    batches = evaluation_batches(
        dataset.store,
        questions.targets,
        questions.item,
        questions.query,
        max_length=max_length,
        batch_size=size,
    )
    done = 0
    for rows, lives, targets in batches:
        scores[rows] = score(lives, targets)[:, 0]
        done += len(rows)
        progress(done, len(questions), "evaluating")
    return ranks_from_scores(scores, questions.targets.person, allowed=questions.allowed)


def _rank_catalogue(
    score: ScoreFunction, dataset: Dataset, questions: Questions, max_length: int, progress: Progress
) -> Ranks:
    size = batch_size(max_length, min(CHUNK, dataset.n_items), int(dataset.store.lengths.max()))
    n = len(questions)
    better, ties, candidates = (np.empty(n, np.int64) for _ in range(3))
    pool = pool_items(dataset, questions.protocol["pool"])
    for first in range(0, n, size):
        rows = np.arange(first, min(first + size, n))
        targets = questions.targets.take(rows)
        scores = np.empty((len(rows), dataset.n_items), np.float64)
        for start in range(1, dataset.n_items + 1, CHUNK):
            items = np.arange(start, min(start + CHUNK, dataset.n_items + 1), dtype=np.int32)
            item = np.broadcast_to(items, (len(rows), len(items)))
            query = np.broadcast_to(questions.query[rows], item.shape)
            for index, lives, batch in evaluation_batches(
                dataset.store, targets, item, query, max_length=max_length, batch_size=len(rows)
            ):
                scores[index, start - 1 : start - 1 + len(items)] = score(lives, batch)[:, 0]
        own = scores[np.arange(len(rows)), targets.item - 1]
        ranked = ranks_against(own, scores, targets.person, allowed=rival_mask(dataset, targets, items=pool))
        better[rows], ties[rows], candidates[rows] = ranked.better, ranked.ties, ranked.candidates
        progress(int(rows[-1]) + 1, n, "evaluating")
    return Ranks(better, ties, candidates, questions.targets.person)


def summary(ranks: Ranks, *, seed: int = 0) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Means of all metrics and their intervals over people."""
    values = ranking_metrics(ranks)
    low, high = intervals(np.stack([values[m] for m in METRICS], axis=1), ranks.person, seed=seed, shares=True)
    bounds = {m: (float(a), float(b)) for m, a, b in zip(METRICS, low, high, strict=True)}
    return mean_metrics(ranks), bounds


LENGTH_EDGES = (0, 50, 200, 1000, 10_000)
MET_EDGES = {"a day": 1.0, "a week": 7.0, "30 days": 30.0, "180 days": 180.0}
DAY_S = 86_400.0


def days_since_interest(dataset: Dataset, targets: Targets) -> np.ndarray:
    """(n,) days from the last earlier event in the target's category to the target; infinite where there is none.

    Targets without a category have NaN.
    """
    store, category = dataset.store, np.asarray(dataset.category)
    days = np.full(len(targets), np.nan)
    for row, wanted in enumerate(category[targets.item].tolist()):
        if not wanted:
            continue
        begin = int(store.offsets[targets.person[row]])
        end = begin + int(targets.event[row])
        earlier = np.asarray(store.time_s[begin:end])
        same = (category[np.asarray(store.item[begin:end])] == wanted) & (earlier < targets.time_s[row])
        last = earlier[same].max() if same.any() else -np.inf
        days[row] = (targets.time_s[row] - last) / DAY_S
    return days


def slice_masks(
    dataset: Dataset, questions: Questions, *, trained: np.ndarray, present: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Named parts of the questions, each (n,) bool.

    By life length, by how long ago the target's category was last met, cold or warm target, searched or browsed, and
    presence of a modality.

    Args:
        trained: (I+1,) training events of each item; zero is cold.
        present: channel name -> (I+1,) bool.
    """
    targets = questions.targets
    masks: dict[str, np.ndarray] = {}
    edges = [*LENGTH_EDGES, None]
    for low, high in zip(edges, edges[1:], strict=False):
        name = f"length {low}+" if high is None else f"length {low}-{high - 1}"
        masks[name] = (targets.event >= low) & (targets.event < (np.inf if high is None else high))
    days, newest = days_since_interest(dataset, targets), -1.0
    for name, oldest in MET_EDGES.items():
        masks[f"interest met within {name}"] = (days > newest) & (days <= oldest)
        newest = oldest
    masks["interest met longer ago"] = (days > newest) & np.isfinite(days)
    masks["interest never met"] = np.isinf(days)
    masks["cold target"] = trained[targets.item] == 0
    masks["warm target"] = trained[targets.item] > 0
    masks["searched target"] = targets.query > 0
    masks["browsed target"] = targets.query == 0
    for channel, there in present.items():
        masks[f"with {channel}"] = there[targets.item]
        masks[f"without {channel}"] = ~there[targets.item]
    return {name: mask for name, mask in masks.items() if mask.any()}


def slice_rows(ranks: Ranks, masks: dict[str, np.ndarray], *, seed: int = 0) -> list[dict[str, Any]]:
    """One row per slice: name, n, metrics and interval."""
    rows = []
    for name, mask in masks.items():
        metrics, bounds = summary(ranks.take(mask), seed=seed)
        rows.append({"slice": name, "n": int(mask.sum()), "metrics": metrics, "interval": bounds})
    return rows


def labelled_targets(dataset: Dataset, split: Split) -> Targets:
    """Held-out events with label 0 or 1, at or behind each person's `train_end`.

    Raises:
        EmptyDataError: the two labels do not both occur there.
    """
    store = dataset.store
    lengths = np.diff(np.asarray(store.offsets))
    person = np.repeat(np.arange(store.n_people), lengths)
    position = np.arange(store.n_events) - np.repeat(np.asarray(store.offsets)[:-1], lengths)
    label = np.asarray(store.label)
    held = np.flatnonzero((position >= split.train_end[person]) & (label >= 0) & (position > 0))
    counts = [int((label[held] == value).sum()) for value in (0, 1)]
    if not all(counts):
        raise EmptyDataError(
            f"the held-out events have {counts[1]} labels of 1 and {counts[0]} of 0, both are needed",
            hint="read the ranking metrics instead",
        )
    return targets_at(store, person[held], position[held])


def label_metrics(score: ScoreFunction, dataset: Dataset, split: Split, *, max_length: int) -> dict[str, float]:
    """`label_AUC`, `GAUC` and `log_loss` of the held-out events that carry a label, and their number `n`.

    Raises:
        EmptyDataError: the two labels do not both occur.
    """
    targets = labelled_targets(dataset, split)
    logit = np.empty(len(targets), np.float64)
    size = batch_size(max_length, 1, int(dataset.store.lengths.max()))
    for rows, lives, batch in evaluation_batches(
        dataset.store,
        targets,
        targets.item[:, None],
        np.zeros((len(targets), 1), np.int32),
        max_length=max_length,
        batch_size=size,
    ):
        logit[rows] = score(lives, batch)[:, 0, 0]
    measured = {
        "label_AUC": label_auc(logit, targets.label),
        "log_loss": log_loss(logit, targets.label),
        "n": float(len(targets)),
    }
    with suppress(EmptyDataError):  # no person has both labels
        measured["GAUC"] = grouped_auc(logit, targets.label, targets.person)
    return measured
