"""What is told on a map in figures of the original space: distances of the modalities' centroids, worst aligned items.

Diagnostics, beside a map: positions on it cannot be measured, the vectors behind it can.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from ..contracts import CHANNELS
from .projection import Layout


def centroid_gaps(layout: Layout) -> list[dict[str, dict[str, float | int]]]:
    """Distance between the mean unit vectors of each two channels, of the items on the map that have both.

    Returns:
        One dictionary per stage: pair of letters such as "TI" -> {gap, n}; pairs that no item has are left out. 0 = the
        means coincide, lower is nearer. The number card's `centroid_gap` is the same figure of another set of items.
    """
    points = layout.points
    found = []
    for stage in range(len(points.stages)):
        of = {
            name: np.flatnonzero((points.stage == stage) & (points.channel == CHANNELS.index(name)))
            for name in CHANNELS
        }
        gaps: dict[str, dict[str, float | int]] = {}
        for a, b in combinations(CHANNELS, 2):
            _, first, second = np.intersect1d(points.item[of[a]], points.item[of[b]], return_indices=True)
            if len(first):
                x, y = points.vectors[of[a][first]], points.vectors[of[b][second]]
                gap = np.linalg.norm((x - y).mean(axis=0, dtype=np.float64))
                gaps[a + b] = {"gap": float(gap), "n": len(first)}
        found.append(gaps)
    return found


def shortfall(cosines: np.ndarray) -> np.ndarray:
    """How far the pairs of each item lie below what is usual for them; higher is worse aligned.

    Args:
        cosines: (n, pairs) cosine of each item's pairs of modalities, NaN where one is absent.

    Returns:
        (n,) mean over an item's pairs of (mean cosine of that pair - its own); NaN for an item without a pair. Each
        pair has its own mean, or items that lack a modality would be ranked by which pairs they have.
    """
    known = np.isfinite(cosines)
    filled = np.where(known, cosines, 0.0).astype(np.float64)
    usual = filled.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    below = np.where(known, usual - filled, 0.0).sum(axis=1)
    return np.where(known.any(axis=1), below / np.maximum(known.sum(axis=1), 1), np.nan)


def worst_aligned(cosines: np.ndarray, most: int) -> np.ndarray:
    """Positions (m,) of the at most `most` items with the largest `shortfall`, worst first."""
    short = shortfall(cosines)
    order = np.argsort(-short, kind="stable")  # NaN sorts last
    return order[: min(most, int(np.isfinite(short).sum()))].astype(np.int32)
