"""The catalogue as the diagnostics see it: one matrix per channel, one presence mask per channel, one row per item.

Between the model (or the encoders) and every alignment figure. Channels may differ in width (raw encoder vectors do);
figures that need one shared space say so. An item's query vector is the mean over its distinct training queries, so
that all four channels can be compared item by item.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..contracts import CHANNEL_NAMES, CHANNELS, ITEM_CHANNELS, ChannelVectors
from ..errors import NonFiniteError, ShapeError, UnknownNameError


@dataclass(frozen=True)
class ChannelSet:
    """Channel vectors of n items.

    Fields:
        rows: (n,) int32 catalogue rows of the items.
        vectors: channel name -> (n, D) float32; what lies under an absent entry is never read.
        present: channel name -> (n,) bool.
        origin: where the whole set comes from, see `ChannelVectors`; "" of a slice and where nobody knows.
    """

    rows: np.ndarray
    vectors: Mapping[str, np.ndarray]
    present: Mapping[str, np.ndarray]
    origin: str = ""

    def __post_init__(self) -> None:
        n = len(self.rows)
        for name, matrix in self.vectors.items():
            if name not in CHANNELS:
                raise UnknownNameError("channel", name, CHANNELS)
            if name not in self.present:
                raise ShapeError(f"channel {name} has no presence mask", hint="give one boolean per item and channel")
            if matrix.ndim != 2 or len(matrix) != n or self.present[name].shape != (n,):
                raise ShapeError(
                    f"channel {name}: vectors {matrix.shape} and mask {self.present[name].shape} for {n} items",
                    hint="each channel needs vectors (n, D) and a mask (n,)",
                )
            bad = int((~np.isfinite(matrix[self.present[name]])).any(axis=1).sum())
            if bad:
                raise NonFiniteError(
                    f"channel {name} ({CHANNEL_NAMES[name]}): {bad} of {n} items hold NaN or infinity",
                    hint="the run diverged or the encoder's file is damaged: make these vectors again",
                )

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        counts = ", ".join(f"{name} {int(mask.sum())}" for name, mask in self.present.items())
        return f"ChannelSet({len(self)} items; present: {counts})"

    @property
    def names(self) -> tuple[str, ...]:
        """Channels that are there, in the order of `CHANNELS`."""
        return tuple(name for name in CHANNELS if name in self.vectors)

    def take(self, index: np.ndarray) -> ChannelSet:
        """The items at positions (or boolean mask) `index`, a slice for a category, a lasso or a fold."""
        return ChannelSet(
            self.rows[index],
            {name: matrix[index] for name, matrix in self.vectors.items()},
            {name: mask[index] for name, mask in self.present.items()},
        )

    def unit(self) -> ChannelSet:
        """The same with rows of length one; a present row of length zero counts as absent, for it has no direction."""
        vectors, present = {}, {}
        for name, matrix in self.vectors.items():
            length = np.linalg.norm(np.where(self.present[name][:, None], matrix, 0), axis=1)
            present[name] = self.present[name] & (length > 0)
            scaled = matrix / np.where(present[name], length, 1)[:, None]
            vectors[name] = np.where(present[name][:, None], scaled, 0).astype(np.float32)
        return ChannelSet(self.rows, vectors, present)


def mean_query_vectors(vectors: ChannelVectors, item: np.ndarray, query: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean vector of each item's distinct queries.

    Args:
        vectors: the catalogue's channel vectors.
        item: (E,) item rows of training events.
        query: (E,) query rows of the same events, 0 = no query.

    Returns:
        means (I+1, D) float32 and present (I+1,) bool.
    """
    known = (query > 0) & (item > 0) & vectors.query_present[query]
    n_queries = len(vectors.query)
    pairs = np.unique(item[known].astype(np.int64) * n_queries + query[known])
    rows, queries = pairs // n_queries, pairs % n_queries
    counts = np.bincount(rows, minlength=len(vectors.item))
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    means = np.zeros((len(vectors.item), vectors.query.shape[1]), np.float32)
    if len(rows):
        sums = np.add.reduceat(vectors.query[queries].astype(np.float64), starts, axis=0)
        means[rows[starts]] = sums / counts[rows[starts]][:, None]
    return means, counts > 0


def from_channel_vectors(vectors: ChannelVectors, item: np.ndarray, query: np.ndarray) -> ChannelSet:
    """The catalogue of a model as one row per item with the channels Q, A, T, I.

    Args:
        vectors: the catalogue's channel vectors.
        item: (E,) item rows of the training events.
        query: (E,) their query rows, 0 = none.
    """
    means, has_query = mean_query_vectors(vectors, item, query)
    matrices = {"Q": means[1:]} | {name: vectors.item[1:, at] for at, name in enumerate(ITEM_CHANNELS)}
    masks = {"Q": has_query[1:]} | {name: vectors.item_present[1:, at] for at, name in enumerate(ITEM_CHANNELS)}
    return ChannelSet(np.arange(1, len(vectors.item), dtype=np.int32), matrices, masks, vectors.origin)
