"""Quantisers over transformed vectors: product, residual, and scalar codes, trained, encoded and decoded.

Retrieval, fourth stop. A product or residual code is a sum of centroids, so one class holds both and a look-up table of
inner products scores it. Where a sub-space has no more distinct vectors than centroids, they *are* the codebook: it
is lossless, the unused centroids are dead, and nothing raises. Residual codes are found by beam
search and their centroids refitted together by least squares, which the released code of the paper (arXiv 2407.10714,
an untrained random codebook) lacks.
"""

from __future__ import annotations

from dataclasses import dataclass

import faiss
import numpy as np

from ..errors import NonFiniteError
from ..progress import Progress, silent
from .kernels import beam_encode
from .kmeans import distinct_rows, kmeans, lloyd, means, nearest

BLOCK = 4096  # rows encoded at a time, which bounds memory
STAGE_BEAM = 5  # partial codes whose residuals each residual stage is trained on
STAGE_POINTS = 2048  # residuals per centroid that a stage's k-means reads, at most
RIDGE = 5.0  # observations that each old centroid counts for when all are refitted together


@dataclass(frozen=True)
class Additive:
    """A code that stands for a sum of centroids, one per sub-space.

    Fields:
        centroids: (S, C, n) float32; for product codes each is zero outside its own sub-space.
        live: (S,) int64, how many centroids of each sub-space exist; they come first.
        residual: codes are found by beam search; otherwise sub-spaces are independent.
        beam: partial codes kept while encoding residual codes.
    """

    centroids: np.ndarray
    live: np.ndarray
    residual: bool
    beam: int

    @property
    def code_type(self) -> type[np.unsignedinteger]:
        return np.uint8 if self.centroids.shape[1] <= 256 else np.uint16

    def encode(self, z: np.ndarray) -> np.ndarray:
        """Codes (N, S) of (N, n) vectors."""
        codes = np.zeros((len(z), len(self.centroids)), self.code_type)
        if self.residual and (self.live[1:] > 1).any():
            flat = self.centroids.reshape(-1, z.shape[1])  # (S * C, n)
            cross = np.ascontiguousarray(flat @ flat.T)
            for start in range(0, len(z), BLOCK):
                block = np.ascontiguousarray(z[start : start + BLOCK], np.float32)
                beam_encode(block @ flat.T, cross, self.live, self.beam, codes[start : start + BLOCK])
            return codes
        for s, centroids in enumerate(self.centroids):
            used = np.flatnonzero(centroids.any(0))
            codes[:, s] = nearest(z[:, used], centroids[: self.live[s], used])
        return codes

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Vectors (N, n) that codes (N, S) stand for."""
        out = np.zeros((len(codes), self.centroids.shape[2]), np.float32)
        for s, centroids in enumerate(self.centroids):
            out += centroids[codes[:, s]]
        return out


@dataclass(frozen=True)
class Scalar:
    """One byte per dimension: z = low + step * code.

    Fields:
        low: (n,) float32.
        step: (n,) float32, zero for a constant dimension.
    """

    low: np.ndarray
    step: np.ndarray

    def encode(self, z: np.ndarray) -> np.ndarray:
        """Codes (N, n) uint8 of (N, n) vectors; values outside the trained range are clipped."""
        step = np.where(self.step > 0, self.step, 1)
        return np.clip(np.rint((z - self.low) / step), 0, 255).astype(np.uint8)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Vectors (N, n) that codes stand for."""
        return self.low + self.step * codes.astype(np.float32)


def train_product(
    z: np.ndarray, subspaces: int, count: int, *, seed: int, iterations: int = 20, progress: Progress = silent
) -> Additive:
    """Product quantiser of (N, n) vectors; n must be a multiple of `subspaces`."""
    check_finite(z)
    width = z.shape[1] // subspaces
    rng = np.random.default_rng(seed)
    centroids = np.zeros((subspaces, count, z.shape[1]), np.float32)
    live = np.zeros(subspaces, np.int64)
    for s in range(subspaces):
        part = slice(s * width, (s + 1) * width)
        centroids[s, :, part], live[s] = kmeans(z[:, part], count, rng=rng, iterations=iterations)
        progress(s + 1, subspaces, "training codebooks")
    return Additive(centroids, live, residual=False, beam=1)


def train_residual(
    z: np.ndarray,
    subspaces: int,
    count: int,
    *,
    seed: int,
    beam: int | None = None,
    refits: int = 3,
    progress: Progress = silent,
) -> Additive:
    """Residual quantiser of (N, n) vectors: stage by stage, then all centroids refitted together `refits` times.

    Stages are faiss's: k-means over the residuals of several partial codes of each vector, which overfits less than
    over those of the best code alone. `beam` None means 64 partial codes when encoding for up to 16 centroids and 16
    for more, where each stage already offers plenty; refitting looks half as far, for half the time.
    """
    check_finite(z)
    z = np.ascontiguousarray(z, np.float32)
    beam = beam or (64 if count <= 16 else 16)
    few = distinct_rows(z, count)
    if few is not None:
        centroids = np.zeros((subspaces, count, z.shape[1]), np.float32)
        centroids[0, : len(few)] = few
        live = np.ones(subspaces, np.int64)
        live[0] = len(few)
        return Additive(centroids, live, residual=True, beam=beam)
    progress(0, refits + 1, "training codebooks")
    stages = faiss.ResidualQuantizer(z.shape[1], subspaces, (count - 1).bit_length())
    stages.train_type, stages.max_beam_size = faiss.ResidualQuantizer.Train_default, STAGE_BEAM
    stages.cp.seed, stages.cp.min_points_per_centroid, stages.cp.max_points_per_centroid = seed, 1, STAGE_POINTS
    stages.train(z)  # type: ignore[call-arg]
    centroids = faiss.vector_to_array(stages.codebooks).reshape(subspaces, count, z.shape[1]).copy()
    coder = Additive(centroids, np.full(subspaces, count, np.int64), residual=True, beam=max(beam // 2, 1))
    best, least = coder, np.inf
    for r in range(refits + 1):
        codes = coder.encode(z)
        error = float(((z - coder.decode(codes)) ** 2).sum())
        if error >= least:
            break
        best, least = coder, error
        progress(r + 1, refits + 1, "training codebooks")
        if r < refits:
            coder = refit(coder, z, codes)
    return Additive(best.centroids, best.live, residual=True, beam=beam)


def refit(coder: Additive, z: np.ndarray, codes: np.ndarray) -> Additive:
    """All centroids together by ridge regression for given codes; the ridge pulls towards the old centroids."""
    subspaces, count, width = coder.centroids.shape
    counts = np.empty((subspaces, count, subspaces, count))
    sums = np.empty((subspaces, count, width))
    for s in range(subspaces):
        mean, sizes = means(z, codes[:, s], count)
        sums[s] = mean * sizes[:, None]
        for t in range(s, subspaces):
            both = np.bincount(codes[:, s].astype(np.int64) * count + codes[:, t], minlength=count * count)
            counts[s, :, t] = both.reshape(count, count)
            counts[t, :, s] = counts[s, :, t].T
    flat = counts.reshape(subspaces * count, -1)
    flat[np.diag_indices_from(flat)] += RIDGE
    right = (sums + RIDGE * coder.centroids).reshape(-1, width)
    solved = np.linalg.solve(flat, right).astype(np.float32).reshape(coder.centroids.shape)
    return Additive(solved, coder.live, coder.residual, coder.beam)


def rotation(z: np.ndarray, subspaces: int, *, seed: int, iterations: int = 20) -> np.ndarray:
    """OPQ's rotation (n, n): alternates product quantisation and the nearest rotation, from balanced principal axes.

    Source: Ge, He, Ke, Sun, "Optimized Product Quantization" (2013), both its parametric start and its iterations.
    """
    values, axes = np.linalg.eigh(z.T.astype(np.float64) @ z)
    turn = axes[:, _balanced(values, subspaces)].astype(np.float32)
    rng = np.random.default_rng(seed)
    sample = z[rng.choice(len(z), min(len(z), 10_000), replace=False)]
    count = min(256, len(sample))
    width = z.shape[1] // subspaces
    centroids = [
        (sample @ turn)[rng.choice(len(sample), count, replace=False), s * width : (s + 1) * width]
        for s in range(subspaces)
    ]
    for _ in range(iterations):
        turned = sample @ turn
        coded = np.empty_like(turned)
        for s in range(subspaces):
            part = np.ascontiguousarray(turned[:, s * width : (s + 1) * width])
            centroids[s] = lloyd(part, centroids[s], 1)
            coded[:, s * width : (s + 1) * width] = centroids[s][nearest(part, centroids[s])]
        left, _, right = np.linalg.svd(sample.T.astype(np.float64) @ coded)
        turn = (left @ right).astype(np.float32)
    return turn


def _balanced(values: np.ndarray, subspaces: int) -> np.ndarray:
    """Order of principal axes that gives each of S equal parts about the same product of variances."""
    width = len(values) // subspaces
    parts: list[list[int]] = [[] for _ in range(subspaces)]
    logs = np.zeros(subspaces)
    for axis in np.argsort(-values):
        open_parts = [s for s in range(subspaces) if len(parts[s]) < width]
        s = min(open_parts, key=lambda part: (logs[part], part))
        parts[s].append(int(axis))
        logs[s] += np.log(max(values[axis], 1e-30))
    return np.array([axis for part in parts for axis in part])


def train_scalar(z: np.ndarray) -> Scalar:
    """Scalar quantiser of (N, n) vectors: each dimension's range in 256 steps."""
    check_finite(z)
    low = z.min(0).astype(np.float32)
    return Scalar(low, ((z.max(0) - low) / 255).astype(np.float32))


def check_finite(z: np.ndarray) -> None:
    """Raise `NonFiniteError` when training vectors hold NaN or infinity."""
    if not np.isfinite(z).all():
        raise NonFiniteError("vectors to quantise hold NaN or infinity", hint="the run diverged: train it again")
