"""What an encoder hands over: vectors of items and queries, and which of them exist.

Encoders, their one contract. An encoder turns the texts or pictures of a data set into frozen vectors, once; what is
absent has a zero row and `present` false, and nothing downstream reads that zero as a value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ..contracts import check_shape
from ..data.dataset import Dataset
from ..errors import NonFiniteError
from ..progress import Progress


@dataclass(frozen=True)
class Encoded:
    """Frozen vectors of one modality.

    Fields:
        items: (I+1, W) float32, zero where absent; row 0 is zero.
        items_present: (I+1,) bool, false at row 0.
        queries: (Q+1, W) float32 in the same space, or None for an encoder of pictures.
        queries_present: (Q+1,) bool, or None.
        notes: facts worth keeping with the vectors, as JSON.
    """

    items: np.ndarray
    items_present: np.ndarray
    queries: np.ndarray | None = None
    queries_present: np.ndarray | None = None
    notes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_shape("Encoded.items_present", self.items_present, self.items.shape[:1])
        if not np.isfinite(self.items).all():
            row = int(np.flatnonzero(~np.isfinite(self.items).all(axis=1))[0])
            raise NonFiniteError(
                f"the vector of item row {row} holds NaN or infinity", hint="check the encoder's input"
            )
        if self.queries is not None and self.queries_present is not None:
            check_shape("Encoded.queries", self.queries, (None, self.items.shape[1]))
            check_shape("Encoded.queries_present", self.queries_present, self.queries.shape[:1])
            if not np.isfinite(self.queries).all():
                row = int(np.flatnonzero(~np.isfinite(self.queries).all(axis=1))[0])
                raise NonFiniteError(
                    f"the vector of query row {row} holds NaN or infinity", hint="check the encoder's input"
                )

    @property
    def width(self) -> int:
        """W."""
        return int(self.items.shape[1])

    def __repr__(self) -> str:
        asked = "" if self.queries_present is None else f", queries={int(self.queries_present.sum())}"
        return f"Encoded(W={self.width}, items={int(self.items_present.sum())}{asked})"


class Encoder(Protocol):
    """Turns a data set's texts or pictures into vectors; the same data set gives the same vectors."""

    def encode(self, dataset: Dataset, progress: Progress) -> Encoded: ...


def scattered(rows: list[int], vectors: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors at their rows of a table with zeros elsewhere, and which rows have one.

    A vector that is exactly zero says nothing and counts as absent.

    Args:
        rows: n rows of the table.
        vectors: (n, W).
        size: rows of the table.

    Returns:
        (size, W) float32 and (size,) bool.
    """
    table = np.zeros((size, vectors.shape[1]), np.float32)
    table[rows] = vectors
    return table, np.asarray((table != 0).any(axis=1))
