"""What both search stages read: the encoded life, the encoded targets, and who may see what.

Model layer, between fusion and attention. `encode_batch` computes each distinct item and query of a batch once, fuses
it, and spreads it over events and candidates in one gather.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .attention import TargetScore, log_age, visible_mask
from .channels import Channels
from .fusion import Fusion, Projections
from .lookup import distinct, spread
from .tensors import LifeTensors, TargetTensors


@dataclass(frozen=True)
class Encoded:
    """Vectors of rows, whatever their shape.

    Fields:
        item: (..., D) fused item vectors (G applied where there is one).
        query: (..., D) query vectors (G applied), zero where absent.
        has_query: (...) bool.
        pair: (..., D) the fused pair vectors f.
    """

    item: Tensor
    query: Tensor
    has_query: Tensor
    pair: Tensor

    def shaped(self, shape: torch.Size) -> Encoded:
        """The same rows in another shape: (n, ...) -> (*shape, ...)."""
        width = self.pair.shape[-1]
        return Encoded(
            self.item.view(*shape, width),
            self.query.view(*shape, width),
            self.has_query.view(shape),
            self.pair.view(*shape, width),
        )

    def map(self, change: Callable[[Tensor], Tensor]) -> Encoded:
        """`change` applied to every field."""
        return Encoded(change(self.item), change(self.query), change(self.has_query), change(self.pair))


@dataclass(frozen=True)
class Search:
    """Everything a first or second stage may read.

    Fields:
        life, targets: the ids behind the vectors.
        events: encoded life, shapes (B, L, ...).
        candidates: encoded candidates, shapes (B, P, N, ...).
        allowed: (B, P, L) bool, the events each target may see.
        age: (B, P, L) float32, log(1 + days) from event to target.
        scores: (B, P, N, H, L) float32 target attention scores, or None for a model without them.
        encoder: what turned rows into vectors.
        score: the module behind `scores`, or None.
    """

    life: LifeTensors
    targets: TargetTensors
    events: Encoded
    candidates: Encoded
    allowed: Tensor
    age: Tensor
    scores: Tensor | None
    encoder: Encoder
    score: TargetScore | None


class Encoder:
    """Rows to fused vectors through given channels, projections and fusion; holds no state of its own.

    With `tables` (fused items (I+1, D), queries (Q+1, D)) the vectors are looked up instead of computed.
    """

    def __init__(
        self,
        channels: Channels,
        fusion: Fusion,
        projections: Projections | None = None,
        tables: tuple[Tensor, Tensor] | None = None,
    ):
        self.channels, self.fusion, self.projections, self.tables = channels, fusion, projections, tables

    def turns(self) -> Tensor | None:
        """G (M, D, D), or None for the identity."""
        return None if self.projections is None else self.projections.all()

    def _item_scale(self, rows: Tensor) -> Tensor | None:
        """Factor (u, 1) of each item that `item_absent` asks for, or None."""
        if self.fusion.item_absent == "keep":
            return None
        return self.fusion.item_scale(self.channels.item_present(rows))

    def item_table(self, rows: Tensor) -> Tensor:
        """(u,) distinct item rows -> fused item vectors (u, D)."""
        turns = None if self.projections is None else self.projections.item
        fused = self.channels.fused_items(rows, self.fusion.item_weights(), turns)
        scale = self._item_scale(rows)
        return fused if scale is None else fused * scale

    def query_table(self, rows: Tensor) -> Tensor:
        """(u,) distinct query rows -> query vectors (u, D), G applied."""
        vectors, _ = self.channels.queries(rows)
        if self.projections is not None and self.projections.query is not None:
            vectors = vectors @ self.projections.query.t()
        return vectors

    def _vectors(self, item: Tensor, query: Tensor) -> tuple[Tensor, Tensor | None]:
        """(n,) item and query rows -> item vectors (n, D) and query vectors (n, D), or None without a query channel."""
        if self.tables is not None:
            items, queries = self.tables
            found = torch.index_select(items, 0, item)
            return found, torch.index_select(queries, 0, query) if self.fusion.has_query else None
        frozen = {"T", "I"} & set(self.channels.enabled)
        unique, inverse = distinct(item, self.channels.n_items + 1, worth=1.0 if frozen else 0.7)
        items = spread(self.item_table(unique), inverse)
        if not self.fusion.has_query:
            return items, None
        unique, inverse = distinct(query, self.channels.n_queries + 1, worth=0.7)
        return items, spread(self.query_table(unique), inverse)

    def approximate(self, items: Tensor, queries: Tensor, query: Tensor) -> Tensor:
        """Pair vectors from given channel vectors in place of the channels' own.

        Args:
            items: (n, 3, D) item channel vectors before G, scaled by presence as `channel_vectors` does it.
            queries: (n, D) query vectors before G.
            query: (n,) the query rows they stand for, read for presence only.

        Returns:
            (n, D).
        """
        weights = self.fusion.item_weights()
        if self.projections is None:
            fused = torch.einsum("nmd,m->nd", items, weights)
        else:
            fused = torch.einsum("nmd,med->ne", items, weights[:, None, None] * self.projections.item)
            if self.projections.query is not None:
                queries = queries @ self.projections.query.t()
        if not self.fusion.has_query:
            return fused
        return self.fusion.pair(fused, queries, self.channels.query_present[query])

    def _encoded(self, items: Tensor, queries: Tensor | None, rows: Tensor) -> Encoded:
        """Flat vectors (n, D) and query rows (n,) -> `Encoded` of n rows."""
        if queries is None:
            return Encoded(items, torch.zeros_like(items), torch.zeros_like(rows, dtype=torch.bool), items)
        has_query = self.channels.query_present[rows]
        return Encoded(items, queries, has_query, self.fusion.pair(items, queries, has_query))

    def encode(self, item: Tensor, query: Tensor) -> Encoded:
        """(...) item and query rows -> `Encoded` of shape (...)."""
        flat_query = query.reshape(-1)
        encoded = self._encoded(*self._vectors(item.reshape(-1), flat_query), flat_query)
        return encoded.shaped(item.shape)

    def encode_batch(self, life: LifeTensors, targets: TargetTensors) -> tuple[Encoded, Encoded]:
        """Events (B, L) and candidates (B, P, N) of a batch, each distinct row computed once."""
        item = torch.cat([life.item.reshape(-1), targets.item.reshape(-1)])
        query = torch.cat([life.query.reshape(-1), targets.query.reshape(-1)])
        encoded = self._encoded(*self._vectors(item, query), query)
        sizes = [life.item.numel(), targets.item.numel()]
        (item_e, item_c), (query_e, query_c), (has_e, has_c), (pair_e, pair_c) = (
            field.split(sizes) for field in (encoded.item, encoded.query, encoded.has_query, encoded.pair)
        )
        events = Encoded(item_e, query_e, has_e, pair_e).shaped(life.item.shape)
        return events, Encoded(item_c, query_c, has_c, pair_c).shaped(targets.item.shape)


def begin(life: LifeTensors, targets: TargetTensors, encoder: Encoder, score: TargetScore | None, by: str) -> Search:
    """Encode a batch and score every event for every target and head.

    Args:
        life, targets: the batch.
        encoder: rows to vectors.
        score: target attention, or None for a model that has none.
        by: "pair" scores pair vectors, "item" item vectors alone.
    """
    return compare(life, targets, *encoder.encode_batch(life, targets), encoder, score, by)


def compare(
    life: LifeTensors,
    targets: TargetTensors,
    events: Encoded,
    candidates: Encoded,
    encoder: Encoder,
    score: TargetScore | None,
    by: str,
) -> Search:
    """As `begin`, from what is encoded already."""
    allowed = visible_mask(life.valid, targets.visible)
    age = log_age(life.time_s, targets.time_s)
    scores = None
    if score is not None:
        sides = (candidates.item, events.item) if by == "item" else (candidates.pair, events.pair)
        scores = score(*sides, age)
    return Search(life, targets, events, candidates, allowed, age, scores, encoder, score)


@torch.no_grad()
def fused_tables(encoder: Encoder, size: int = 65_536) -> tuple[Tensor, Tensor]:
    """Every item (I+1, D) and every query (Q+1, D) of the catalogue, computed block by block."""
    device = encoder.fusion.channel_enabled.device
    queries = encoder.channels.n_queries + 1 if encoder.fusion.has_query else 1
    tables = []
    for table, rows in ((encoder.item_table, encoder.channels.n_items + 1), (encoder.query_table, queries)):
        whole = torch.empty(rows, encoder.channels.width, device=device)
        for start in range(0, rows, size):
            block = torch.arange(start, min(start + size, rows), device=device)
            whole[start : start + size] = table(block)
        tables.append(whole)
    return tables[0], tables[1]
