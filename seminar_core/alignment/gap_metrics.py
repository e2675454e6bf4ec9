"""The alignment metrics, each a pure function of arrays that also returns what one item contributes.

Measured in the original space, never on a map. Contributions per item make the bootstrap one product of a resampling
matrix with the contributions instead of a recomputation. Sources: modality gap, Liang et al. 2022 (arXiv 2203.02053);
alignment and uniformity, Wang and Isola 2020 (arXiv 2005.10242); linear CKA, Kornblith et al. 2019 (arXiv 1905.00414);
mutual k-NN, Huh et al. 2024 (arXiv 2405.07987); effective rank, RankMe, Garrido et al. 2023 (arXiv 2210.02885);
hubness, Radovanovic et al. 2010. Ties in a ranking are resolved in expectation, as if in random order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy.special import gammaln, ive
from sklearn.linear_model import LogisticRegression

NEIGHBOURS = 10
TIE = 1e-6  # cosines nearer than this are one rank: the rounding of a float32 product
BLOCK = 1024


@njit(cache=True, nogil=True)
def _count_block(scores, own, first_row, better_in_row, tied_in_row, better_in_column, tied_in_column):
    """Count, for each row and each column of a block of scores, entries above and equal to the own pair's score."""
    for i in range(scores.shape[0]):
        mine = own[first_row + i]
        better = 0
        tied = 0
        for j in range(scores.shape[1]):
            value = scores[i, j]
            better += value > mine + TIE
            tied += abs(value - mine) <= TIE
            better_in_column[j] += value > own[j] + TIE
            tied_in_column[j] += abs(value - own[j]) <= TIE
        better_in_row[first_row + i] = better
        tied_in_row[first_row + i] = tied - 1


@dataclass(frozen=True)
class Ranks:
    """Where each item's own partner stands: (n,) how many others score better and how many score the same."""

    better: np.ndarray
    ties: np.ndarray

    def recall(self, k: int) -> np.ndarray:
        """(n,) probability that the partner is among the first k, ties in random order."""
        return np.clip((k - self.better) / (self.ties + 1), 0, 1)

    def reciprocal(self) -> np.ndarray:
        """(n,) expected 1 / rank over a random order of the ties."""
        harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, len(self.better) + 1))])
        return (harmonic[self.better + self.ties + 1] - harmonic[self.better]) / (self.ties + 1)


def paired_ranks(first: np.ndarray, second: np.ndarray) -> tuple[Ranks, Ranks]:
    """Rank of the true partner when `first` searches in `second`, and the other way round.

    Args:
        first, second: (n, D) float32 unit vectors; row i of both is one item.
    """
    n = len(first)
    own = np.einsum("nd,nd->n", first, second).astype(np.float32)
    better, tied, back_better, back_tied = (np.zeros(n, np.int64) for _ in range(4))
    for start in range(0, n, BLOCK):
        scores = first[start : start + BLOCK] @ second.T
        here = np.arange(start, start + len(scores))
        scores[here - start, here] = own[here]
        _count_block(scores, own, start, better, tied, back_better, back_tied)
    return Ranks(better, tied), Ranks(back_better, back_tied - 1)


@dataclass(frozen=True)
class Cka:
    """Linear CKA and the per-item contributions (n,) to its three second moments, each with that moment as its mean."""

    value: float
    cross: np.ndarray
    first: np.ndarray
    second: np.ndarray

    def resampled(self, mean_of: np.ndarray) -> np.ndarray:
        """First-order bootstrap values: `mean_of` (R, n) holds rows of resampling weights that sum to one."""
        moments = [2 * mean_of @ part - part.mean() for part in (self.cross, self.first, self.second)]
        scale = np.sqrt(np.maximum(moments[1], 1e-30) * np.maximum(moments[2], 1e-30))
        return np.clip(moments[0] / scale, 0, 1)


def linear_cka(first: np.ndarray, second: np.ndarray) -> Cka | None:
    """Linear CKA from feature covariances; the widths of (n, D1) and (n, D2) may differ.

    Returns:
        None where one side does not vary at all: CKA is 0 / 0 there.
    """
    x, y = first - first.mean(axis=0, dtype=np.float64), second - second.mean(axis=0, dtype=np.float64)
    n = len(x)
    cross = ((x @ (x.T @ y / n)) * y).sum(axis=1)
    own_x = ((x @ (x.T @ x / n)) * x).sum(axis=1)
    own_y = ((y @ (y.T @ y / n)) * y).sum(axis=1)
    scale = np.sqrt(own_x.mean() * own_y.mean())
    if scale < 1e-12:
        return None
    return Cka(float(cross.mean() / scale), cross, own_x, own_y)


def effective_rank(singular_squared: np.ndarray) -> np.ndarray:
    """RankMe: exp of the entropy of the normalised singular values; (..., D) squared singular values -> (...)."""
    singular = np.sqrt(np.maximum(singular_squared, 0))
    share = singular / np.maximum(singular.sum(axis=-1, keepdims=True), 1e-30)
    return np.exp(-(share * np.log(share + 1e-12)).sum(axis=-1))


def principal_energy(vectors: np.ndarray) -> np.ndarray:
    """(n, D) squared coordinates of each item on the principal axes; their column sums are squared singular values."""
    matrix = vectors.astype(np.float64)
    _, axes = np.linalg.eigh(matrix.T @ matrix)
    return (matrix @ axes) ** 2


def uniformity_parts(unit_vectors: np.ndarray) -> np.ndarray:
    """(n,) mean over the other items of exp(-2 |x - y|^2); uniformity is the log of their mean, lower is more even."""
    n = len(unit_vectors)
    squared = np.maximum(2 - 2 * (unit_vectors @ unit_vectors.T), 0)
    return (np.exp(-2 * squared).sum(axis=1) - 1) / (n - 1)


def uniformity_of_sphere(width: int) -> float:
    """Uniformity of points spread evenly over the unit sphere in `width` dimensions: the value nothing can beat."""
    if width == 1:
        return float(np.log((1 + np.exp(-8)) / 2))
    order = width / 2 - 1
    return float(-4 + gammaln(width / 2) - order * np.log(2.0) + np.log(ive(order, 4.0)) + 4.0)


def skewness(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Skewness of `values` (n,) under each row of `weights` (R, n) that sums to one; 0 where they do not vary."""
    mean = weights @ values
    second = weights @ values**2 - mean**2
    third = weights @ values**3 - 3 * mean * (weights @ values**2) + 2 * mean**3
    safe = np.where(second > 1e-12, second, 1)
    return np.where(second > 1e-12, third / safe**1.5, 0.0)


def classifier_hits(vectors: Sequence[np.ndarray], groups: np.ndarray, folds: int = 3) -> np.ndarray:
    """Can a linear classifier tell the modalities apart? Cross-validated, the same item never on both sides.

    Args:
        vectors: one (m, D) matrix of unit vectors per modality, the same m items in each.
        groups: (m,) fold of each item, 0 .. folds - 1.

    Returns:
        (m,) share of the item's modalities that were recognised; the mean is the accuracy.
    """
    hits = np.zeros(len(groups))
    for fold in range(folds):
        train, test = groups != fold, groups == fold
        model = LogisticRegression(C=10.0, max_iter=300)
        model.fit(
            np.concatenate([matrix[train] for matrix in vectors]), np.repeat(np.arange(len(vectors)), train.sum())
        )
        for label, matrix in enumerate(vectors):
            hits[test] += model.predict(matrix[test]) == label
    return hits / len(vectors)
