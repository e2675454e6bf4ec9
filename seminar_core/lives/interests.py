"""Interests of a life: clusters of its items, how their shares change over time, and what to call them.

Diagnostics, beside `lifeline`. Items are clustered by the frozen text vectors of the data set (no run is needed), or by
their category where the data set has no text vectors.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans

from ..data.dataset import Dataset
from .lifeline import density

MOST_INTERESTS = 6
BINS = 24


def interest_clusters(
    vectors: np.ndarray, present: np.ndarray, most: int = MOST_INTERESTS, seed: int = 0
) -> np.ndarray:
    """Cluster of each item of a life by its vector (k-means on unit length); -1 for items without a vector.

    Args:
        vectors: (N, W) float32 of the life's distinct items.
        present: (N,) bool.
        most: largest number of clusters; fewer where there are fewer distinct vectors.
        seed: of k-means.

    Returns:
        (N,) int64 labels, the largest cluster is 0.
    """
    labels = np.full(len(vectors), -1, np.int64)
    known = vectors[present].astype(np.float64)
    if not len(known):
        return labels
    known /= np.maximum(np.linalg.norm(known, axis=1, keepdims=True), 1e-12)
    clusters = min(most, len(np.unique(known.round(6), axis=0)))
    found = KMeans(clusters, n_init=3, random_state=seed).fit_predict(known)
    by_size = np.argsort(-np.bincount(found, minlength=clusters), kind="stable")
    labels[present] = np.argsort(by_size)[found]
    return labels


def interests_over_time(time_s: np.ndarray, label: np.ndarray, bins: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Share of each interest among the events of each span of time.

    Args:
        time_s: (L,) int64 ascending.
        label: (L,) int64 interest of each event, -1 = unknown (left out).
        bins: number of spans.

    Returns:
        (bins,) float64 middle of each span in UTC seconds, and (interests, bins) float64 shares that sum to one in each
        span with events, zero in spans without.
    """
    count = int(label.max()) + 1 if len(label) else 0
    edges, _ = density(time_s, np.zeros(len(time_s), bool), bins)
    return (edges[:-1] + edges[1:]) / 2, shares_between(edges, time_s, label, count)


def shares_between(edges: np.ndarray, time_s: np.ndarray, label: np.ndarray, count: int) -> np.ndarray:
    """(count, bins) float64 share of each of `count` interests between (bins+1,) edges in time; one row at least."""
    counts = np.stack([np.histogram(time_s[label == c], edges)[0] for c in range(count)] or [np.zeros(len(edges) - 1)])
    return np.asarray(counts / np.maximum(counts.sum(0), 1), np.float64)


@dataclass(frozen=True)
class Interests:
    """Interests of one life.

    Fields:
        middle_s: (bins,) float64 middle of each span, UTC seconds.
        shares: (interests, bins) float64.
        names: what each interest is called.
        items: distinct items of the life.
        source: what the clusters were made from.
    """

    middle_s: np.ndarray
    shares: np.ndarray
    names: list[str]
    items: int
    source: str


def life_interests(dataset: Dataset, person_id: str, bins: int = BINS) -> Interests:
    """Cluster the items of one life and follow the clusters' shares over time."""
    from ..encoders import load_encodings

    life = dataset.store.life(dataset.person_row(person_id))
    rows, at = np.unique(life.item, return_inverse=True)
    encodings = load_encodings(dataset)
    present = np.asarray(encodings.text_items_present[rows])
    label = interest_clusters(np.asarray(encodings.text_items[rows]), present)
    middle, shares = interests_over_time(np.asarray(life.time_s), label[at], bins)
    names = [interest_name(dataset, rows[label == c]) for c in range(len(shares))] if label.max(initial=-1) >= 0 else []
    return Interests(
        middle, shares[: len(names)], distinct_names(names), len(rows), f"their text ({encodings.text_id})"
    )


def interest_name(dataset: Dataset, rows: np.ndarray) -> str:
    """The most frequent category of these items, else the two most frequent words of their titles."""
    categories = Counter(dataset.category_names[c] for c in dataset.category[rows] if c)
    if categories:
        return categories.most_common(1)[0][0]
    words = Counter(w for row in rows for w in (dataset.titles[row] or "").lower().split() if len(w) > 3)
    return " ".join(word for word, _ in words.most_common(2)) or "untitled"


def distinct_names(names: list[str]) -> list[str]:
    """Names with a number behind those that occur again."""
    seen: Counter[str] = Counter()
    out = []
    for name in names:
        seen[name] += 1
        out.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return out
