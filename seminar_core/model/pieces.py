"""A batch in pieces whose score rows stay in the processor's cache, and whose memory does not grow with the batch.

Model layer, around both search stages. The score rows of a batch hold B P N H L numbers, 86 million for a training
batch of 32 lives of 1,000 events with 32 targets of 21 candidates: every pass over them would go to main memory. Each
target is independent of the others, so people, then positions, then candidates are taken in pieces of about
`CACHE_CELLS` numbers (measured: 2 MB is the fastest on one core), and each piece reads only as much of its lives as
its targets may see. Where the attention weights of a whole batch would not fit (`MEMORY_CELLS`), training recomputes
a piece for its gradient.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from .lookup import on_cpu
from .search import Encoded
from .tensors import LifeTensors, TargetTensors

Look = Callable[[LifeTensors, TargetTensors, Encoded, Encoded], tuple[Tensor, ...]]

CACHE_CELLS = {"cpu": 2**19, "cuda": 2**27}
MEMORY_CELLS = {"cpu": 2**26, "cuda": 2**30}


def in_pieces(
    look: Look,
    life: LifeTensors,
    targets: TargetTensors,
    events: Encoded,
    candidates: Encoded,
    heads: int,
    cells: int | None = None,
) -> tuple[Tensor, ...]:
    """Run `look` piece by piece.

    Args:
        look: (life, targets, events, candidates) -> tensors whose first axes are (B, P, N).
        life, targets: the batch.
        events, candidates: its encoded rows, (B, L, ...) and (B, P, N, ...).
        heads: H.
        cells: numbers in the score rows of one piece; None = what suits the device.

    Returns:
        the tensors of `look` for the whole batch.
    """
    kind = life.item.device.type
    cells = cells or CACHE_CELLS.get(kind, 2**19)
    total = targets.item.numel() * heads * life.item.shape[1]
    recompute = torch.is_grad_enabled() and total > MEMORY_CELLS.get(kind, 2**26)

    def visit(life: LifeTensors, targets: TargetTensors, events: Encoded, candidates: Encoded) -> tuple[Tensor, ...]:
        shape = targets.item.shape
        size = targets.item.numel() * heads * life.item.shape[1]
        axis = next((axis for axis in range(3) if shape[axis] > 1), None)
        if size <= cells or axis is None:
            life, events = _trimmed(life, targets, events)
            if recompute:
                return checkpoint(
                    look, life, targets, events, candidates, use_reentrant=False, preserve_rng_state=False
                )
            return look(life, targets, events, candidates)
        step = max(1, cells * shape[axis] // size)
        results = [visit(*piece) for piece in _split(life, targets, events, candidates, axis, step)]
        return tuple(torch.cat(parts, axis) for parts in zip(*results, strict=True))

    return visit(life, targets, events, candidates)


def _split(
    life: LifeTensors, targets: TargetTensors, events: Encoded, candidates: Encoded, axis: int, step: int
) -> list[tuple[LifeTensors, TargetTensors, Encoded, Encoded]]:
    """Pieces of at most `step` people (axis 0), positions (1) or candidates (2)."""
    cut = _cut(candidates, step, axis)
    starts = range(0, targets.item.shape[axis], step)
    if axis == 0:
        some = _cut(events, step, 0)
        places = [slice(start, start + step) for start in starts]
        return [(life.rows(at), targets.rows(at), e, c) for at, e, c in zip(places, some, cut, strict=True)]
    pick = targets.positions if axis == 1 else targets.candidates
    return [(life, pick(slice(start, start + step)), events, part) for start, part in zip(starts, cut, strict=True)]


def _cut(encoded: Encoded, step: int, axis: int) -> list[Encoded]:
    """Pieces of `step` along `axis`, by one split of each field: its gradient is one concatenation."""
    fields = (encoded.item, encoded.query, encoded.has_query, encoded.pair)
    return [Encoded(*parts) for parts in zip(*(field.split(step, axis) for field in fields), strict=True)]


def _trimmed(life: LifeTensors, targets: TargetTensors, events: Encoded) -> tuple[LifeTensors, Encoded]:
    """Lives without the events that no target of the piece may see (on the CPU; a GPU is not waited for)."""
    length = life.item.shape[1]
    if not on_cpu(life.item):
        return life, events
    longest = max(1, int(targets.visible.max()))
    if longest >= length:
        return life, events
    return life.oldest(longest), events.map(lambda field: field[:, :longest])
