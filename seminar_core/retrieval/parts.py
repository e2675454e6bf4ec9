"""One trained part of a set of codebooks: a transform, a coder, and what a score is made of.

Retrieval, fifth stop. There are three parts: `item` codes the item channels (A, T, I) of a catalogue item, `query` the
query channel, `pair` the concatenation of all channels of a distinct (item, query) pair. Each turns a folded target
into look-up tables and a constant: score = u . mean + sum of table entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..contracts import CHANNELS
from ..progress import Progress, silent
from .exact import span, within_span
from .kernels import byte_products, fold_tables, lookup_sums
from .quantisers import Additive, Scalar, rotation, train_product, train_residual, train_scalar
from .spec import Spec
from .transform import Transform, covariance, identity, query_aware

PART_CHANNELS = {"item": slice(1, 4), "query": slice(0, 1), "pair": slice(0, 4)}
FEW_TARGETS = 4  # up to here products in one compiled call beat a batched product


@dataclass(frozen=True)
class Part:
    """Codebooks of one group of channels.

    Fields:
        name: item, query or pair.
        transform: from channel vectors (W numbers) to the coded space (n numbers).
        coder: `Additive` or `Scalar`.
        basis: (W, r) span of the fixed-weight targets, only for `fused`.
    """

    name: str
    transform: Transform
    coder: Additive | Scalar
    basis: np.ndarray | None

    def encode(self, x: np.ndarray) -> np.ndarray:
        """Codes of (N, W) channel vectors: (N, S), or (N, n) bytes for scalar codes."""
        return self.coder.encode(self.transform.apply(x))

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Channel vectors (N, W) that score exactly like the codes."""
        return self.transform.restore(self.coder.decode(codes))

    def own(self, rows: np.ndarray) -> np.ndarray:
        """This part's share (R, W) of stacked targets (R, M, D)."""
        return rows[:, PART_CHANNELS[self.name]].reshape(len(rows), -1)

    def tables(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Look-up tables and constants of stacked targets (R, M, D).

        Returns:
            (R, S, C) tables (or (R, n) byte weights for scalar codes), and constants (R,), all float32.
        """
        u = np.ascontiguousarray(self.own(rows), np.float32)
        if self.basis is not None:
            within_span(u, self.basis)
        if isinstance(self.coder, Scalar):
            searched = u @ self.transform.search
            return searched * self.coder.step, u @ self.transform.mean + searched @ self.coder.low
        subspaces, count = self.coder.centroids.shape[:2]
        if self._own_dimensions is not None:  # product codes: each sub-space reads its own dimensions
            searched = (u @ self.transform.search)[:, self._own_dimensions]  # (R, S, n / S)
            return np.matmul(self._tables, searched[..., None])[..., 0], u @ self.transform.mean  # (R, S, C)
        tables = np.empty((len(u), subspaces, count), np.float32)
        constants = np.empty(len(u), np.float32)
        if len(u) <= FEW_TARGETS:
            flat = tables.reshape(len(u), -1)
            fold_tables(u, self.transform.search, self.transform.mean, self._tables, flat, constants)
        else:
            np.matmul(u @ self.transform.search, self._tables, out=tables.reshape(len(u), -1))
            np.matmul(u, self.transform.mean, out=constants)
        return tables, constants

    @cached_property
    def _own_dimensions(self) -> np.ndarray | None:
        """(S, n / S) dimensions of each sub-space of a product code; None for other codes."""
        if isinstance(self.coder, Scalar) or self.coder.residual:
            return None
        subspaces = len(self.coder.centroids)
        return np.arange(self.coder.centroids.shape[2]).reshape(subspaces, -1)

    @cached_property
    def _tables(self) -> np.ndarray:
        """Centroids laid out for `tables`: (S, C, n / S) for product codes, else (n, S * C)."""
        centroids = self.coder.centroids  # type: ignore[union-attr]
        if self._own_dimensions is not None:
            return np.stack([c[:, own] for c, own in zip(centroids, self._own_dimensions, strict=True)])
        return np.ascontiguousarray(centroids.reshape(-1, centroids.shape[2]).T)

    def columns(self, codes: np.ndarray) -> np.ndarray:
        """Codes laid out for `scan`."""
        return np.ascontiguousarray(codes if isinstance(self.coder, Scalar) else codes.T)

    def scan(self, columns: np.ndarray, tables: np.ndarray, constants: np.ndarray) -> np.ndarray:
        """Approximate scores (R, n) of coded events for targets turned into tables."""
        scalar = isinstance(self.coder, Scalar)
        out = np.empty((len(tables), columns.shape[0 if scalar else 1]), np.float32)
        (byte_products if scalar else lookup_sums)(columns, np.ascontiguousarray(tables, np.float32), out)
        return out + constants[:, None].astype(np.float32)


def train_part(
    name: str, spec: Spec, x: np.ndarray, targets: np.ndarray, *, seed: int, progress: Progress = silent
) -> Part:
    """Train one part.

    Args:
        name: item, query or pair.
        spec: what to train.
        x: (N, W) float32 channel vectors of that part, absent channels zero.
        targets: (n, M, D) stacked folded targets.
        seed: decides k-means and nothing else.
    """
    channels = PART_CHANNELS[name]
    u = targets[:, channels].reshape(len(targets), -1)
    if not u.any():  # these channels weigh nothing in any target: code them plainly
        u = np.eye(u.shape[1], dtype=np.float32)
    basis = span(u, targets.shape[2]) if spec.fused else None
    transform = identity(x)
    if basis is not None:
        transform = transform.then(basis, basis)
    if spec.dims:
        z = transform.apply(x)
        aware = query_aware(z, covariance(u @ transform.search), min(spec.dims, z.shape[1]))
        transform = transform.then(aware.encode, aware.search)
    if spec.kind == "SymPQ":
        return Part(name, transform, _train_symmetric(transform.apply(x), spec, channels, seed, progress), basis)
    z = transform.apply(x)
    if spec.kind == "PQ":
        width = -(-z.shape[1] // spec.subspaces) * spec.subspaces
        pad = np.eye(z.shape[1], width, dtype=np.float32)
        transform = transform.then(pad, pad)
        if spec.opq:
            turn = rotation(transform.apply(x), spec.subspaces, seed=seed)
            transform = transform.then(turn, turn)
        z = transform.apply(x)
    coder: Additive | Scalar
    if spec.kind == "SQ":
        coder = train_scalar(z)
    elif spec.kind == "RQ":
        coder = train_residual(z, spec.subspaces, spec.centroids, seed=seed, progress=progress)
    else:
        coder = train_product(z, spec.subspaces, spec.centroids, seed=seed, progress=progress)
    return Part(name, transform, coder, basis)


def _train_symmetric(z: np.ndarray, spec: Spec, channels: slice, seed: int, progress: Progress) -> Additive:
    """The paper's codebooks: each channel quantised by itself with its share of the sub-spaces."""
    return train_product(
        z,
        spec.subspaces // len(CHANNELS) * (channels.stop - channels.start),
        spec.centroids,
        seed=seed,
        progress=progress,
    )
