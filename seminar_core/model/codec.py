"""Codecs: approximate channel vectors of rows, as a quantiser gives them back, fixed or trained with the model.

Model layer, before the first stage. Source: SEMINAR arXiv 2407.10714, section 3.5, where codes are fixed once; training
centroids by gradient, with the codes held between refreshes, follows the straight-through idea (Bengio et al. 2013).
The model knows no quantiser: training hands it the codes.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional


class Codec(Protocol):
    """Approximate channel vectors of rows, as a quantiser gives them back."""

    def reconstruct(self, item: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
        """(n,) item rows and (n,) query rows -> item channel vectors (n, 3, D) and query vectors (n, D), before G."""
        ...


class TableCodec(nn.Module):
    """The whole catalogue decoded: (I+1, 3, D) item and (Q+1, D) query vectors, saved with the weights."""

    item: Tensor
    query: Tensor

    def __init__(self, item: Tensor, query: Tensor):
        super().__init__()
        self.register_buffer("item", torch.as_tensor(item).float())
        self.register_buffer("query", torch.as_tensor(query).float())

    def reconstruct(self, item: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
        """(n,) item rows and (n,) query rows -> item channel vectors (n, 3, D) and query vectors (n, D), before G."""
        return self.item[item], self.query[query]


class CodedTable(nn.Module):
    """Rows that are sums of centroids, brought back to channel vectors: trained by gradient for given codes.

    Args:
        codes: (rows, S) int64 codes.
        centroids: (S, C, n) float32; the trained part.
        restore: (n, W), from the coded space to channel vectors.
        mean: (W,), added to every row.
        present: (rows,) bool; the others are exactly zero.
        encode: (W, n), from channel vectors to the coded space: saved, so that codes are found anew where the centroids
            were trained.
    """

    codes: Tensor
    restore: Tensor
    mean: Tensor
    present: Tensor
    encode: Tensor

    def __init__(
        self, codes: Tensor, centroids: Tensor, restore: Tensor, mean: Tensor, present: Tensor, encode: Tensor
    ):
        super().__init__()
        self.centroids = nn.Parameter(centroids.clone())
        self.register_buffer("codes", codes.long())
        for name, table in (("restore", restore), ("mean", mean), ("present", present), ("encode", encode)):
            self.register_buffer(name, table.clone())

    def forward(self, rows: Tensor) -> Tensor:
        """(n,) rows -> (n, W)."""
        subspaces, count, width = self.centroids.shape
        places = self.codes[rows] + torch.arange(subspaces, device=rows.device) * count  # (n, S)
        coded = functional.embedding_bag(places, self.centroids.reshape(-1, width), mode="sum")  # (n, dims)
        return (coded @ self.restore + self.mean) * self.present[rows].unsqueeze(-1)


class TrainedCodec(nn.Module):
    """A codec whose centroids learn with the model: `CodedTable`s of items (W = 3 D) and of queries (W = D)."""

    def __init__(self, item: CodedTable, query: CodedTable | None, width: int):
        super().__init__()
        self.item, self.query, self.width = item, query, width

    def reconstruct(self, item: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
        """(n,) item rows and (n,) query rows -> item channel vectors (n, 3, D) and query vectors (n, D), before G."""
        items, place = torch.unique(item, return_inverse=True)
        vectors = self.item(items).view(len(items), -1, self.width)[place]
        if self.query is None:
            return vectors, vectors.new_zeros(len(query), self.width)
        queries, place = torch.unique(query, return_inverse=True)
        return vectors, self.query(queries)[place]
