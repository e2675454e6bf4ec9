"""HIT, NDCG, MRR and AUC with ties resolved in expectation; label AUC, GAUC and log-loss.

Evaluation. Tie rule: the positive stands with equal probability on each of the `ties + 1` places that its equals
occupy, and every metric is the mean over those places. So HIT@k = clip((k - better) / (ties + 1), 0, 1), and the others
are differences of two entries of a running sum. All are higher-is-better except log-loss.
"""

from __future__ import annotations

import numpy as np

from ..errors import EmptyDataError
from .ranks import Ranks

CUTOFFS = (1, 5, 10, 50)
METRICS = (*(f"HIT@{k}" for k in CUTOFFS), *(f"NDCG@{k}" for k in CUTOFFS), "MRR", "AUC")


def ranking_metrics(ranks: Ranks) -> dict[str, np.ndarray]:
    """Every metric of `METRICS` for every target, each (n,) float64."""
    places = ranks.ties + 1
    last = ranks.better + places  # the worst place the positive can take, counted from 1
    top = int(last.max())
    place = np.arange(1, top + 1)
    gain = np.concatenate([[0.0], np.cumsum(1 / np.log2(place + 1))])
    reciprocal = np.concatenate([[0.0], np.cumsum(1 / place)])
    values = {f"HIT@{k}": np.clip((k - ranks.better) / places, 0.0, 1.0) for k in CUTOFFS}
    for k in CUTOFFS:
        values[f"NDCG@{k}"] = (gain[np.minimum(last, k)] - gain[np.minimum(ranks.better, k)]) / places
    values["MRR"] = (reciprocal[last] - reciprocal[ranks.better]) / places
    rivals = ranks.candidates - 1
    with np.errstate(invalid="ignore"):
        values["AUC"] = np.where(rivals > 0, 1 - (ranks.better + ranks.ties / 2) / np.maximum(rivals, 1), 0.5)
    return values


def mean_metrics(ranks: Ranks) -> dict[str, float]:
    """Mean of every metric over the targets."""
    return {name: float(value.mean()) for name, value in ranking_metrics(ranks).items()}


def label_auc(score: np.ndarray, label: np.ndarray) -> float:
    """Share of (label 1, label 0) pairs in which the 1 scores higher, a tie counting one half.

    Args:
        score: (n,) higher means more likely 1.
        label: (n,) of 0 and 1.

    Raises:
        EmptyDataError: one of the labels does not occur.
    """
    positive, negative = score[label == 1], np.sort(score[label == 0])
    if not len(positive) or not len(negative):
        raise EmptyDataError(
            f"label AUC needs both labels, got {len(positive)} of 1 and {len(negative)} of 0",
            hint="use the ranking metrics on this data set",
        )
    below = np.searchsorted(negative, positive, side="left")
    below_or_equal = np.searchsorted(negative, positive, side="right")
    return float((below + below_or_equal).sum() / (2 * len(positive) * len(negative)))


def grouped_auc(score: np.ndarray, label: np.ndarray, group: np.ndarray) -> float:
    """GAUC: label AUC within each group that has both labels, weighted by the group's number of rows.

    Raises:
        EmptyDataError: no group has both labels.
    """
    order = np.argsort(group, kind="stable")
    bounds = np.flatnonzero(np.diff(group[order])) + 1
    total, weight = 0.0, 0
    for rows in np.split(order, bounds):
        if 0 < (label[rows] == 1).sum() < len(rows):
            total += len(rows) * label_auc(score[rows], label[rows])
            weight += len(rows)
    if weight == 0:
        raise EmptyDataError("no person has both labels among the held-out events", hint="read the label AUC instead")
    return total / weight


def log_loss(logit: np.ndarray, label: np.ndarray) -> float:
    """Mean binary cross-entropy of `logit` (n,) against `label` (n,) in nats; lower is better."""
    return float(np.mean(np.logaddexp(0, logit) - label * logit))
