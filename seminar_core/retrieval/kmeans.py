"""Seeded k-means, and the distinct vectors themselves where they are no more than the centroids.

Retrieval, under the quantisers. faiss's k-means refuses fewer vectors than centroids and warns on standard error below
39 a centroid; small catalogues are normal here, and lossless codes are what they should get.
"""

from __future__ import annotations

import numpy as np

BLOCK = 8192  # rows assigned at a time, which bounds memory


def distinct_rows(z: np.ndarray, limit: int) -> np.ndarray | None:
    """The distinct rows of (N, n), or None when there are more than `limit`."""
    z = np.ascontiguousarray(z + 0.0)  # adding 0.0 turns -0.0 into 0.0
    whole = np.dtype((np.void, z.dtype.itemsize * z.shape[1]))
    if len(np.unique(z[: 2 * limit + 1].view(whole))) > limit:
        return None
    rows = np.unique(z.view(whole)).view(z.dtype).reshape(-1, z.shape[1])
    return rows if len(rows) <= limit else None


def nearest(z: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Index (N,) of the nearest of (C, n) centroids, the lower one where two are equally near.

    Computed in float64, so that a vector equal to a centroid finds it.
    """
    return _assign(z, centroids.astype(np.float64))[0]


def _assign(z: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nearest centroid (N,) and squared distance up to |z|^2 (N,), in the centroids' precision."""
    norms = (centroids**2).sum(1)
    place = np.empty(len(z), np.int64)
    cost = np.empty(len(z), centroids.dtype)
    for start in range(0, len(z), BLOCK):
        block = slice(start, start + BLOCK)
        costs = norms - 2 * (z[block].astype(centroids.dtype, copy=False) @ centroids.T)
        place[block] = costs.argmin(1)
        cost[block] = costs[np.arange(len(costs)), place[block]]
    return place, cost


def means(z: np.ndarray, place: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean (C, n) of the vectors of each cluster, zero for an empty one, and the clusters' sizes (C,)."""
    sizes = np.bincount(place, minlength=count)
    order = np.argsort(place, kind="stable")
    filled = np.flatnonzero(sizes)
    starts = np.concatenate([[0], np.cumsum(sizes[filled])[:-1]])
    out = np.zeros((count, z.shape[1]), np.float32)
    out[filled] = np.add.reduceat(z[order], starts, axis=0) / sizes[filled, None]
    return out, sizes


def lloyd(z: np.ndarray, centroids: np.ndarray, iterations: int) -> np.ndarray:
    """Improve (C, n) centroids; an empty cluster restarts at one of the worst represented vectors."""
    squares = (z.astype(np.float32) ** 2).sum(1)
    for _ in range(iterations):
        place, cost = _assign(z, centroids)
        centroids, sizes = means(z, place, len(centroids))
        empty = np.flatnonzero(sizes == 0)
        if len(empty):
            centroids[empty] = z[np.argsort(-(cost + squares), kind="stable")[: len(empty)]]
    return centroids


def kmeans(z: np.ndarray, count: int, *, rng: np.random.Generator, iterations: int) -> tuple[np.ndarray, int]:
    """Cluster vectors.

    Args:
        z: (N, n) float32.
        count: C.
        rng: draws the first centroids.
        iterations: of Lloyd's algorithm.

    Returns:
        (C, n) centroids, and how many of them are live (they come first; the others are zero).
    """
    few = distinct_rows(z, count)
    if few is not None:
        centroids = np.zeros((count, z.shape[1]), np.float32)
        centroids[: len(few)] = few
        return centroids, len(few)
    z = np.ascontiguousarray(z, np.float32)
    first = z[rng.choice(len(z), count, replace=False)]
    return lloyd(z, first, iterations), count
