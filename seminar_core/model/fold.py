"""The first-stage score as one inner product: what a quantiser needs of a model, as NumPy arrays.

Model layer, the door to retrieval. Source: SEMINAR (arXiv 2407.10714), section 3.5. The score is linear in an event's
channel vectors, so heads, projections G and channel weights fold into one vector per head and channel on the target's
side: u_{h,m} = w_m (G^m)^T A_h^T f(target) / sqrt(d_h) with A_h = W^Q_h^T W^K_h. The target is never quantised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from ..contracts import CHANNELS, ChannelVectors, Folded
from ..errors import ChannelWeightsError, ConfigError, NotLinearError

if TYPE_CHECKING:
    from .attention import TargetScore
    from .channels import Channels
    from .fusion import Fusion
    from .search import Encoder

BLOCK = 65_536


TableMaker = Callable[[tuple[int, ...]], np.ndarray]


def in_memory(shape: tuple[int, ...]) -> np.ndarray:
    """An empty float32 table in memory."""
    return np.empty(shape, np.float32)


class Foldable(Protocol):
    """What a PSU and a ranker with a linear first stage have in common: channels, fusion, and a score to fold."""

    channels: Channels
    fusion: Fusion

    @property
    def linear_first_stage(self) -> bool: ...

    @property
    def score(self) -> TargetScore | None: ...

    def encoder(self) -> Encoder: ...


@torch.no_grad()
def channel_vectors(model: Foldable, table: TableMaker = in_memory) -> ChannelVectors:
    """Vectors of the whole catalogue and of all queries after the channels, before G.

    With `item_absent="renormalise"` each item's vectors carry the factor of its presence pattern.

    Args:
        model: whose vectors they are.
        table: makes the (I+1, 3, D) table of the items, which is what grows with a catalogue.
    """
    channels, fusion = model.channels, model.fusion
    device = fusion.channel_enabled.device
    items: np.ndarray | None = None
    present, queries, asked = [], [], []
    for rows in _blocks(channels.n_items + 1, device):
        vectors, there = channels.items(rows)
        scale = fusion.item_scale(there)
        block = (vectors if scale is None else vectors * scale.unsqueeze(-1)).float().cpu().numpy()
        if items is None:
            items = table((channels.n_items + 1, *block.shape[1:]))
        items[int(rows[0]) : int(rows[-1]) + 1] = block
        present.append(there.cpu().numpy())
    for rows in _blocks(channels.n_queries + 1, device):
        vectors, there = channels.queries(rows)
        queries.append(vectors.float().cpu().numpy())
        asked.append(there.cpu().numpy())
    assert items is not None  # row 0 is always there
    return ChannelVectors(items, np.concatenate(present), np.concatenate(queries), np.concatenate(asked))


def _blocks(rows: int, device: torch.device) -> list[Tensor]:
    return [torch.arange(start, min(start + BLOCK, rows), device=device) for start in range(0, rows, BLOCK)]


def explicit_weights(weights: Sequence[float]) -> np.ndarray:
    """User weights of Q, A, T, I divided by their sum: (M,) float64.

    Raises:
        ChannelWeightsError: not four, negative, not finite, or all zero.
    """
    given = np.asarray(weights, dtype=np.float64)
    if given.shape != (len(CHANNELS),):
        raise ChannelWeightsError(
            f"weights {list(weights)} are not four numbers", hint="give query,attribute,text,image"
        )
    if not np.isfinite(given).all() or (given < 0).any():
        raise ChannelWeightsError(
            f"weights {given.tolist()} must be finite and not negative", hint="0 leaves a channel out"
        )
    if given.sum() == 0:
        raise ChannelWeightsError(
            "all four weights are zero, so nothing is left to compare",
            hint="give a channel that is not masked a positive weight",
        )
    return given / given.sum()


@torch.no_grad()
def fold_many(
    model: Foldable, item: np.ndarray, query: np.ndarray, weights: Sequence[float] | None = None
) -> tuple[np.ndarray, float]:
    """Fold n targets.

    Args:
        model: a PSU, or a ranker with a linear first stage.
        item, query: (n,) rows; query 0 = no query.
        weights: of Q, A, T, I for both sides; None = the model's own.

    Returns:
        u (n, H, M, D) float32, and the factor on the item part of events without a query.

    Raises:
        NotLinearError: the model's first stage is not an inner product of channel vectors.
        ChannelWeightsError: see `explicit_weights`, or a target none of whose weighted channels is present.
    """
    if not model.linear_first_stage or model.score is None:
        raise NotLinearError(
            "this model's first stage is no inner product of channel vectors, so it has no codebooks",
            hint="seminar and seminar-pq have one",
        )
    device = model.fusion.channel_enabled.device
    rows = torch.as_tensor(np.asarray(item, dtype=np.int64), device=device)
    asked = torch.as_tensor(np.asarray(query, dtype=np.int64), device=device)
    _check_rows("item", rows, model.channels.n_items)
    _check_rows("query", asked, model.channels.n_queries if model.fusion.has_query else None)
    if weights is None:
        used = model.fusion.weights()
        target = model.encoder().encode(rows, asked).pair
        share = float(1 - model.fusion.alpha)
        scale = 1 / share if model.fusion.query_absent == "item" else 1.0
    else:
        if model.fusion.item_absent == "renormalise":
            raise ChannelWeightsError(
                "explicit weights need item_absent 'keep'; this run renormalises", hint="leave the weights out"
            )
        values = explicit_weights(weights)
        used = torch.as_tensor(values, dtype=torch.float32, device=device)
        target = _weighted_target(model, rows, asked, used)
        items = float(values[1:].sum())
        scale = 1 / items if items > 0 else 0.0
    return fold_fused(model, target, used), scale


@torch.no_grad()
def fold_fused(model: Foldable, target: Tensor, weights: Tensor | np.ndarray) -> np.ndarray:
    """Fold n fused target vectors (n, D) under channel weights (M,): (n, H, M, D) float32."""
    if model.score is None:
        raise NotLinearError("this model has no target attention", hint="seminar and seminar-pq have one")
    folded = model.score.fold(target)  # (n, H, D)
    turns = model.encoder().turns()
    if turns is not None:
        u = torch.einsum("nhd,mde->nhme", folded, turns)
    else:
        u = folded.unsqueeze(2).expand(-1, -1, len(CHANNELS), -1)
    used = torch.as_tensor(weights, dtype=u.dtype, device=u.device)
    return (u * used[:, None]).float().cpu().numpy()


def fold(model: Foldable, item_row: int, query_row: int = 0, weights: Sequence[float] | None = None) -> Folded:
    """Fold one target; see `fold_many`."""
    u, scale = fold_many(model, np.array([item_row]), np.array([query_row]), weights)
    return Folded(u[0], scale)


def _check_rows(what: str, rows: Tensor, last: int | None) -> None:
    if last is not None and rows.numel() and (int(rows.min()) < 0 or int(rows.max()) > last):
        raise ConfigError(
            f"{what} rows {int(rows.min())}..{int(rows.max())} lie outside 0..{last}", hint="use the run's data set"
        )


def _weighted_target(model: Foldable, item: Tensor, query: Tensor, weights: Tensor) -> Tensor:
    """f of targets under explicit weights (M,): (n,) rows -> (n, D)."""
    vectors, present = model.channels.items(item)
    asked, has_query = model.channels.queries(query)
    there = torch.cat([has_query.unsqueeze(1), present], 1)  # (n, M)
    empty = ~(there & (weights > 0)).any(1)
    if bool(empty.any()):
        row = int(item[empty.nonzero()[0, 0]])
        raise ChannelWeightsError(
            f"target item row {row} has none of the channels that carry weight", hint="give weight to one it has"
        )
    every = torch.cat([asked.unsqueeze(1), vectors], 1)  # (n, M, D)
    turns = model.encoder().turns()
    if turns is not None:
        every = torch.einsum("nmd,med->nme", every, turns)
    items = weights[1:].sum()
    alone = torch.where(items > 0, 1 / items.clamp(min=1e-12), 0.0)
    share = torch.where(has_query, torch.ones_like(alone), alone)  # (n,)
    fused = torch.einsum("nmd,m->nd", every[:, 1:], weights[1:]) * share.unsqueeze(1)
    return fused + weights[0] * every[:, 0]
