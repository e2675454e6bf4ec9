"""Linear transforms between channel vectors and the space in which codebooks live.

Retrieval, third stop. An event x (all its channels concatenated) is encoded as z = (x - mean) @ encode, a folded target
u is searched as u @ search, and u . mean is added back, so that u . x = (u @ search) . z + u . mean up to the
dimensions left out. The query-aware transform ("QC") takes C = E[u u^T] over real folded targets and encodes
C^(1/2) (x - mean): squared error there is the expected squared error of the *score*, which the paper's scheme (arXiv
2407.10714) does not minimise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import ConfigError, NonFiniteError

RIDGE = 1e-4  # share of trace(C) / d on C's diagonal: C of real targets is nearly singular


@dataclass(frozen=True)
class Transform:
    """A pair of matrices and the centre.

    Fields:
        mean: (W,) float32 centre of the encoded vectors.
        encode: (W, n) float32, applied to centred vectors.
        search: (W, n) float32, applied to folded targets.
    """

    mean: np.ndarray
    encode: np.ndarray
    search: np.ndarray

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Encode vectors (N, W) as (N, n)."""
        return np.ascontiguousarray((x - self.mean) @ self.encode, np.float32)

    def restore(self, z: np.ndarray) -> np.ndarray:
        """The vectors (N, W) that score like codes (N, n): u . restored = (u @ search) . z + u . mean."""
        return z @ self.search.T + self.mean

    def then(self, encode: np.ndarray, search: np.ndarray) -> Transform:
        """This transform followed by another pair of matrices (n, n')."""
        return Transform(self.mean, _f32(self.encode @ encode), _f32(self.search @ search))


def _f32(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, np.float32)


def identity(x: np.ndarray) -> Transform:
    """Centre only."""
    eye = np.eye(x.shape[1], dtype=np.float32)
    return Transform(x.mean(0), eye, eye)


def covariance(targets: np.ndarray, *, ridge: float = RIDGE) -> np.ndarray:
    """C = E[u u^T] (W, W) float64 of folded targets (n, W), with `ridge` of its mean diagonal added.

    Raises:
        NonFiniteError: NaN or infinity among the targets.
        ConfigError: every target is zero.
    """
    if not np.isfinite(targets).all():
        raise NonFiniteError("folded training targets hold NaN or infinity", hint="check the run and the weights")
    c = targets.T.astype(np.float64) @ targets / max(len(targets), 1)
    mean_diagonal = np.trace(c) / len(c)
    if mean_diagonal == 0:
        raise ConfigError(
            "all weights are zero: the folded training targets vanish", hint="give at least one channel a weight"
        )
    return c + ridge * mean_diagonal * np.eye(len(c))


def query_aware(x: np.ndarray, c: np.ndarray, dims: int) -> Transform:
    """The transform whose squared error is the expected squared error of scores.

    Args:
        x: (N, W) float32 training vectors.
        c: (W, W) from `covariance`.
        dims: n, dimensions kept; those of largest variance after the transform.
    """
    values, axes = np.linalg.eigh(c)
    values = np.maximum(values, 1e-12 * values[-1])
    root = (axes * np.sqrt(values)) @ axes.T  # (W, W)
    inverse = (axes / np.sqrt(values)) @ axes.T  # (W, W)
    mean = x.mean(0)
    y = (x - mean) @ root
    _, directions = np.linalg.eigh(y.T @ y)
    kept = directions[:, ::-1][:, :dims]  # (W, n)
    return Transform(_f32(mean), _f32(root @ kept), _f32(inverse @ kept))


def principal(x: np.ndarray, dims: int) -> Transform:
    """Centre and keep the `dims` directions of largest variance (plain PCA, blind to the targets)."""
    return query_aware(x, np.eye(x.shape[1]), dims)
