"""Exact search done as fast as this machine can, one vector per event: what approximate search has to beat.

Retrieval, for the benchmark. Pre-multiplied search holds one fused fp32 vector per event (fixed weights), free search
all channels. Three ways are tried, a BLAS product with a partition, faiss's flat index, and torch, and the fastest
counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import faiss
import numpy as np
import torch

from benchmarks.retrieval_ground import Asked, Ground
from seminar_core.retrieval.exact import top_k

WAYS = ("blas", "faiss", "torch")
READ_BYTES = 256 * 1024 * 1024


class Dense:
    """One life with a vector per event, fused and free."""

    def __init__(self, ground: Ground, life: np.ndarray, basis: np.ndarray):
        x = ground.x.reshape(len(ground.x), -1)
        self.basis = basis
        self.tables = {"fixed": np.ascontiguousarray((x @ basis)[life]), "free": np.ascontiguousarray(x[life])}
        self.flat = {}
        for kind, table in self.tables.items():
            self.flat[kind] = faiss.IndexFlatIP(table.shape[1])
            self.flat[kind].add(table)  # type: ignore[call-arg]

    def calls(self, asked: Asked, keep: int) -> dict[str, Callable[[], object]]:
        """One target, searched each way: `fixed blas`, `free torch`, ..."""
        return {
            f"{kind} {way}": self._way(way, kind, asked.folded(0, kind)[0].u.reshape(1, -1), keep)
            for kind in self.tables
            for way in WAYS
        }

    def batch_calls(self, asked: Asked, keep: int) -> dict[str, Callable[[], object]]:
        """All of a person's targets in one product, each way."""
        stacked = {kind: np.concatenate([t.u.reshape(1, -1) for t in asked.folded(0, kind)]) for kind in self.tables}
        return {f"{kind} {way}": self._way(way, kind, stacked[kind], keep) for kind in self.tables for way in WAYS}

    def _way(self, way: str, kind: str, u: np.ndarray, keep: int) -> Callable[[], object]:
        u = np.ascontiguousarray(u @ self.basis if kind == "fixed" else u, np.float32)
        table, flat = self.tables[kind], self.flat[kind]
        if way == "blas":
            return lambda: top_k(u @ table.T, keep)
        if way == "faiss":
            return lambda: flat.search(u, keep)
        wide, target = torch.from_numpy(table), torch.from_numpy(u)
        return lambda: torch.topk(target @ wide.T, keep, dim=1)

    @staticmethod
    def best(timed: dict[str, float], kind: str) -> float:
        """The fastest way's microseconds."""
        return min(timed[f"{kind} {way}"] for way in WAYS)


def bandwidth(size: int = READ_BYTES) -> float:
    """Gigabytes per second that one thread reads `size` bytes in a row, best of five."""
    data = np.ones(size // 4, np.float32)
    best = 0.0
    for _ in range(5):
        started = time.process_time()
        np.dot(data, data)
        best = max(best, size / (time.process_time() - started) / 1e9)
    return best
