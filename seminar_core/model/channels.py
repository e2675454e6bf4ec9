"""The four channels of an event: query, attribute, text and image, each a vector of width D with a presence mask.

Model layer, second step: rows in, channel vectors out. Source: SEMINAR (arXiv 2407.10714), section 3.1. Departures:
absence is a mask (an absent channel is exactly zero and is reported absent), frozen encoder tables are buffers that
initialisation and training never touch, and row 0 of every trainable table stays zero.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import reduce

import torch
from torch import Tensor, nn

from ..contracts import CHANNELS, ITEM_CHANNELS
from ..errors import ConfigError, NonFiniteError, ShapeError, UnknownNameError
from .lookup import bag_mean, look_up, project_rows

BLOCK = 65_536
"""Rows of a frozen table that are looked at together."""


def _frozen(name: str, table: Tensor | None, present: Tensor | None, rows: int) -> tuple[Tensor, Tensor]:
    """Checked copy-free frozen table and its presence mask; absent rows must be exactly zero and are made so."""
    if table is None:
        raise ConfigError(f"{name} is missing", hint=f"give {name}, or disable its channel")
    table = torch.as_tensor(table)
    if table.ndim != 2 or len(table) != rows:
        raise ShapeError(
            f"{name} has shape {tuple(table.shape)}, expected ({rows}, W)", hint="one row per id and row 0"
        )
    finite, filled = _look(table)
    if not bool(finite.all()):
        bad = int((~finite).nonzero()[0, 0])
        raise NonFiniteError(f"{name} row {bad} holds NaN or infinity", hint="encode the data set again")
    present = filled.clone() if present is None else torch.as_tensor(present).clone().bool()
    present[0] = False
    stray = filled & ~present
    if bool(stray.any()):
        table = table.clone()
        table[stray] = 0
    return table.float(), present


def _look(table: Tensor) -> tuple[Tensor, Tensor]:
    """(n,) bool, rows without NaN and infinity, and (n,) bool, rows that are not zero; in blocks, to save memory."""
    blocks = table.split(BLOCK)
    finite = torch.cat([torch.isfinite(block).all(1) for block in blocks])
    return finite, torch.cat([(block != 0).any(1) for block in blocks])


def _rows(name: str, table: Tensor | None, rows: int, largest: int) -> Tensor:
    """Checked int32 table of row numbers 0..largest."""
    checked = torch.as_tensor(table).to(torch.int32)
    if checked.ndim != 2 or len(checked) != rows:
        raise ShapeError(
            f"{name} has shape {tuple(checked.shape)}, expected ({rows}, T)", hint="one row per id and row 0"
        )
    if checked.numel() and (int(checked.min()) < 0 or int(checked.max()) > largest):
        raise ConfigError(
            f"{name} holds rows {int(checked.min())}..{int(checked.max())}, expected 0..{largest}",
            hint="use the vocabulary the rows were made with",
        )
    return checked


class Channels(nn.Module):
    """Vectors of width D for items (A, T, I) and queries (Q), from ids, attributes, tokens and frozen encoder tables.

    Args:
        width: D.
        n_items: I; tables have I+1 rows, row 0 = absent.
        attributes: (I+1, V) attribute-value rows of each item, 0 = none.
        n_attribute_values: values are rows 1..n_attribute_values.
        query_tokens: (Q+1, T) token rows of each query, 0 = none.
        n_query_tokens: tokens are rows 1..n_query_tokens.
        text_items: (I+1, Wt) frozen text vectors, or None without the text channel; likewise `image_items`.
        text_present: (I+1,) bool; None = rows that are not all zero; likewise `image_present`.
        text_queries: (Q+1, Wt') frozen vectors of whole queries, or None: tokens alone.
        embedding_std: standard deviation of attribute and token embeddings at the start.
        id_std: of id embeddings at the start; None = as the others.
        sparse: give sparse gradients for the id and token tables.
        known_items: (I+1,) bool, false where the id embedding must count as absent (items never trained on).
        disabled: channels left out altogether, as if every event lacked them.
    """

    id_embedding: nn.Parameter | None
    attribute_embedding: nn.Parameter | None
    token_embedding: nn.Parameter | None
    text_projection: nn.Linear | None
    image_projection: nn.Linear | None
    query_projection: nn.Linear | None
    attributes: Tensor
    known_items: Tensor
    attribute_present: Tensor
    query_tokens: Tensor
    query_present: Tensor
    text_queries: Tensor

    def __init__(
        self,
        *,
        width: int,
        n_items: int,
        attributes: Tensor | None,
        n_attribute_values: int,
        query_tokens: Tensor | None,
        n_query_tokens: int,
        text_items: Tensor | None = None,
        text_present: Tensor | None = None,
        text_queries: Tensor | None = None,
        image_items: Tensor | None = None,
        image_present: Tensor | None = None,
        embedding_std: float = 0.1,
        id_std: float | None = None,
        sparse: bool = False,
        known_items: Tensor | None = None,
        disabled: Collection[str] = (),
    ):
        super().__init__()
        for name in disabled:
            if name not in CHANNELS:
                raise UnknownNameError("channel", name, CHANNELS)
        self.width, self.n_items, self.sparse = width, n_items, sparse
        absent = {"Q": query_tokens is None and text_queries is None, "T": text_items is None, "I": image_items is None}
        self.enabled = tuple(name for name in CHANNELS if name not in disabled and not absent.get(name, False))
        if not set(self.enabled) & set(ITEM_CHANNELS):
            raise ConfigError(f"no item channel is left of {ITEM_CHANNELS}", hint="disable fewer channels")
        self.hidden: Tensor | None = None
        id_std = embedding_std if id_std is None else id_std
        self._build_attribute(attributes, n_attribute_values, known_items, embedding_std, id_std)
        self._build_query(query_tokens, n_query_tokens, text_queries, embedding_std)
        for channel, name, table, present in (
            ("T", "text", text_items, text_present),
            ("I", "image", image_items, image_present),
        ):
            projection = None
            if channel in self.enabled:
                table, present = _frozen(f"{name}_items", table, present, n_items + 1)
                self.register_buffer(f"{name}_items", table, persistent=False)
                self.register_buffer(f"{name}_present", present, persistent=False)
                length = torch.linalg.vector_norm(table, dim=1)
                self.register_buffer(f"{name}_inverse_length", torch.where(length > 0, 1 / length, 0), persistent=False)
                projection = self._projection(table.shape[1])
            self.register_module(f"{name}_projection", projection)

    def _table(self, rows: int, std: float) -> nn.Parameter:
        table = torch.randn(rows + 1, self.width) * std
        table[0] = 0
        return nn.Parameter(table)

    def _projection(self, width: int) -> nn.Linear:
        """W (D, width); keeps the length of a vector in expectation."""
        linear = nn.Linear(width, self.width, bias=False)
        nn.init.normal_(linear.weight, std=self.width**-0.5)
        return linear

    def _build_attribute(
        self, attributes: Tensor | None, values: int, known: Tensor | None, std: float, id_std: float
    ) -> None:
        self.register_parameter("id_embedding", self._table(self.n_items, id_std) if "A" in self.enabled else None)
        has_values = "A" in self.enabled and attributes is not None and values > 0
        self.register_parameter("attribute_embedding", self._table(values, std) if has_values else None)
        if "A" not in self.enabled:
            return
        known = (
            torch.ones(self.n_items + 1, dtype=torch.bool) if known is None else torch.as_tensor(known).clone().bool()
        )
        known[0] = False
        self.register_buffer("known_items", known, persistent=False)
        present = known
        if has_values:
            attributes = _rows("attributes", attributes, self.n_items + 1, values)
            self.register_buffer("attributes", attributes, persistent=False)
            present = known | (attributes != 0).any(1)
        present = present.clone()
        present[0] = False
        self.register_buffer("attribute_present", present, persistent=False)

    def _build_query(self, tokens: Tensor | None, n_tokens: int, vectors: Tensor | None, std: float) -> None:
        self.register_parameter("token_embedding", None)
        self.register_module("query_projection", None)
        given = next((table for table in (tokens, vectors) if table is not None), None)
        self.n_queries = 0 if given is None else len(given) - 1
        if "Q" not in self.enabled:
            return
        present = torch.zeros(self.n_queries + 1, dtype=torch.bool)
        if tokens is not None and n_tokens > 0:
            tokens = _rows("query_tokens", tokens, self.n_queries + 1, n_tokens)
            self.register_buffer("query_tokens", tokens, persistent=False)
            self.token_embedding = self._table(n_tokens, std)
            present |= (tokens != 0).any(1)
        if vectors is not None:
            vectors, has_vector = _frozen("text_queries", vectors, None, self.n_queries + 1)
            self.register_buffer("text_queries", vectors, persistent=False)
            self.query_projection = self._projection(vectors.shape[1])
            present |= has_vector
        present[0] = False
        self.register_buffer("query_present", present, persistent=False)

    def attribute(self, rows: Tensor) -> Tensor:
        """Attribute channel: (u,) item rows -> (u, D): item id plus the masked mean of its attribute values."""
        assert self.id_embedding is not None
        known = self.known_items[rows] if self.hidden is None else self.known_items[rows] & ~self.hidden[rows]
        vectors = look_up(self.id_embedding, rows, self.sparse) * known.unsqueeze(-1)
        if self.attribute_embedding is not None:
            vectors = vectors + bag_mean(self.attribute_embedding, self.attributes[rows].long())
        return vectors

    def item_present(self, rows: Tensor) -> Tensor:
        """(...) item rows -> (..., 3) bool in the order of `ITEM_CHANNELS`."""
        never = torch.zeros_like(rows, dtype=torch.bool)
        tables = {"A": "attribute_present", "T": "text_present", "I": "image_present"}
        there = [getattr(self, tables[c])[rows] if c in self.enabled else never for c in ITEM_CHANNELS]
        if self.hidden is not None and "A" in self.enabled:
            has_values = never if self.attribute_embedding is None else (self.attributes[rows] != 0).any(-1)
            there[0] = there[0] & (has_values | ~self.hidden[rows])
        return torch.stack(there, -1)

    @contextmanager
    def hiding(self, items: Tensor | None) -> Iterator[None]:
        """Inside the block the ids of `items` (I+1,) bool count as never learned: content must carry them."""
        before, self.hidden = self.hidden, items
        try:
            yield
        finally:
            self.hidden = before

    def items(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(...) item rows -> channel vectors (..., 3, D), exactly zero where absent, and presence (..., 3)."""
        flat = rows.reshape(-1)  # (u,)
        nothing = torch.zeros(len(flat), self.width, device=flat.device)
        vectors = [nothing, nothing, nothing]
        for m, channel in enumerate(ITEM_CHANNELS):
            if channel == "A" and channel in self.enabled:
                vectors[m] = self.attribute(flat)
            elif channel in self.enabled:
                vectors[m] = project_rows(*self.projected(channel), flat)
        return torch.stack(vectors, 1).view(*rows.shape, 3, self.width), self.item_present(rows)

    def projected(self, channel: str) -> tuple[Tensor, Tensor]:
        """W (D, W) and the frozen table (I+1, W) of channel T or I."""
        name = "text" if channel == "T" else "image"
        return getattr(self, f"{name}_projection").weight, getattr(self, f"{name}_items")

    def queries(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(...) query rows -> vectors (..., D), exactly zero where absent, and presence (...)."""
        if "Q" not in self.enabled:
            shape = (*rows.shape, self.width)
            return torch.zeros(shape, device=rows.device), torch.zeros_like(rows, dtype=torch.bool)
        flat = rows.reshape(-1)  # (u,)
        parts = []
        if self.token_embedding is not None:
            parts.append(bag_mean(self.token_embedding, self.query_tokens[flat].long(), self.sparse))
        if self.query_projection is not None:
            parts.append(project_rows(self.query_projection.weight, self.text_queries, flat))
        vectors = parts[0] if len(parts) == 1 else parts[0] + parts[1]
        return vectors.view(*rows.shape, self.width), self.query_present[rows]

    def fused_items(self, rows: Tensor, weights: Tensor, turns: Tensor | None = None) -> Tensor:
        """sum over m of weights[m] turns[m] e^m, without ever holding the three channels: the efficient path.

        Args:
            rows: (u,) item rows.
            weights: (3,) channel weights in the order of `ITEM_CHANNELS`.
            turns: (3, D, D) square projections G of the channels, or None for the identity.

        Returns:
            (u, D); row 0 and items without any channel are exactly zero.
        """
        parts = []
        for m, channel in enumerate(ITEM_CHANNELS):
            if channel not in self.enabled:
                continue
            if channel == "A":
                vectors = self.attribute(rows)
                parts.append(vectors * weights[m] if turns is None else vectors @ (weights[m] * turns[m].t()))
            else:
                weight, table = self.projected(channel)
                weight = weights[m] * (weight if turns is None else turns[m] @ weight)  # (D, W)
                parts.append(project_rows(weight, table, rows))
        return reduce(torch.add, parts)

    def embedding_parameters(self) -> list[nn.Parameter]:
        """The trained tables: ids, attribute values, query tokens."""
        tables = (self.id_embedding, self.attribute_embedding, self.token_embedding)
        return [table for table in tables if table is not None]

    def projection_parameters(self) -> list[Tensor]:
        """W_T, W_I and the query projection."""
        linears = (self.text_projection, self.image_projection, self.query_projection)
        return [linear.weight for linear in linears if linear is not None]
