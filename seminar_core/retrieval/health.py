"""The health of codebooks: how evenly centroids are used, which are dead, where the error lies, what shares a code.

Retrieval, read by the diagnostics and the app. Everything is counted over the codes that the run's catalogue got.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..contracts import CHANNELS, ChannelVectors
from .codebooks import Codebooks
from .events import pair_vectors
from .parts import PART_CHANNELS
from .quantisers import Additive, Scalar

MEASURED_ROWS = 5_000


@dataclass(frozen=True)
class Health:
    """One part's health.

    Fields:
        part: item, query or pair.
        coded: how many distinct things were coded.
        usage: (S, C) how often each centroid is used; empty for scalar codes.
        dead: centroids that nothing uses.
        perplexity: (S,) exp of the entropy of the usage: how many centroids are used as if evenly.
        distortion_by_subspace: (S,) squared error left over the whole variance; for a product code of that sub-space
            alone, for a residual code after that stage (it falls from stage to stage).
        distortion_by_channel: squared error of each channel over its variance, by name.
        sharing: groups of rows with equal codes, largest first: item rows, query rows, or indices of pairs.
    """

    part: str
    coded: int
    usage: np.ndarray
    dead: int
    perplexity: np.ndarray
    distortion_by_subspace: np.ndarray
    distortion_by_channel: dict[str, float]
    sharing: list[np.ndarray]

    @property
    def shared(self) -> int:
        """How many coded things do not have a code of their own."""
        return sum(len(group) for group in self.sharing)


def health(codebooks: Codebooks, vectors: ChannelVectors, *, groups: int = 50) -> dict[str, Health]:
    """Health of every part.

    Args:
        codebooks: of the run.
        vectors: the run's vectors.
        groups: at most this many groups of equal codes per part.

    Raises:
        StaleError: the codebooks were made from other vectors.
    """
    codebooks.check(vectors)
    return {name: _part_health(codebooks, vectors, name, groups) for name in codebooks.parts}


def _rows_and_vectors(codebooks: Codebooks, vectors: ChannelVectors, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows that were coded for a part (present ones) and their channel vectors (n, W)."""
    if name == "item":
        rows = np.flatnonzero(vectors.item_present.any(1))
        return rows, vectors.item[rows].reshape(len(rows), -1)
    if name == "query":
        rows = np.flatnonzero(vectors.query_present)
        return rows, vectors.query[rows]
    keys = codebooks.pair_key
    return np.arange(len(keys)), pair_vectors(vectors, keys >> 32, keys & 0xFFFFFFFF)


def _part_health(codebooks: Codebooks, vectors: ChannelVectors, name: str, groups: int) -> Health:
    part = codebooks.parts[name]
    rows, x = _rows_and_vectors(codebooks, vectors, name)
    codes = codebooks.codes[name][rows]
    usage = np.zeros((0, 0), np.int64)
    if isinstance(part.coder, Additive):
        count = part.coder.centroids.shape[1]
        usage = np.stack([np.bincount(column, minlength=count) for column in codes.T])
    measured = np.linspace(0, len(rows) - 1, min(len(rows), MEASURED_ROWS)).astype(int)
    names = CHANNELS[PART_CHANNELS[name]]
    error = (x[measured] - part.decode(codes[measured])).reshape(len(measured), len(names), -1)
    centred = (x[measured] - x[measured].mean(0)).reshape(error.shape)
    by_channel = _ratio((error**2).sum((0, 2)), (centred**2).sum((0, 2)))
    return Health(
        part=name,
        coded=len(rows),
        usage=usage,
        dead=int((usage == 0).sum()),
        perplexity=_perplexity(usage),
        distortion_by_subspace=_by_subspace(part.coder, part.transform.apply(x[measured]), codes[measured]),
        distortion_by_channel=dict(zip(names, by_channel.tolist(), strict=True)),
        sharing=[rows[group] for group in same_code(codes, groups)],
    )


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(part, np.float64), where=whole > 0)


def _perplexity(usage: np.ndarray) -> np.ndarray:
    share = usage / np.maximum(usage.sum(1, keepdims=True), 1) if usage.size else usage.astype(np.float64)
    return np.exp(-(share * np.log(np.where(share > 0, share, 1))).sum(1))


def _by_subspace(coder: Additive | Scalar, z: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """See `Health.distortion_by_subspace`; one number per dimension for scalar codes."""
    if isinstance(coder, Scalar):
        return _ratio(((z - coder.decode(codes)) ** 2).sum(0), ((z - z.mean(0)) ** 2).sum(0))
    whole = (z - z.mean(0)) ** 2
    out = np.zeros(len(coder.centroids))
    left = z.copy()
    for s, centroids in enumerate(coder.centroids):
        left -= centroids[codes[:, s]]
        own = slice(None) if coder.residual else np.flatnonzero(centroids.any(0))
        variance = whole[:, own].sum()
        out[s] = (left[:, own] ** 2).sum() / variance if variance else 0.0
    return out


def same_code(codes: np.ndarray, limit: int) -> list[np.ndarray]:
    """Indices (n,) that share a code with others, group by group, largest group first, at most `limit` groups."""
    if not len(codes):
        return []
    whole = np.ascontiguousarray(codes).view(np.dtype((np.void, codes.dtype.itemsize * codes.shape[1]))).ravel()
    _, inverse, sizes = np.unique(whole, return_inverse=True, return_counts=True)
    order = np.argsort(inverse, kind="stable")
    ends = np.cumsum(sizes)
    largest = np.argsort(-sizes, kind="stable")[:limit]
    return [order[ends[g] - sizes[g] : ends[g]] for g in largest if sizes[g] > 1]
