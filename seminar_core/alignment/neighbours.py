"""Nearest neighbours in the original space: the only neighbours that count as evidence.

Serves the number card (neighbour overlap, hubness), the work-list, the projection (its graph and its trustworthiness)
and a click on the map, which lists the neighbours in the original space and marks those that only the drawing shows.
Exact search (faiss, inner product of unit vectors = cosine, higher is nearer).
"""

from __future__ import annotations

from dataclasses import dataclass

import faiss
import numpy as np

from ..errors import EmptyDataError

FEWEST_ITEMS = 15


def nearest(unit_vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest other rows of every row.

    Args:
        unit_vectors: (n, D) float32 rows of length one.
        k: how many, smaller than n.

    Returns:
        rows (n, k) int64, nearest first, and cosines (n, k) float32.

    Raises:
        EmptyDataError: not more than k rows.
    """
    n = len(unit_vectors)
    if n <= k:
        raise EmptyDataError(
            f"{n} vectors cannot have {k} neighbours each", hint=f"choose at least {k + 1} items with this modality"
        )
    index = faiss.IndexFlatIP(unit_vectors.shape[1])
    matrix = np.ascontiguousarray(unit_vectors, np.float32)
    index.add(matrix)
    cosines, rows = index.search(matrix, k + 1)
    own = rows == np.arange(n)[:, None]
    own[~own.any(axis=1), k] = True  # more than k exact copies hide the row itself: leave out the last
    return rows[~own].reshape(n, k), cosines[~own].reshape(n, k)


def nearest_to(queries: np.ndarray, unit_vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k rows of `unit_vectors` (n, D) nearest to each of `queries` (m, D): rows (m, k) int64, cosines (m, k)."""
    index = faiss.IndexFlatIP(unit_vectors.shape[1])
    index.add(np.ascontiguousarray(unit_vectors, np.float32))
    cosines, rows = index.search(np.ascontiguousarray(queries, np.float32), min(k, len(unit_vectors)))
    return rows, cosines


def shared_share(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Share of common entries per row of two neighbour tables (n, k): (n,) float64 between 0 and 1."""
    n, k = first.shape
    common = np.zeros(n, np.int64)
    for column in range(k):
        common += (second == first[:, column : column + 1]).any(axis=1)
    return common / k


@dataclass(frozen=True)
class PointNeighbours:
    """What surrounds one drawn point.

    Fields:
        true: (k,) points nearest in the original space, nearest first.
        cosine: (k,) their cosines.
        drawn: (k,) points nearest on the map.
        false: (k,) bool, of `drawn`: nearby on the map only.
        missed: (k,) bool, of `true`: nearby in the original space but not on the map.
    """

    true: np.ndarray
    cosine: np.ndarray
    drawn: np.ndarray
    false: np.ndarray
    missed: np.ndarray


def point_neighbours(point: int, unit_vectors: np.ndarray, positions: np.ndarray, k: int = 10) -> PointNeighbours:
    """Compare one point's neighbours in the original space (n, D) with those on the map (n, 2)."""
    if len(unit_vectors) <= k:
        raise EmptyDataError(f"{len(unit_vectors)} points cannot have {k} neighbours each", hint="show more points")
    cosine = unit_vectors @ unit_vectors[point]
    squared = ((positions - positions[point]) ** 2).sum(axis=1)
    cosine[point], squared[point] = -np.inf, np.inf
    true = np.argpartition(-cosine, k)[:k]
    true = true[np.argsort(-cosine[true], kind="stable")]
    drawn = np.argpartition(squared, k)[:k]
    drawn = drawn[np.argsort(squared[drawn], kind="stable")]
    return PointNeighbours(true, cosine[true], drawn, ~np.isin(drawn, true), ~np.isin(true, drawn))
